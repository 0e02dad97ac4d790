import numpy as np
import pytest

from doh3d.geometry.dense import dense_surface
from doh3d.geometry.surface import SlabMesher, closed_values, crossed_cells


def smooth(rng, shape):
    return rng.normal(size=shape)


def wide(rng, shape):
    """Magnitudes so different that many vertices are rounded to nodes."""
    return rng.choice([-1, 1], shape) * np.exp(4 * rng.normal(size=shape))


def hostile(rng, shape):
    """Loops all of whose vertices are at one node."""
    return rng.choice([-1e30, 1e-6, -1e-6, 1e30, 1, -1], shape)


def in_slabs(values, layers, crossed, *, cropped):
    at_box = np.ones(values.shape, dtype=bool)
    at_box[1:-1, 1:-1, 1:-1] = False
    values = closed_values(values, at_box)
    mesher = SlabMesher()
    count = 0
    for first in range(0, len(values) - 1, layers):
        slab = values[first : first + layers + 1]
        cells = crossed(slab)
        low, high = np.zeros(3, dtype=int), np.array(cells.shape)
        if cropped and cells.any():
            low[1:] = np.argwhere(cells).min(axis=0)[1:]
            high[1:] = np.argwhere(cells).max(axis=0)[1:] + 1
        part = slab[:, low[1] : high[1] + 1, low[2] : high[2] + 1].copy()
        cells = cells[:, low[1] : high[1], low[2] : high[2]]
        count += mesher.add(part, cells, low + [first, 0, 0])
    assert count == crossed(values).sum()
    return mesher.mesh()


def open_edges(faces):
    """Directed edges that are not passed as often in the other direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = faces.max() + 1
    there, back = edges @ [count, 1], edges @ [1, count]
    return (np.sort(there) != np.sort(back)).sum()


@pytest.mark.parametrize("generate", [smooth, wide, hostile])
@pytest.mark.parametrize("layers", [1, 4, 16])
@pytest.mark.parametrize("cropped", [False, True])
def test_slabs_give_the_mesh_of_the_whole(generate, layers, cropped, crossed):
    rng = np.random.default_rng(layers)
    values = generate(rng, (21, 16, 70)).astype(np.float32)
    values[5, :, :40] = -1  # a plane that little crosses
    expected_vertices, expected_faces = dense_surface(values)
    vertices, faces = in_slabs(values, layers, crossed, cropped=cropped)
    np.testing.assert_allclose(vertices, expected_vertices, rtol=0, atol=1e-5)
    assert len(faces) == len(expected_faces)
    assert open_edges(faces) == 0
    # Vertices of a loop at one node may change places.
    np.testing.assert_allclose(vertices[faces], expected_vertices[expected_faces], atol=1e-5)
    if generate is smooth:
        assert np.array_equal(faces, expected_faces)


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
