"""Polygons with holes, and what holds for any polygon."""

from collections import Counter

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.geometry import polygons
from doh3d.geometry.formats import read_mesh
from doh3d.geometry.mesh import clean_mesh, load_mesh
from doh3d.geometry.polygons import cut_polygons, triangulate


def circle(sides, radius, centre=(0.0, 0.0), roughness=0.0, generator=None):
    """A star-shaped outline, counterclockwise: (sides, 2)."""
    angle = np.arange(sides) * 2 * np.pi / sides
    if roughness:
        angle = angle + generator.uniform(-0.3, 0.3, sides) * 2 * np.pi / sides
        radius = radius * generator.uniform(1 - roughness, 1, sides)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]) + centre


def flat_area(outline):
    x, y = outline.T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2


def bridged(outlines, links, *, twins=False):
    """Hang outlines on one another: (V, 2) vertices and the polygon's corners.

    Each link is (corner so far, corner of the next outline). With `twins`, each bridge has
    vertices of its own at either end, as some writers have it.
    """
    vertices, polygon = [*outlines[0]], list(range(len(outlines[0])))
    for outline, (here, there) in zip(outlines[1:], links, strict=True):
        here, there = here % len(polygon), there % len(outline)
        numbers = len(vertices) + np.arange(len(outline))
        vertices += [*outline]
        ring = np.roll(numbers, -there).tolist()
        back = [ring[0], polygon[here]]
        if twins:
            vertices += [vertices[k] for k in back]
            back = [len(vertices) - 2, len(vertices) - 1]
        polygon[here + 1 : here + 1] = [*ring, *back]
    return np.array(vertices), polygon


def in_space(flat, generator):
    """Lay (V, 2) points onto any plane."""
    axes = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    return flat @ axes[:2] + generator.normal(size=3)


