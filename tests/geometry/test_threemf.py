import io
import tracemalloc
import zipfile

import numpy as np
import pytest
import trimesh

from doh3d.errors import MeshError
from doh3d.geometry import formats
from doh3d.geometry.formats import read_mesh
from doh3d.geometry.mesh import load_mesh

TETRAHEDRON = (
    '<object id="1" type="model"><mesh><vertices>'
    '<vertex x="0" y="0" z="0"/><vertex x="1" y="0" z="0"/><vertex x="0" y="1" z="0"/>'
    '<vertex x="0" y="0" z="1"/></vertices><triangles>'
    '<triangle v1="0" v2="2" v3="1"/><triangle v1="0" v2="1" v3="3"/>'
    '<triangle v1="0" v2="3" v3="2"/><triangle v1="1" v2="2" v3="3"/>'
    "</triangles></mesh></object>"
)
CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
PRODUCTION = "http://schemas.microsoft.com/3dmanufacturing/production/2015/06"


def model(objects, items, before=""):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<model unit="millimeter" xmlns="{CORE}" '
        f'xmlns:p="{PRODUCTION}"><resources>{objects}</resources><build>{items}</build></model>'
    )


def save(folder, *models):
    """Write an archive whose first model is the main one, the others being 3D/1.model and on."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, text in enumerate(models):
            archive.writestr("3D/3dmodel.model" if not number else f"3D/{number}.model", text)
    path = folder / "a.3mf"
    path.write_bytes(data.getvalue())
    return path


def assembly(number, part, places):
    rows = [f'<component objectid="{part}" transform="1 0 0 0 1 0 0 0 1 {p}"/>' for p in places]
    return f'<object id="{number}"><components>{"".join(rows)}</components></object>'


@pytest.mark.parametrize("depth", [1, 2, 4, 6])
def test_every_instance_of_nested_assemblies_is_there(tmp_path, depth):
    # Each level doubles what is below it, along another axis or farther out.
    objects = TETRAHEDRON
    for level in range(depth):
        shift = [0, 0, 0]
        shift[level % 3] = 2 * 2 ** (level // 3)
        objects += assembly(level + 2, level + 1, ["0 0 0", " ".join(map(str, shift))])
    mesh = load_mesh(save(tmp_path, model(objects, f'<item objectid="{depth + 1}"/>')))
    assert mesh.body_count == 2**depth
    assert mesh.volume == pytest.approx(2**depth / 6)


def test_transforms_apply_from_the_inside_out_and_mirrors_turn_faces(tmp_path):
    objects = TETRAHEDRON + (
        '<object id="2"><components><component objectid="1" '
        'transform="2 0 0 0 1 0 0 0 1 1 0 0"/></components></object>'
    )
    item = '<item objectid="2" transform="0 1 0 1 0 0 0 0 1 0 0 5"/>'
    mesh = read_mesh(save(tmp_path, model(objects, item)))
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.volume == pytest.approx(1 / 3)
    np.testing.assert_allclose(solid.bounds, [[0, 1, 5], [1, 3, 6]])


def test_objects_in_another_file_of_the_archive(tmp_path):
    main = model("", '<item objectid="1" p:path="/3D/1.model"/>')
    mesh = load_mesh(save(tmp_path, main, model(TETRAHEDRON, "")))
    assert mesh.volume == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("objects", "items", "message"),
    [
        (TETRAHEDRON, "", "no items"),
        (TETRAHEDRON, '<item objectid="7"/>', "object 7 is referred to, but does not exist"),
        (assembly(1, 1, ["0 0 0"]), '<item objectid="1"/>', "or within themselves"),
        (
            assembly(1, 2, ["0 0 0"]) + assembly(2, 1, ["0 0 0"]),
            '<item objectid="1"/>',
            "or within themselves",
        ),
        (TETRAHEDRON.replace('v3="3"', 'v3="4"'), '<item objectid="1"/>', "face 1 uses vertex 4"),
        ("", '<item objectid="1" p:path="/3D/9.model"/>', "has no 3d/9.model"),
    ],
)
def test_what_cannot_be_built_is_refused(tmp_path, objects, items, message):
    with pytest.raises(MeshError, match=message):
        load_mesh(save(tmp_path, model(objects, items)))


def test_many_instances_are_counted_before_they_are_made(tmp_path):
    objects = TETRAHEDRON
    for level in range(60):
        objects += assembly(level + 2, level + 1, ["0 0 0"] * 10)
    with pytest.raises(
        MeshError, match=f"triangles and instances are more than {formats.MOST_FACES}"
    ):
        load_mesh(save(tmp_path, model(objects, '<item objectid="61"/>')))


@pytest.mark.parametrize("filler", ["<!--{}-->", "<a b='{}'/>"])
def test_archives_that_unfold_to_much_are_refused_early(tmp_path, filler):
    path = save(tmp_path, model(TETRAHEDRON + filler.format(" " * (64 << 20)), ""))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    with pytest.raises(MeshError, match=r"longer than|no items"):
        load_mesh(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
    path = save(tmp_path, model(TETRAHEDRON, "") + " " * (300 << 20))
    with pytest.raises(MeshError, match="are larger than"):
        load_mesh(path)


def test_entities_are_refused(tmp_path):
    before = '<!DOCTYPE model [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>'
    with pytest.raises(MeshError, match="entities"):
        load_mesh(save(tmp_path, model(TETRAHEDRON + "&b;", '<item objectid="1"/>', before)))
