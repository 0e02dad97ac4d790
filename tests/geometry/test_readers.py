"""Mesh files as people have them: every shape of one format, and damage."""

import json
import struct
import tracemalloc

import numpy as np
import pytest
import trimesh

from doh3d.errors import MeshError
from doh3d.geometry import formats, polygons
from doh3d.geometry.formats import detect_format, read_mesh
from doh3d.geometry.mesh import clean_mesh, load_mesh, repair_mesh
from doh3d.geometry.polygons import cut_polygons, triangulate

PLY_HEADER = """ply
format {form} 1.0
comment made by hand
element vertex {vertices}
property float x
property float y
property float z
property uchar red
element face {faces}
property list uchar int vertex_indices
end_header
"""


def as_read(path):
    mesh = read_mesh(path)
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False, validate=False)


def star_prism(points=10):
    """A prism over a star, of two concave polygons and quads, and its volume."""
    angle = np.arange(points) * 2 * np.pi / points
    radius = np.where(np.arange(points) % 2, 0.4, 1.0)
    outline = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    low, high = np.zeros((points, 1)), np.ones((points, 1))
    vertices = np.vstack([np.hstack([outline, low]), np.hstack([outline, high])])
    ring = np.arange(points)
    after = (ring + 1) % points
    polygons = [ring[::-1].tolist(), (ring + points).tolist()]
    polygons += np.column_stack([ring, after, after + points, ring + points]).tolist()
    area = points / 2 * 0.4 * np.sin(2 * np.pi / points)
    return vertices, polygons, area


def write_ply(vertices, polygons, form):
    header = PLY_HEADER.format(form=form, vertices=len(vertices), faces=len(polygons)).encode()
    if form == "ascii":
        rows = [f"{x:.9g} {y:.9g} {z:.9g} 7" for x, y, z in vertices]
        rows += [" ".join(map(str, [len(p), *p])) for p in polygons]
        return header + "\n".join(rows).encode()
    order = "<" if "little" in form else ">"
    body = b"".join(struct.pack(order + "3fB", *v, 7) for v in vertices)
    body += b"".join(struct.pack(f"{order}B{len(p)}i", len(p), *p) for p in polygons)
    return header + body


def write_obj(vertices, polygons):
    rows = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices]
    rows += ["f " + " ".join(str(corner + 1) for corner in p) for p in polygons]
    return "\n".join(rows).encode()


def write_stl(mesh, count=None):
    data = mesh.export(file_type="stl")
    return data[:80] + struct.pack("<I", len(mesh.faces) if count is None else count) + data[84:]


def cube():
    return trimesh.creation.box((1, 1, 1))


def cube_of_quads():
    """The unit cube's vertices and its six sides, wound outwards."""
    vertices = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)])
    sides = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    return vertices, sides


def save(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


class TestPolygons:
    @pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
    @pytest.mark.parametrize("points", [10, 200])
    def test_ply_of_mixed_concave_polygons(self, tmp_path, form, points):
        vertices, polygons, volume = star_prism(points)
        mesh = load_mesh(save(tmp_path, "star.ply", write_ply(vertices, polygons, form)))
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(volume, rel=1e-5)

    @pytest.mark.parametrize("points", [10, 200])
    def test_obj(self, tmp_path, points):
        vertices, polygons, volume = star_prism(points)
        mesh = load_mesh(save(tmp_path, "star.obj", write_obj(vertices, polygons)))
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(volume, rel=1e-5)

    @pytest.mark.parametrize("size", [3, 4, 7, 64, 65, 500])
    def test_convex_polygons_are_cut_exactly(self, size):
        angle = np.arange(size) * 2 * np.pi / size
        vertices = np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])
        triangles = cut_polygons(vertices, np.arange(size)[None])
        a, b, c = vertices[triangles].transpose(1, 0, 2)
        areas = np.cross(b - a, c - a)[:, 2] / 2
        assert triangles.shape == (size - 2, 3)
        assert (areas > 0).all()
        assert areas.sum() == pytest.approx(size / 2 * np.sin(2 * np.pi / size))

    def test_a_large_polygon_has_few_long_triangles(self):
        angle = np.arange(4096) * 2 * np.pi / 4096
        vertices = np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])
        corners = vertices[cut_polygons(vertices, np.arange(4096)[None])]
        longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
        assert (longest > 0.1).sum() < 200

    @pytest.mark.parametrize("turn", [0, 1, 2, 3])
    @pytest.mark.parametrize("step", [1, -1])
    def test_copies_of_a_polygon_are_cut_alike(self, turn, step):
        vertices, sides = cube_of_quads()
        doubled = [*sides, *(np.roll(side, turn)[::step].tolist() for side in sides)]
        corners = np.array(doubled, dtype=np.int64)
        triangles = triangulate(vertices * 1.0, np.full(12, 4), corners.ravel())
        mesh = clean_mesh(trimesh.Trimesh(vertices, triangles, process=False), "cube")
        assert len(mesh.faces) == 12
        assert mesh.volume == pytest.approx(1)

    def test_points_and_lines_are_left_out(self):
        sizes, corners = np.array([2, 3, 1, 0]), np.array([0, 1, 0, 1, 2, 2])
        assert triangulate(np.eye(3), sizes, corners).tolist() == [[0, 1, 2]]

    def test_a_missing_vertex_is_named(self):
        with pytest.raises(ValueError, match="face 1 uses vertex 3, but there are 3 vertices"):
            triangulate(np.eye(3), np.array([3, 4]), np.array([0, 1, 2, 0, 1, 2, 3]))


