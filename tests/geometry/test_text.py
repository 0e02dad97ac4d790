"""Text of every encoding and with every line end, and what stands where a number should."""

import struct

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.errors import MeshError
from doh3d.geometry.formats import detect_format, read_mesh
from doh3d.geometry.mesh import load_mesh
from doh3d.geometry.text import as_utf8, to_coordinate

ENCODINGS = {
    "UTF-8 with a mark": ("utf-8", "\ufeff"),
    "UTF-16 LE": ("utf-16-le", "\ufeff"),
    "UTF-16 BE": ("utf-16-be", "\ufeff"),
    "UTF-16 LE without a mark": ("utf-16-le", ""),
    "UTF-16 BE without a mark": ("utf-16-be", ""),
    "UTF-32 LE": ("utf-32-le", "\ufeff"),
    "UTF-32 BE": ("utf-32-be", "\ufeff"),
}
SPELLINGS = ["nan", "-nan", "NaN", "-nan(ind)", "nan(snan)", "nan(0x7ff8)", "1.#IND", "-1.#IND00"]
SPELLINGS += ["1.#QNAN", "-1.#INF", "1.#J", "NaNQ"]


FACES = [(0, 1, 2), (1, 3, 2), (4, 6, 5), (5, 6, 7), (0, 4, 1), (1, 4, 5)]
FACES += [(2, 3, 6), (3, 7, 6), (0, 2, 4), (2, 6, 4), (1, 5, 3), (3, 5, 7)]