@st.composite
def holed_polygons(draw):
    """A polygon in space with holes and islands in them, bridged at random, and its area."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outlines = [circle(draw(st.integers(12, 80)), 1.0, (0, 0), 0.2, generator)]
    spots = [(x, y) for x in (-0.4, 0.0, 0.4) for y in (-0.4, 0.0, 0.4)]
    for spot in draw(st.lists(st.sampled_from(spots), min_size=1, max_size=6, unique=True)):
        has_island = draw(st.booleans())
        # A rough hole of three or four sides has no room for an island, which would cross it.
        sides = draw(st.integers(5 if has_island else 3, 20))
        outlines.append(circle(sides, 0.18, spot, 0.3, generator)[::-1])
        if has_island:
            outlines.append(circle(draw(st.integers(3, 9)), 0.05, spot, 0.3, generator))
    corner = st.integers(0, 200)
    links = [(draw(corner), draw(corner)) for _ in outlines[1:]]
    flat, polygon = bridged(outlines, links, twins=draw(st.booleans()))
    if draw(st.booleans()):
        polygon = polygon[::-1]
    return in_space(flat, generator), polygon, sum(map(flat_area, outlines))


def area_vectors(vertices, faces):
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return np.cross(b - a, c - a) / 2


def newell(vertices, polygon):
    spokes = vertices[polygon] - vertices[polygon[0]]
    return np.cross(spokes[:-1], spokes[1:]).sum(axis=0) / 2


def net_edges(rings, place):
    """Directed edges between places that are not taken back by others."""
    edges = Counter()
    for ring in rings:
        spots = [place[k] for k in ring]
        for edge in zip(spots, spots[1:] + spots[:1], strict=True):
            edges[edge] += 1
            edges[edge[::-1]] -= 1
    return {edge: count for edge, count in edges.items() if count > 0 and edge[0] != edge[1]}


def written(vertices, polygon, kind):
    """The bytes of a file with one polygon."""
    rows = "\n".join(" ".join(map(repr, row)) for row in vertices.tolist())
    corners = " ".join(map(str, polygon))
    if kind == "obj":
        numbers = " ".join(str(k + 1) for k in polygon)
        return ("v " + rows.replace("\n", "\nv ") + f"\nf {numbers}\n").encode()
    if kind == "off":
        return f"OFF\n{len(vertices)} 1 0\n{rows}\n{len(polygon)} {corners}\n".encode()
    form = "ascii" if kind == "ply" else "binary_little_endian"
    header = f"ply\nformat {form} 1.0\nelement vertex {len(vertices)}\n"
    header += "".join(f"property double {axis}\n" for axis in "xyz")
    header += "element face 1\nproperty list int int vertex_indices\nend_header\n"
    if kind == "ply":
        return (header + f"{rows}\n{len(polygon)} {corners}\n").encode()
    face = np.array([len(polygon), *polygon], "<i4").tobytes()
    return header.encode() + vertices.astype("<f8").tobytes() + face


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("polygons")


class TestHoles:
    @pytest.mark.parametrize("kind", ["obj", "off", "ply", "binary.ply"])
    @settings(max_examples=40, deadline=None)
    @given(holed=holed_polygons())
    def test_stay_open_in_any_plane_and_format(self, folder, kind, holed):
        vertices, polygon, area = holed
        path = folder / f"a.{kind}"
        path.write_bytes(written(vertices, polygon, kind))
        mesh = read_mesh(path)
        found = area_vectors(mesh.vertices, mesh.faces)
        assert np.linalg.norm(found, axis=1).sum() == pytest.approx(area, rel=1e-9)
        assert (found @ newell(vertices, polygon) > -1e-12).all()

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.integers(0, 24), min_size=1, max_size=9, unique=True),
        st.lists(st.integers(0, 200), min_size=9, max_size=9),
    )
    def test_may_touch_the_outline_and_one_another(self, cells, places):
        flat = np.stack(np.meshgrid(range(6), range(6), indexing="ij"), axis=-1).reshape(-1, 2)
        first, last, rest = np.arange(5), np.full(5, 5), np.arange(5, 0, -1)
        sides = [(first, 0 * first), (last, first), (rest, last), (0 * first, rest)]
        polygon = np.concatenate([6 * x + y for x, y in sides]).tolist()
        for cell, place in zip(cells, places, strict=False):
            low = 6 * (cell // 5) + cell % 5
            ring = np.roll([low, low + 1, low + 7, low + 6], place).tolist()
            here = place % len(polygon)
            polygon[here + 1 : here + 1] = [*ring, ring[0], polygon[here]]
        vertices = in_space(flat, np.random.default_rng(0))
        found = area_vectors(vertices, cut_polygons(vertices, np.array([polygon])))
        assert np.linalg.norm(found, axis=1).sum() == pytest.approx(25 - len(cells), rel=1e-9)

    @pytest.mark.parametrize("kind", ["obj", "off", "ply"])
    @pytest.mark.parametrize("sides", [4, 30, 200])
    @pytest.mark.parametrize("twins", [False, True])
    def test_a_ring_of_two_caps_is_closed(self, tmp_path, kind, sides, twins):
        outlines = [circle(sides, 2.0), circle(sides, 1.0)[::-1]]
        flat, cap = bridged(outlines, [(1, 2)], twins=twins)
        count = len(flat)
        vertices = np.vstack([np.pad(flat, ((0, 0), (0, 1)), constant_values=z) for z in (0, 1)])
        faces = [cap[::-1], [k + count for k in cap]]
        for first in (0, sides):
            a = np.arange(first, first + sides)
            b = np.roll(a, -1)
            faces += np.column_stack([a, b, b + count, a + count]).tolist()
        path = tmp_path / f"a.{kind}"
        if kind == "obj":
            rows = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
            rows += ["f " + " ".join(str(k + 1) for k in face) for face in faces]
        else:
            rows = [f"{x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
            rows += [" ".join(map(str, [len(face), *face])) for face in faces]
            header = f"OFF {len(vertices)} {len(faces)} 0"
            if kind == "ply":
                header = f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\n"
                header += "".join(f"property double {axis}\n" for axis in "xyz")
                header += f"element face {len(faces)}\n"
                header += "property list int int vertex_index\nend_header"
            rows.insert(0, header)
        path.write_text("\n".join(rows))
        mesh = load_mesh(path)
        assert mesh.is_watertight
        assert mesh.euler_number == 0
        assert mesh.volume == pytest.approx(sides / 2 * np.sin(2 * np.pi / sides) * 3)

    @pytest.mark.parametrize("scale", [2.0**-332, 2.0**332])
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_any_unit_across_any_axis(self, scale, axis):
        flat, polygon = bridged([circle(8, 2.0), circle(8, 1.0)[::-1]], [(0, 0)])
        vertices = np.insert(flat, axis, 0, axis=1)
        small = cut_polygons(vertices, np.array([polygon]))
        assert len(small) == 16
        np.testing.assert_array_equal(cut_polygons(vertices * scale, np.array([polygon])), small)

    def test_points_that_are_not_finite_are_left_to_be_dropped(self):
        flat, polygon = bridged([circle(8, 2.0), circle(8, 1.0)[::-1]], [(0, 0)])
        vertices = np.pad(flat, ((0, 0), (0, 1)))
        vertices[3, 1], vertices[4, 0] = np.nan, np.inf
        with np.errstate(invalid="ignore"):
            triangles = cut_polygons(vertices, np.array([polygon]))
        assert net_edges(triangles, range(16)) == net_edges([polygon], range(16))

    def test_huge_polygons_are_halved_without_waiting(self, monkeypatch):
        flat, polygon = bridged([circle(40, 2.0), circle(40, 1.0)[::-1]], [(0, 0)])
        vertices = np.pad(flat, ((0, 0), (0, 1)))
        monkeypatch.setattr(polygons, "_MOST_EAR_CORNERS", 81)
        triangles = cut_polygons(vertices, np.array([polygon]))
        assert net_edges(triangles, range(80)) == net_edges([polygon], range(80))
        area = np.linalg.norm(area_vectors(vertices, triangles), axis=1).sum()
        assert area > 1.1 * np.linalg.norm(newell(vertices, polygon))


class TestConcave:
    @settings(max_examples=50, deadline=None)
    @given(st.integers(4, 300) | st.just(4), st.integers(0, 2**32 - 1))
    def test_no_triangles_overlap(self, sides, seed):
        generator = np.random.default_rng(seed)
        flat = circle(sides, 1.0, (0, 0), 0.9, generator)
        vertices = in_space(flat, generator)
        found = area_vectors(vertices, cut_polygons(vertices, np.arange(sides)[None]))
        assert np.linalg.norm(found, axis=1).sum() == pytest.approx(flat_area(flat), rel=1e-9)

    def test_spurs_leave_nothing(self):
        vertices = np.array([[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0], [2, 2, 0], [9, 9, 0]])
        for spur in ([0, 4], [0, 5], [0, 4, 5, 4]):
            polygon = [*spur, 0, 1, 2, 3]
            triangles = cut_polygons(vertices * 1.0, np.array([polygon]))
            assert len(triangles) == 2
            assert net_edges(triangles, range(6)) == net_edges([[0, 1, 2, 3]], range(6))

    def test_round_polygons_of_few_decimals_are_halved_too(self):
        vertices = np.pad(circle(4096, 1.0), ((0, 0), (0, 1)))
        polygon = np.arange(4096)[None]
        halves = cut_polygons(vertices, polygon)
        np.testing.assert_array_equal(cut_polygons(vertices.round(5), polygon), halves)


class TestAny:
    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(st.integers(0, 11), min_size=3, max_size=90),
        st.sampled_from(["flat", "grid", "space", "line", "twins"]),
        st.booleans(),
    )
    def test_its_edges_bound_its_triangles(self, polygon, kind, may_overlap):
        generator = np.random.default_rng(0)
        vertices = generator.normal(size=(12, 3))
        if kind == "flat":
            vertices[:, 2] = 0
        if kind == "grid":
            vertices = np.stack(np.meshgrid(range(4), range(3), 0), axis=-1).reshape(-1, 3) * 1.0
        if kind == "line":
            vertices[:, 1:] = 0
        if kind == "twins":
            vertices[6:] = vertices[:6]
        _, place = np.unique(vertices, axis=0, return_inverse=True)
        sizes, corners = np.array([len(polygon)]), np.array(polygon)
        triangles = triangulate(vertices, sizes, corners, may_overlap=may_overlap)
        place = place.ravel().tolist()
        assert net_edges(triangles.tolist(), place) == net_edges([polygon], place)

    @settings(max_examples=60, deadline=None)
    @given(holed_polygons(), st.integers(0, 300))
    def test_copies_are_cut_alike(self, holed, turn):
        vertices, polygon, _ = holed
        self.check_copies(vertices, polygon, turn)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(4, 100), st.integers(0, 300), st.integers(0, 2**32 - 1))
    def test_copies_without_holes_are_cut_alike(self, sides, turn, seed):
        generator = np.random.default_rng(seed)
        flat = circle(sides, 1.0, (0, 0), generator.uniform(0, 0.5), generator)
        polygon = generator.permutation(sides)
        vertices = np.empty((sides, 3))
        vertices[polygon] = in_space(flat, generator)
        self.check_copies(vertices, polygon.tolist(), turn)

    def check_copies(self, vertices, polygon, turn):
        given_ = cut_polygons(vertices, np.array([polygon]))
        turn %= len(polygon)
        back = (polygon[turn:] + polygon[:turn])[::-1]
        both = cut_polygons(vertices, np.array([polygon, back]))
        assert len(both) == 2 * len(given_)

        def counted(faces):
            return Counter(tuple(np.roll(face, -face.argmin()).tolist()) for face in faces)

        assert counted(both) == counted(given_) + counted(given_[:, ::-1])

    def test_a_doubled_plate_with_a_hole_is_one(self):
        flat, cap = bridged([circle(9, 2.0), circle(7, 1.0)[::-1]], [(3, 5)])
        count = len(flat)
        vertices = np.vstack([np.pad(flat, ((0, 0), (0, 1)), constant_values=z) for z in (0, 1)])
        faces = [cap[::-1], [k + count for k in cap]]
        for ring in (np.arange(9), np.arange(9, 16)):
            after = np.roll(ring, -1)
            faces += np.column_stack([ring, after, after + count, ring + count]).tolist()
        faces += [(face[3:] + face[:3])[::-1] for face in faces]
        sizes = np.array([len(face) for face in faces])
        triangles = triangulate(vertices, sizes, np.concatenate(faces))
        mesh = clean_mesh(trimesh.Trimesh(vertices, triangles, process=False), "plate")
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(flat_area(flat[:9]) + flat_area(flat[9:]))