class TestObj:
    def test_all_groups_and_every_kind_of_corner(self, tmp_path):
        box = cube()
        rows = ["mtllib none.mtl", "o first", "g a b"]
        rows += [f"v {x} {y} {z} 1 0 0" for x, y, z in box.vertices]
        rows += [f"f {a}/1/1 {b}//2 {c}  # corner" for a, b, c in box.faces + 1]
        rows += ["g second", "usemtl red", "s off", "l 1 2", "p 3"]
        rows += [f"\tv\t{x + 4} {y} {z}" for x, y, z in box.vertices]
        rows += [f"f {a} \\\n {b}/7 {c}" for a, b, c in box.faces - 8]
        mesh = load_mesh(save(tmp_path, "a.obj", "\r\n".join(rows)))
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(2)
        np.testing.assert_allclose(mesh.bounds[1], [4.5, 0.5, 0.5])

    @pytest.mark.parametrize(
        ("corner", "message"),
        [
            ("9", "face 1 uses vertex 9, but there are 3, numbered from 1"),
            ("0", "face 1 uses vertex 0"),
            ("-4", "face 1 uses vertex -4"),
            ("1.5", "1.5"),
            ("x", "x"),
        ],
    )
    def test_bad_corner(self, tmp_path, corner, message):
        path = save(tmp_path, "a.obj", f"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 {corner}\n")
        with pytest.raises(MeshError, match=message):
            read_mesh(path)

    def test_lines_may_end_in_carriage_returns_only(self, tmp_path):
        one = write_obj(*cube_of_quads()) + b"\n# the other one\n"
        vertices, sides = cube_of_quads()
        other = write_obj(vertices + [3, 0, 0], (np.array(sides) + 8).tolist())
        data = (one + other).replace(b"f 1 ", b"f \\\n 1 ").replace(b"\n", b"\r")
        mesh = as_read(save(tmp_path, "a.obj", data))
        assert mesh.volume == pytest.approx(2)

    def test_what_is_no_number_is_no_comment(self, tmp_path):
        data = write_obj(*cube_of_quads()).replace(b"v 1 1 1", b"v 1 1 1.#IND # a comment")
        assert np.isnan(read_mesh(save(tmp_path, "a.obj", data)).vertices[7, 2])

    def test_short_vertex(self, tmp_path):
        path = save(tmp_path, "a.obj", "v 0 0 0\nv 1 0\nv 0 1 0\nf 1 2 3\n")
        with pytest.raises(MeshError, match="vertex 2 has fewer than three"):
            read_mesh(path)


