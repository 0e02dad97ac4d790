import igl
import numpy as np
import pytest
import trimesh
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dense_extraction import dense_surface
from doh3d.geometry.lattice import index_grid
from doh3d.geometry.surface import SlabMesher, closed_values, crossed_cells


def box_nodes(shape):
    at_box = np.ones(shape, dtype=bool)
    at_box[1:-1, 1:-1, 1:-1] = False
    return at_box


def smooth(rng, shape):
    return rng.normal(size=shape)


def wide(rng, shape):
    """Magnitudes so different that many vertices are rounded to nodes."""
    return rng.choice([-1, 1], shape) * np.exp(4 * rng.normal(size=shape))


def hostile(rng, shape):
    """Cells all of whose vertices are rounded to nodes."""
    return rng.choice([-1e30, 1e-6, -1e-6, 1e30, 1, -1], shape)


def in_slabs(values, layers, crossed, *, cropped):
    values = closed_values(values, box_nodes(values.shape))
    mesher = SlabMesher()
    count = 0
    for first in range(0, len(values) - 1, layers):
        slab = values[first : first + layers + 1]
        cells = crossed(slab)
        low, high = np.zeros(3, dtype=int), np.array(cells.shape)
        if cropped and cells.any():
            low[1:] = np.argwhere(cells).min(axis=0)[1:]
            high[1:] = np.argwhere(cells).max(axis=0)[1:] + 1
        part = slab[:, low[1] : high[1] + 1, low[2] : high[2] + 1]
        cells = cells[:, low[1] : high[1], low[2] : high[2]]
        count += mesher.add(part, cells, low + [first, 0, 0])
    assert count == crossed(values).sum()
    return mesher.mesh()