def cube_as(kind, last="1", normal="0 0 1"):
    """The unit cube as text; `last` is its last corner's z, and `normal` stands for all of them."""
    corners = [f"{x} {y} {z}" for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    corners[7] = f"1 1 {last}"
    rows = [f"3 {a} {b} {c}" for a, b, c in FACES]
    if kind == "obj":
        rows = [f"vn {normal}", *(f"v {corner}" for corner in corners)]
        rows += [f"f {a + 1}//1 {b + 1}//1 {c + 1}//1" for a, b, c in FACES]
    elif kind == "off":
        rows = ["NOFF", "8 12 0", *(f"{corner} {normal}" for corner in corners), *rows]
    elif kind == "ply":
        names = [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
        header = ["ply", "format ascii 1.0", "element vertex 8", *names, "element face 12"]
        header += ["property list uchar int vertex_indices", "end_header"]
        rows = [*header, *(f"{corner} {normal}" for corner in corners), *rows]
    else:
        rows = ["solid cube"]
        for face in FACES:
            rows += [f"facet normal {normal}", "outer loop"]
            rows += [f"vertex {corners[k]}" for k in face]
            rows += ["endloop", "endfacet"]
        rows.append("endsolid cube")
    return "\n".join([*rows, ""])


def save(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def volume(path):
    mesh = read_mesh(path)
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume


class TestEncodings:
    @pytest.mark.parametrize("kind", ["obj", "ply", "off", "stl"])
    @pytest.mark.parametrize("encoding", ENCODINGS)
    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
    def test_text_is_read_in_any(self, tmp_path, kind, encoding, line_end):
        codec, mark = ENCODINGS[encoding]
        text = mark + cube_as(kind).replace("\n", line_end)
        path = save(tmp_path, f"a.{kind}", text.encode(codec))
        assert volume(path) == pytest.approx(1)

    @pytest.mark.parametrize("kind", ["ply", "off", "stl"])
    @pytest.mark.parametrize("encoding", ENCODINGS)
    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
    def test_the_content_still_says_which_format(self, tmp_path, kind, encoding, line_end):
        codec, mark = ENCODINGS[encoding]
        text = mark + cube_as(kind).replace("\n", line_end)
        assert detect_format(save(tmp_path, "a.obj", text.encode(codec))).lower() == kind

    def test_a_mark_alone_is_an_empty_file(self, tmp_path):
        with pytest.raises(MeshError, match="the file is empty"):
            read_mesh(save(tmp_path, "a.obj", b"\xff\xfe"))

    def test_binary_stl_may_start_with_a_mark(self, tmp_path):
        data = trimesh.creation.box((1, 1, 1)).export(file_type="stl")
        data = "\ufeffsolid".encode() + data[8:]
        assert volume(save(tmp_path, "a.stl", data)) == pytest.approx(1)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=40).filter(lambda data: data[:1] not in b"\xef\xff\xfe\0"))
    def test_other_bytes_come_back(self, data):
        assert as_utf8(data) == data or data[1::2][:8] == bytes(8)


class TestNumbers:
    @pytest.mark.parametrize("word", SPELLINGS)
    def test_nan_in_any_spelling(self, word):
        assert np.isnan(to_coordinate(word))
        assert np.isnan(to_coordinate(word.encode()))

    @pytest.mark.parametrize(
        "word", ["", "x", "1,5", "1.#", "nano", "nan(", "1#IND", "\xff", "--1"]
    )
    def test_other_words_are_refused(self, word):
        with pytest.raises(ValueError, match="is no number"):
            to_coordinate(word.encode("latin-1"))

    @pytest.mark.parametrize("kind", ["obj", "ply", "off", "stl"])
    @pytest.mark.parametrize("word", SPELLINGS)
    def test_a_corner_that_is_none_costs_its_faces(self, tmp_path, caplog, kind, word):
        path = save(tmp_path, f"a.{kind}", cube_as(kind, last=word).encode())
        raw = read_mesh(path)
        broken = np.isnan(raw.vertices[raw.faces]).any(axis=(1, 2))
        assert broken.sum() == sum(7 in face for face in FACES)
        assert len(load_mesh(path).faces) == 12 - broken.sum()
        assert f"{broken.sum()} faces" in caplog.text

    @pytest.mark.parametrize("kind", ["obj", "ply", "off", "stl"])
    def test_a_word_is_named(self, tmp_path, kind):
        path = save(tmp_path, f"a.{kind}", cube_as(kind, last="half").encode())
        with pytest.raises(MeshError, match="'half' is no number"):
            read_mesh(path)

    def test_off_vertex_of_two_numbers(self, tmp_path):
        data = b"OFF\n3 1 0\n0 0 0\n1 0\n0 1 0\n4 0 1 2 0\n"
        with pytest.raises(MeshError, match="vertex 1 has 2 coordinates; three are needed"):
            read_mesh(save(tmp_path, "a.off", data))

    @pytest.mark.parametrize("kind", ["obj", "ply", "off", "stl"])
    @pytest.mark.parametrize("word", [*SPELLINGS, "anything"])
    def test_normals_may_be_anything(self, tmp_path, kind, word):
        text = cube_as(kind, normal=f"{word} {word} 0")
        assert volume(save(tmp_path, f"a.{kind}", text.encode())) == pytest.approx(1)


LISTS = {"even": [[1, 2], [3, 4], [5, 6], [7, 8]], "uneven": [[], [1], [2, 3], [4]]}


class TestPly:
    @pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
    @pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r", b"\n\r"])
    @pytest.mark.parametrize("first", [b"\n", b"\r", b"\n\r", b"\r\n"])
    def test_the_headers_line_end_tells_where_the_body_starts(
        self, tmp_path, form, line_end, first
    ):
        order = ">" if "big" in form else "<"
        # Its first bytes look like one more line's end.
        strange = struct.unpack(order + "f", (first + b"\x80\x3f?")[:4])[0]
        vertices = np.array([[strange, 0, 0], [0, 1, 0], [0, 0, 1], [2, 2, 2]], order + "f4")
        faces = np.array([[3, 0, 1, 2], [3, 0, 3, 1]], order + "i4")
        header = [b"ply", f"format {form} 1.0".encode(), b"element vertex 4"]
        header += [b"comment \xc3\x85 element face 99"]
        header += [b"property float " + axis for axis in (b"x", b"y", b"z")]
        header += [b"element face 2", b"property list int int vertex_indices", b"end_header", b""]
        body = vertices.tobytes() + faces.tobytes()
        if form == "ascii":
            rows = [*vertices.tolist(), *faces.tolist()]
            body = line_end.join(" ".join(map(repr, row)).encode() for row in rows)
        mesh = read_mesh(save(tmp_path, "a.ply", line_end.join(header) + body))
        np.testing.assert_array_equal(mesh.vertices, vertices)
        np.testing.assert_array_equal(mesh.faces, faces[:, 1:])

    def test_the_headers_last_line_may_end_in_another_way(self, tmp_path):
        data = trimesh.creation.box((1, 1, 1)).export(file_type="ply")
        header, body = data.split(b"end_header\n")
        data = header.replace(b"\n", b"\r\n") + b"end_header\n" + body
        assert volume(save(tmp_path, "a.ply", data)) == pytest.approx(1)

    @pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
    @pytest.mark.parametrize("place", [0, 1, 2, 3])
    @pytest.mark.parametrize("lists", LISTS)
    def test_vertices_with_lists(self, tmp_path, form, place, lists):
        corners = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
        faces = [[3, 0, 2, 1], [3, 0, 1, 3], [3, 0, 3, 2], [3, 1, 2, 3]]
        names = ["property float x", "property float y", "property float z"]
        names.insert(place, "property list uchar double weights")
        header = ["ply", f"format {form} 1.0", "element vertex 4", *names, "element face 4"]
        header += ["property list int int vertex_indices", "end_header", ""]
        order = ">" if "big" in form else "<"
        body = b""
        for corner, extra in zip(corners, LISTS[lists], strict=True):
            cells = [(f"{number}", struct.pack(order + "f", number)) for number in corner]
            text = " ".join(map(str, [len(extra), *extra]))
            packed = struct.pack(f"{order}B{len(extra)}d", len(extra), *extra)
            cells.insert(place, (text, packed))
            texts, bytes_ = zip(*cells, strict=True)
            body += " ".join(texts).encode() + b"\n" if form == "ascii" else b"".join(bytes_)
        for face in faces:
            row = " ".join(map(str, face)).encode() + b"\n"
            body += row if form == "ascii" else struct.pack(order + "4i", *face)
        data = "\n".join(header).encode() + body
        assert volume(save(tmp_path, "a.ply", data)) == pytest.approx(1 / 6)
        for length in range(len(data) - len(body), len(data) - 2, 9):
            with pytest.raises(MeshError, match="fewer follow"):
                read_mesh(save(tmp_path, "a.ply", data[:length]))

    def test_coordinates_that_are_lists_are_refused(self, tmp_path):
        text = "ply\nformat ascii 1.0\nelement vertex 1\nproperty list int float x\n"
        text += "property float y\nproperty float z\nend_header\n1 0 0 0\n"
        with pytest.raises(MeshError, match="x, y and z, each a number"):
            read_mesh(save(tmp_path, "a.ply", text.encode()))

    def test_a_property_of_no_element(self, tmp_path):
        text = b"ply\nformat ascii 1.0\nproperty float x\nend_header\n"
        with pytest.raises(MeshError, match="'property float x' comes before the first element"):
            read_mesh(save(tmp_path, "a.ply", text))