class TestStl:
    @pytest.mark.parametrize("count", [12, 0, 7, 2**32 - 1], ids=str)
    def test_binary_count(self, tmp_path, count):
        path = save(tmp_path, "a.stl", write_stl(cube(), count))
        assert load_mesh(path).volume == pytest.approx(1)

    def test_binary_that_ends_early(self, tmp_path):
        with pytest.raises(MeshError, match="13 triangles are announced, but only 12 follow"):
            read_mesh(save(tmp_path, "a.stl", write_stl(cube(), 13)))

    def test_binary_that_starts_like_ascii_and_has_more_behind(self, tmp_path):
        data = b"solid" + write_stl(cube())[5:] + b"behind"
        assert load_mesh(save(tmp_path, "a.stl", data)).volume == pytest.approx(1)

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text,
            str.upper,
            lambda text: text.replace("\n", "\r\n"),
            lambda text: text.replace("outer loop", "outer loop\nnonsense 1 2 3", 1),
            lambda text: text.replace("normal", "normal nan nan nan", 1),
        ],
    )
    def test_ascii(self, tmp_path, change):
        text = trimesh.exchange.stl.export_stl_ascii(cube())
        assert load_mesh(save(tmp_path, "a.stl", change(text))).volume == pytest.approx(1)

    def test_ascii_of_two_solids(self, tmp_path):
        other = cube().apply_translation((3, 0, 0))
        text = "\n".join(trimesh.exchange.stl.export_stl_ascii(mesh) for mesh in (cube(), other))
        assert load_mesh(save(tmp_path, "a.stl", text)).volume == pytest.approx(2)

    def test_ascii_name_of_the_formats_own_words(self, tmp_path):
        text = trimesh.exchange.stl.export_stl_ascii(cube()).splitlines()
        text[0], text[-1] = "solid endfacet vertex 1", "endsolid endfacet vertex 1"
        assert load_mesh(save(tmp_path, "a.stl", "\n".join(text))).volume == pytest.approx(1)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
    def test_ascii_that_ends_early(self, tmp_path, share):
        text = trimesh.exchange.stl.export_stl_ascii(cube())
        with pytest.raises(MeshError, match=r"a\.stl: "):
            load_mesh(save(tmp_path, "a.stl", text[: int(share * len(text))]))

    def test_ascii_vertex_of_four_numbers(self, tmp_path):
        text = trimesh.exchange.stl.export_stl_ascii(cube()).replace("vertex ", "vertex 1 ", 1)
        with pytest.raises(MeshError, match="vertex 0 has 4 coordinates"):
            read_mesh(save(tmp_path, "a.stl", text))


class TestPly:
    @pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
    def test_every_truncation_of_the_faces(self, tmp_path, form):
        vertices, polygons, _ = star_prism()
        whole = write_ply(vertices, polygons, form)
        for length in range(0, len(whole) - 2, 7):
            with pytest.raises(MeshError):
                read_mesh(save(tmp_path, "a.ply", whole[:length]))

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("vertex 20", "vertex -3", "a number of elements is needed"),
            ("vertex 20", "vertex 4000000000", "4000000000 of the element 'vertex'"),
            ("face 12", "face 4000000000", "4000000000 of the element 'face'"),
            ("property float z\n", "", "x, y and z"),
            ("float x", "string x", "no type that PLY knows"),
            ("uchar int", "float int", "counts by a type that is no integer"),
            ("vertex_indices", "corners", "no list vertex_indices"),
            ("end_header", "end", "from 'ply' to 'end_header'"),
            ("binary_little_endian", "binary", "its format is 'binary'"),
        ],
    )
    def test_bad_header(self, tmp_path, old, new, message):
        vertices, polygons, _ = star_prism()
        data = write_ply(vertices, polygons, "binary_little_endian")
        with pytest.raises(MeshError, match=message):
            read_mesh(save(tmp_path, "a.ply", data.replace(old.encode(), new.encode())))

    def test_other_elements_and_lists_are_passed_over(self, tmp_path):
        text = """ply
format ascii 1.0
element camera 1
property float view
property list uchar float matrix
element vertex 4
property double z
property double y
property double x
element face 4
property uchar flags
property list uchar float texcoord
property list uchar int vertex_index
end_header
0.5 2 1 2
0 0 0  0 0 1  0 1 0  1 0 0
1 2 0 0 3 0 2 1
1 0 3 0 1 3
1 1 0 3 0 3 2
1 0 3 1 2 3
"""
        assert abs(as_read(save(tmp_path, "a.ply", text)).volume) == pytest.approx(1 / 6)

    @pytest.mark.parametrize("binary", [False, True])
    def test_strips_in_several_rows_stay_apart(self, tmp_path, binary):
        vertices, polygons = cube_of_quads()
        strips = [[4, a, b, d, c] for a, b, c, d in polygons]
        form = "binary_big_endian" if binary else "ascii"
        text = f"""ply
format {form} 1.0
element vertex 8
property float x
property float y
property float z
element tristrips 6
property list int int vertex_indices
end_header
"""
        if binary:
            body = vertices.astype(">f4").tobytes() + np.array(strips, ">i4").tobytes()
        else:
            body = "\n".join(" ".join(map(str, row)) for row in [*vertices, *strips]).encode()
        mesh = as_read(save(tmp_path, "a.ply", text.encode() + body))
        assert len(mesh.faces) == 12
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(1)

    def test_a_comment_may_speak_of_the_headers_end(self, tmp_path):
        data = write_ply(*star_prism()[:2], "ascii")
        data = data.replace(b"made by hand", b"no end_header yet")
        assert load_mesh(save(tmp_path, "a.ply", data)).volume == pytest.approx(star_prism()[2])

    @pytest.mark.parametrize("corner", [-1, 20])
    def test_missing_vertex(self, tmp_path, corner):
        vertices, polygons, _ = star_prism()
        polygons[4][1] = corner
        for form in ("ascii", "binary_big_endian"):
            with pytest.raises(MeshError, match=f"face 4 uses vertex {corner}, but there are 20"):
                read_mesh(save(tmp_path, "a.ply", write_ply(vertices, polygons, form)))