def assert_manifold(faces):
    """Every directed edge is passed once, and once in the other direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    there, back = edges @ [len(edges), 1], edges @ [1, len(edges)]
    there.sort()
    back.sort()
    assert (there[1:] != there[:-1]).all()
    assert np.array_equal(there, back)


def lattices(*numbers):
    """Values of a few nodes, drawn from these."""
    sides = st.integers(3, 7)
    return arrays(np.float32, st.tuples(sides, sides, sides), elements=st.sampled_from(numbers))


@given(lattices(-1, 1, -0.3, 5))
@settings(max_examples=60)
def test_what_is_positive_is_inside_and_the_mesh_is_manifold(values):
    closed = closed_values(values, box_nodes(values.shape))
    vertices, faces = dense_surface(values)
    assume(len(faces))
    assert_manifold(faces)
    nodes = index_grid(np.array(values.shape)).astype(float)
    winding = igl.winding_number(vertices, faces, nodes)
    np.testing.assert_allclose(winding, closed.reshape(-1) > 0, atol=1e-9)


@given(lattices(-1, 1, -0.3, 5))
@settings(max_examples=60)
def test_vertices_are_where_edges_of_the_lattice_cross_zero(values):
    closed = closed_values(values, box_nodes(values.shape)).astype(float)
    expected = [np.zeros((0, 3))]
    for axis in range(3):
        low, high = (np.moveaxis(closed, axis, 0)[part] for part in (slice(-1), slice(1, None)))
        nodes = np.argwhere((low > 0) != (high > 0))
        low, high = low[tuple(nodes.T)], high[tuple(nodes.T)]
        places = nodes.astype(float)
        places[:, 0] += low / (low - high)
        expected.append(np.insert(places[:, 1:], axis, places[:, 0], axis=1))
    expected = np.concatenate(expected)
    vertices, _ = dense_surface(values)
    assert len(vertices) == len(expected)
    found, known = (np.round(part, 9) + 0.0 for part in (vertices, expected))
    np.testing.assert_allclose(found[np.lexsort(found.T)], known[np.lexsort(known.T)], atol=1e-8)


@given(lattices(np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-9, -1e-9, 3e38, -3e38, 1, -1))
@settings(max_examples=60)
def test_faces_follow_the_signs_alone(values):
    closed = closed_values(values, box_nodes(values.shape))
    vertices, faces = dense_surface(values)
    assert np.isfinite(vertices).all()
    assert (vertices >= 0).all()
    assert (vertices <= np.array(values.shape) - 1).all()
    assert np.array_equal(faces, dense_surface(np.sign(closed))[1])


def test_all_pairs_of_neighbouring_cells_fit():
    values = np.random.default_rng(0).choice([-1, 1], (45, 45, 45)).astype(np.float32)
    inside = values > 0
    for axis in range(3):
        pairs = np.lib.stride_tricks.sliding_window_view(
            inside[1:-1, 1:-1, 1:-1], np.roll((3, 2, 2), axis)
        )
        assert len(np.unique(pairs.reshape(-1, 12) @ 2 ** np.arange(12))) == 2**12
    assert_manifold(dense_surface(values)[1])


@pytest.mark.parametrize("sign", [1, -1])
def test_opposite_corners_of_a_square_are_joined_inside(sign):
    values = np.full((6, 6, 6), -sign, dtype=np.float32)
    values[2, 2, 2] = values[3, 3, 2] = sign
    vertices, faces = dense_surface(values)
    bodies = trimesh.Trimesh(vertices, faces, process=False).body_count
    # Balls become one; cavities, beside the outside, stay two.
    assert bodies == (1 if sign > 0 else 3)


@pytest.mark.parametrize("generate", [smooth, wide, hostile])
@pytest.mark.parametrize("layers", [1, 4, 16])
@pytest.mark.parametrize("cropped", [False, True])
def test_slabs_give_the_mesh_of_the_whole(generate, layers, cropped, crossed):
    rng = np.random.default_rng(layers)
    values = generate(rng, (21, 16, 70)).astype(np.float32)
    values[5, :, :40] = -1  # a plane that little crosses
    expected_vertices, expected_faces = dense_surface(values)
    vertices, faces = in_slabs(values, layers, crossed, cropped=cropped)
    assert np.array_equal(vertices, expected_vertices)
    assert np.array_equal(faces, expected_faces)


def test_slabs_fit_in_whatever_order_their_vertices_come(monkeypatch, crossed):
    rng = np.random.default_rng(0)
    values = smooth(rng, (21, 16, 20)).astype(np.float32)
    expected_vertices, expected_faces = dense_surface(values)
    original = igl.marching_cubes

    def shuffled(*arguments):
        vertices, faces, numbers = original(*arguments)
        order = rng.permutation(len(vertices))
        place = np.argsort(order)
        return vertices[order], place[faces], {key: place[v] for key, v in numbers.items()}

    monkeypatch.setattr(igl, "marching_cubes", shuffled)
    vertices, faces = in_slabs(values, 4, crossed, cropped=True)
    assert len(vertices) == len(expected_vertices)
    assert_manifold(faces)
    np.testing.assert_array_equal(vertices[faces], expected_vertices[expected_faces])


def test_slabs_without_a_surface_between_them_stay_apart(crossed):
    values = np.full((41, 9, 9), -1.0, dtype=np.float32)
    values[3, 4, 4] = values[30, 2, 6] = 1.0
    vertices, faces = in_slabs(values, 8, crossed, cropped=True)
    expected_vertices, expected_faces = dense_surface(values)
    assert np.array_equal(vertices, expected_vertices)
    assert np.array_equal(faces, expected_faces)


def test_values_become_finite_closed_and_clear_of_zero():
    values = np.array([np.nan, np.inf, -np.inf, 0.0, 1e-9, 2.0, 2.0, np.inf], dtype=np.float32)
    at_box = np.array([False] * 6 + [True] * 2)
    found = closed_values(values, at_box)
    np.testing.assert_array_equal(
        found, np.array([-1, 1e30, -1e30, -1e-6, -1e-6, 2, -2, -1e30], dtype=np.float32)
    )


def test_crossed_cells_are_found_among_those_named(crossed):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(6, 7, 8)) + 1).astype(np.float32)
    cells = rng.random((5, 6, 7)) < 0.5
    found = np.unravel_index(crossed_cells(values, cells), values.shape)
    assert np.array_equal(found, np.nonzero(crossed(values) & cells))