class TestOff:
    NUMBERS = "8 6 12 " + " ".join(
        [*(f"{n + 0.25}" for n in cube_of_quads()[0].ravel())]
        + [f"4 {a} {b} {c} {d}" for a, b, c, d in cube_of_quads()[1]]
    )

    @pytest.mark.parametrize("breaks", ["one line", "a number a line", "counts apart"])
    def test_line_breaks_mean_nothing(self, tmp_path, breaks):
        text = "OFF " + self.NUMBERS
        if breaks == "a number a line":
            text = text.replace(" ", "\n")
        if breaks == "counts apart":
            text = text.replace("OFF 8 6 12", "OFF\n8 6 12\n")
        assert load_mesh(save(tmp_path, "a.off", text)).volume == pytest.approx(1)

    @pytest.mark.parametrize("colour", ["255 0 0 255", "0 0 0 0", "1.0 0.5 0.5 1.0"])
    def test_colours_without_line_breaks_are_refused(self, tmp_path, colour):
        vertices, sides = cube_of_quads()
        rows = [f"{x} {y} {z} {colour}" for x, y, z in vertices]
        rows += [" ".join(map(str, [4, *side])) for side in sides]
        text = "COFF\n8 6 12\n" + "\n".join(rows)
        assert load_mesh(save(tmp_path, "a.off", text)).volume == pytest.approx(1)
        text = "COFF\n8 6 12\n" + " ".join(rows)
        with pytest.raises(MeshError, match="need one vertex, or one face, a line"):
            load_mesh(save(tmp_path, "a.off", text))


class TestFormats:
    @pytest.mark.parametrize("true", ["ply", "stl", "off", "glb"])
    @pytest.mark.parametrize("said", ["ply", "obj", "stl", "off", "glb", "3mf"])
    def test_the_content_says_which_format(self, tmp_path, true, said):
        data = cube().export(file_type="stl_ascii" if true == "stl" else true)
        path = save(tmp_path, f"a.{said}", data)
        assert detect_format(path).lower() == true
        assert load_mesh(path).volume == pytest.approx(1)

    @pytest.mark.parametrize("name", ["a.ply", "a.obj", "a.stl", "a.off", "a.glb", "a.gltf"])
    def test_archives(self, tmp_path, name):
        with pytest.raises(MeshError, match="is a zip archive, not a mesh"):
            read_mesh(save(tmp_path, name, b"PK\x03\x04" + bytes(100)))

    @pytest.mark.parametrize("extension", ["ply", "obj", "stl", "off", "glb", "gltf", "3mf"])
    @pytest.mark.parametrize(
        "data", [b"\0", bytes(3000), b"some words\n" * 99, bytes(range(256)) * 9], ids=len
    )
    def test_files_that_are_no_mesh(self, tmp_path, capfd, extension, data):
        with pytest.raises(MeshError, match=rf"a\.{extension}: "):
            load_mesh(save(tmp_path, f"a.{extension}", data))
        assert capfd.readouterr() == ("", "")

    def test_every_truncation_of_a_glb(self, tmp_path):
        whole = trimesh.Scene(cube()).export(file_type="glb")
        for length in range(1, len(whole) - 4, 37):
            with pytest.raises(MeshError):
                read_mesh(save(tmp_path, "a.glb", whole[:length]))

    def test_packed_gltf(self, tmp_path):
        data = (
            b'{"asset": {"version": "2.0"}, "extensionsRequired": ["KHR_draco_mesh_compression"]}'
        )
        with pytest.raises(MeshError, match="packed with Draco; export it without"):
            read_mesh(save(tmp_path, "a.gltf", data))

    def test_too_many_faces(self, tmp_path, monkeypatch):
        monkeypatch.setattr(formats, "MOST_FACES", 11)
        for name in ("a.ply", "a.glb"):
            data = trimesh.Scene(cube()).export(file_type="glb")
            data = data if name == "a.glb" else cube().export(file_type="ply")
            with pytest.raises(MeshError, match="simplify it first"):
                read_mesh(save(tmp_path, name, data))

    def test_instances_are_counted_before_they_are_made(self, tmp_path, monkeypatch):
        scene = trimesh.Scene(cube())
        for k in range(4):
            scene.graph.update(
                frame_to=f"copy {k}",
                geometry=next(iter(scene.geometry)),
                matrix=trimesh.transformations.translation_matrix((2 * k + 2, 0, 0)),
            )
        path = save(tmp_path, "a.glb", scene.export(file_type="glb"))
        assert len(read_mesh(path).faces) == 60
        monkeypatch.setattr(formats, "MOST_FACES", 59)
        with pytest.raises(MeshError, match="its 60 triangles are more than 59"):
            read_mesh(path)


class TestSizes:
    """What is too large is refused before room is made for it."""

    @pytest.mark.parametrize("binary", [False, True])
    def test_accessors_of_nothing(self, tmp_path, binary):
        files = trimesh.exchange.gltf.export_gltf(trimesh.Scene(cube()))
        document = json.loads(files["model.gltf"])
        for accessor in document["accessors"]:
            accessor["count"] = 10**8
            del accessor["bufferView"]
        if binary:
            text = json.dumps(document).encode()
            text += b" " * (-len(text) % 4)
            header = struct.pack("<4s4I", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A)
            path = save(tmp_path, "a.glb", header + text)
        else:
            for name, data in files.items():
                (tmp_path / name).write_bytes(data)
            path = save(tmp_path, "model.gltf", json.dumps(document).encode())
        tracemalloc.start()
        with pytest.raises(MeshError, match="its 33333333 triangles are more than"):
            read_mesh(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20

    @pytest.mark.parametrize("extension", ["ply", "obj", "off", "stl"])
    def test_faces_are_counted_first(self, tmp_path, monkeypatch, extension):
        monkeypatch.setattr(polygons, "MOST_FACES", 11)
        path = tmp_path / f"a.{extension}"
        cube().export(path)
        with pytest.raises(MeshError, match="its 12 faces are more than 11; simplify it first"):
            read_mesh(path)

    def test_bytes(self, tmp_path):
        path = tmp_path / "a.ply"
        with path.open("wb") as file:
            file.write(b"ply\n")
            file.truncate(1 << 30)
        with pytest.raises(MeshError, match="has 1073741824 bytes; at most 536870912 are read"):
            read_mesh(path)


def test_a_face_takes_little_memory_to_clean():
    turn = np.arange(300) * 2 * np.pi / 300
    u, v = np.meshgrid(turn, turn, indexing="ij")
    rows = np.stack([(2 + np.cos(v)) * np.cos(u), (2 + np.cos(v)) * np.sin(u), np.sin(v)], axis=-1)
    a = np.arange(300 * 300).reshape(300, 300)
    b, c, d = np.roll(a, -1, 0), np.roll(a, -1, (0, 1)), np.roll(a, -1, 1)
    faces = np.concatenate([np.stack(f, axis=-1).reshape(-1, 3) for f in ((a, b, c), (a, c, d))])
    mesh = trimesh.Trimesh(rows.reshape(-1, 3), faces, process=False)
    repair_mesh(mesh, "torus")
    tracemalloc.start()
    repair_mesh(mesh, "torus")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / len(faces) < 550
