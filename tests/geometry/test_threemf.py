import io
import tracemalloc
import zipfile

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


@pytest.mark.slow
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


def cube_rows(low, high, first=0):
    """Vertices and triangles of a box as 3MF has them, counted from `first`."""
    mesh = trimesh.creation.box(bounds=[low, high])
    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in mesh.vertices.tolist())
    triangles = "".join(
        f'<triangle v1="{a + first}" v2="{b + first}" v3="{c + first}"/>'
        for a, b, c in mesh.faces.tolist()
    )
    return vertices, triangles


def cubes(number, *boxes, kind="model"):
    """An object whose mesh is several boxes, of 8 vertices and 12 triangles each."""
    rows = [cube_rows(*box, 8 * k) for k, box in enumerate(boxes)]
    vertices, triangles = ("".join(part) for part in zip(*rows, strict=True))
    return (
        f'<object id="{number}" type="{kind}" name="thing"><mesh><vertices>{vertices}</vertices>'
        f"<triangles>{triangles}</triangles></mesh></object>"
    )


def enclosed(mesh):
    """Volume of all bodies, what overlaps being counted with each."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume


def pack(folder, parts):
    path = folder / "a.3mf"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


BIG, HALF, OTHER = ((0, 0, 0), (2, 2, 2)), ((-1, -1, 1), (3, 3, 3)), ((5, 0, 0), (6, 1, 1))


def prusa(*types, key="volume_type"):
    rows = "".join(
        f'<volume firstid="{12 * k}" lastid="{12 * k + 11}"><metadata type="volume" key="name" '
        f'value="v{k}"/><metadata type="volume" key="{key}" value="{kind}"/></volume>'
        for k, kind in enumerate(types)
    )
    return f'<config><object id="1">{rows}</object></config>'


class TestSlicers:
    @pytest.mark.parametrize(
        ("kind", "volume", "note"),
        [
            ("ModelPart", 8 + 4**2 * 2, None),
            ("NegativeVolume", 4, "negative volume 'v1' of object 1 'thing' is subtracted"),
            ("ParameterModifier", 8, "modifier 'v1' of object 1 'thing' is no material"),
            ("SupportBlocker", 8, "support blocker 'v1'"),
            ("SupportEnforcer", 8, "support enforcer 'v1'"),
        ],
    )
    def test_volumes_of_a_mesh(self, tmp_path, kind, volume, note):
        path = pack(
            tmp_path,
            {
                "3D/3dmodel.model": model(cubes(1, BIG, HALF), '<item objectid="1"/>'),
                "Metadata/Slic3r_PE_model.config": prusa("ModelPart", kind),
            },
        )
        read = read_mesh(path)
        assert [note is None or note in line for line in read.notes] == [True] * (note is not None)
        assert enclosed(read) == pytest.approx(volume)

    def test_modifiers_as_they_were_noted_first(self, tmp_path):
        notes = prusa("0", "1", key="modifier")
        main = model(cubes(1, BIG, HALF), '<item objectid="1"/>')
        path = pack(tmp_path, {"3D/3dmodel.model": main, "Metadata/Slic3r_PE_model.config": notes})
        assert load_mesh(path).volume == pytest.approx(8)

    @pytest.mark.parametrize(
        ("kind", "volume"),
        [("normal_part", 8 + 4**2 * 2), ("negative_part", 4), ("modifier_part", 8)],
    )
    def test_parts_of_an_assembly(self, tmp_path, kind, volume):
        main = model(
            '<object id="3"><components><component p:path="/3D/Objects/a.model" objectid="1"/>'
            '<component p:path="/3D/Objects/a.model" objectid="2"/></components></object>',
            '<item objectid="3" transform="2 0 0 0 1 0 0 0 1 7 0 0"/>',
        )
        notes = (
            '<config><object id="3"><part id="1" subtype="normal_part"/>'
            f'<part id="2" subtype="{kind}"><metadata key="name" value="cutter"/></part>'
            "</object></config>"
        )
        path = pack(
            tmp_path,
            {
                "3D/3dmodel.model": main,
                "3D/Objects/a.model": model(cubes(1, BIG) + cubes(2, HALF), ""),
                "Metadata/model_settings.config": notes,
            },
        )
        read = read_mesh(path)
        assert enclosed(read) == pytest.approx(2 * volume)
        assert len(read.notes) == (kind != "normal_part")

    def test_negative_volumes_of_open_surfaces_are_refused(self, tmp_path):
        open_box = cubes(1, BIG, HALF).replace('<triangle v1="1"', '<triangle v1="0"', 1)
        parts = {
            "3D/3dmodel.model": model(open_box, '<item objectid="1"/>'),
            "Metadata/Slic3r_PE_model.config": prusa("ModelPart", "NegativeVolume"),
        }
        with pytest.raises(
            MeshError, match=r"object 1 'thing': .* closed surface; subtract it in the slicer"
        ):
            read_mesh(pack(tmp_path, parts))

    def test_what_is_subtracted_whole_is_refused(self, tmp_path):
        parts = {
            "3D/3dmodel.model": model(cubes(1, BIG, BIG), '<item objectid="1"/>'),
            "Metadata/Slic3r_PE_model.config": prusa("ModelPart", "NegativeVolume"),
        }
        with pytest.raises(MeshError, match="object 1 'thing' its negative volumes leave nothing"):
            read_mesh(pack(tmp_path, parts))


@pytest.mark.parametrize("kind", ["support", "solidsupport", "other"])
def test_objects_that_are_no_material_are_left_out_with_a_word(tmp_path, kind):
    items = '<item objectid="1"/><item objectid="2"/>'
    path = save(tmp_path, model(cubes(1, BIG) + cubes(2, OTHER, kind=kind), items))
    assert load_mesh(path).volume == pytest.approx(8)
    assert read_mesh(path).notes == (f"object 2 'thing' is of type {kind} and left out",)


def test_items_that_are_not_printable_are_left_out_beside_others(tmp_path):
    objects = cubes(1, BIG) + cubes(2, OTHER)
    items = '<item objectid="1"/><item objectid="2" printable="0"/>'
    path = save(tmp_path, model(objects, items))
    assert load_mesh(path).volume == pytest.approx(8)
    assert "1 items that are not printable" in read_mesh(path).notes[0]
    path = save(tmp_path, model(objects, '<item objectid="2" printable="0"/>'))
    assert load_mesh(path).volume == pytest.approx(1)


@pytest.mark.parametrize(
    ("unit", "told"), [("micron", "micron"), ("inch", "inch"), ("foot", "foot"), ("meter", "metre")]
)
def test_units_are_told_and_coordinates_kept(tmp_path, unit, told):
    text = model(TETRAHEDRON, '<item objectid="1"/>').replace("millimeter", unit)
    read = read_mesh(save(tmp_path, text))
    assert read.unit == told
    assert read.vertices.max() == 1
    with pytest.raises(MeshError, match="its unit is 'mile'; it must be one of micron"):
        read_mesh(save(tmp_path, text.replace(f'unit="{unit}"', 'unit="mile"')))


@pytest.mark.parametrize("written", ["3D/My Part.model", "3d/my%20part.model"])
@pytest.mark.parametrize("named", ["/3D/My%20Part.model", "/3D/my part.model"])
def test_names_of_parts_are_compared_without_their_encoding(tmp_path, written, named):
    main = model("", f'<item objectid="1" p:path="{named}"/>')
    path = pack(tmp_path, {"3D/3dmodel.model": main, written: model(TETRAHEDRON, "")})
    assert load_mesh(path).volume == pytest.approx(1 / 6)


def test_the_root_is_named_by_the_packages_relationships(tmp_path):
    kind = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
    links = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="a" Type="other" Target="/thumbnail.png"/>'
        f'<Relationship Id="b" Type="{kind}" Target="/Shapes/root%20one.model"/></Relationships>'
    )
    right, wrong = (model(cubes(1, box), '<item objectid="1"/>') for box in (OTHER, BIG))
    parts = {"_rels/.rels": links, "Shapes/root one.model": right, "3D/3dmodel.model": wrong}
    assert load_mesh(pack(tmp_path, parts)).volume == pytest.approx(1)
    del parts["Shapes/root one.model"]
    with pytest.raises(MeshError, match=r"has no shapes/root one\.model"):
        load_mesh(pack(tmp_path, parts))


def test_a_model_that_states_no_unit_is_in_millimetres(tmp_path):
    text = model(TETRAHEDRON, '<item objectid="1"/>').replace('unit="millimeter" ', "")
    assert read_mesh(save(tmp_path, text)).unit == "millimetre"


def test_models_of_different_units_are_refused(tmp_path):
    main = model("", '<item objectid="1" p:path="/3D/1.model"/>')
    other = model(TETRAHEDRON, "").replace("millimeter", "inch")
    with pytest.raises(MeshError, match=r"3d/1\.model is in the unit inch, its root .* millimetre"):
        read_mesh(save(tmp_path, main, other))


def test_a_build_of_nothing_but_supports_is_refused_by_its_reason(tmp_path):
    text = model(cubes(1, BIG, kind="support"), '<item objectid="1"/>')
    with pytest.raises(MeshError, match=r"none of its items is material \(object 1 'thing' is of"):
        read_mesh(save(tmp_path, text))


def test_notes_beyond_the_first_are_counted(tmp_path):
    supports = [cubes(number, OTHER, kind="support") for number in range(2, 52)]
    items = "".join(f'<item objectid="{number}"/>' for number in range(1, 52))
    notes = read_mesh(save(tmp_path, model(cubes(1, BIG) + "".join(supports), items))).notes
    assert len(notes) == 21
    assert notes[0] == "object 2 'thing' is of type support and left out"
    assert notes[-1] == "30 more objects or parts are left out or subtracted"


ITEM = '<item objectid="1"/>'


@pytest.mark.parametrize(
    ("objects", "items", "message"),
    [
        (TETRAHEDRON.replace('id="1" ', ""), ITEM, "a <object> has no attribute id"),
        (TETRAHEDRON, "<item/>", "a <item> has no attribute objectid"),
        (
            TETRAHEDRON.replace(' v2="2"', "", 1),
            ITEM,
            'a <triangle> has v1="0" v3="1"; it must have the whole numbers v1, v2, v3',
        ),
        (TETRAHEDRON.replace('x="0"', 'x="a"', 1), ITEM, 'a <vertex> has x="a" y="0" z="0"; it'),
        (TETRAHEDRON * 2, ITEM, "two objects have the id 1; each must"),
        (
            TETRAHEDRON.replace(
                "</mesh>", '</mesh><components><component objectid="2"/></components>'
            )
            + cubes(2, BIG),
            ITEM,
            "object 1 has a mesh and components; it must have one of them",
        ),
        *(
            (TETRAHEDRON, f'<item objectid="1" transform="{transform}"/>', message)
            for transform, message in [
                ("1 0 0", "placed by the transform '1 0 0'; it must be 12 finite numbers"),
                ("nan 0 0 0 1 0 0 0 1 0 0 0", "must be 12 finite numbers"),
                ("1 2 3 2 4 6 0 0 1 0 0 0", "object 1 is flattened by the transform '1 2 3"),
                ("0 0 0 0 0 0 0 0 0 0 0 0", "object 1 is flattened"),
            ]
        ),
    ],
)
def test_damaged_elements_are_named(tmp_path, objects, items, message):
    with pytest.raises(MeshError, match=message):
        read_mesh(save(tmp_path, model(objects, items)))


def test_thin_but_whole_transforms_are_applied(tmp_path):
    item = '<item objectid="1" transform="1 0 0 0 1e-7 0 0 0 1e-7 0 0 0"/>'
    mesh = read_mesh(save(tmp_path, model(TETRAHEDRON, item)))
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), [1, 1e-7, 1e-7])


SLICES = "http://schemas.microsoft.com/3dmanufacturing/slice/2015/07"
ALTERNATIVES = "http://schemas.microsoft.com/3dmanufacturing/production/alternatives/2021/04"


@pytest.mark.parametrize(
    ("namespace", "attribute", "message"),
    [
        (SLICES, 's:meshresolution="fullres" s:slicestackid="4"', None),
        (SLICES, 's:meshresolution="lowres" s:slicestackid="4"', "object 1 is marked lowres"),
        (ALTERNATIVES, 's:modelresolution="obfuscated"', "object 1 is marked obfuscated"),
    ],
)
def test_a_mesh_that_only_stands_for_the_shape_is_refused(tmp_path, namespace, attribute, message):
    text = model(TETRAHEDRON.replace("type=", f"{attribute} type="), ITEM).replace(
        "xmlns:p=", f'requiredextensions="s" xmlns:s="{namespace}" xmlns:p='
    )
    path = save(tmp_path, text)
    if message is None:
        assert load_mesh(path).volume == pytest.approx(1 / 6)
    else:
        with pytest.raises(MeshError, match=message):
            read_mesh(path)


BEAMS = "http://schemas.microsoft.com/3dmanufacturing/beamlattice/2017/02"
LATTICE = '<b:beamlattice><b:beams><b:beam v1="0" v2="1"/></b:beams></b:beamlattice></mesh>'


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (TETRAHEDRON.replace("</mesh>", LATTICE), "object 1 has a lattice of 1 beams"),
        (
            '<object id="1"><b:displacementmesh><b:vertices/></b:displacementmesh></object>',
            "object 1 consists of a displacement mesh, which is not read; export it as triangles",
        ),
        ('<object id="1"><b:stuff/></object>', "object 1 consists of <stuff>, which is not read"),
        ('<object id="1"><mesh><vertices/><triangles/></mesh></object>', "has no triangles"),
        (
            '<object id="1" b:slicestackid="4"><mesh><vertices/><triangles/></mesh></object>',
            "object 1 consists of a stack of slices, which is not read",
        ),
    ],
)
def test_an_object_that_would_vanish_is_refused(tmp_path, objects, message):
    text = model(objects + cubes(2, BIG), '<item objectid="1"/><item objectid="2"/>')
    with pytest.raises(MeshError, match=message):
        read_mesh(save(tmp_path, text.replace("xmlns:p=", f'xmlns:b="{BEAMS}" xmlns:p=')))


@pytest.mark.parametrize(
    ("required", "known"), [("p", True), ("p b", True), ("x", False), ("p nowhere", False)]
)
def test_extensions_that_are_required_are_known_or_refused_by_name(tmp_path, required, known):
    spaces = f'requiredextensions="{required}" xmlns:b="{BEAMS}" xmlns:x="http://a.org/x" xmlns:p='
    text = model(TETRAHEDRON, '<item objectid="1"/>').replace("xmlns:p=", spaces)
    path = save(tmp_path, text)
    if known:
        assert load_mesh(path).volume == pytest.approx(1 / 6)
    else:
        name = "http://a.org/x" if required == "x" else "nowhere"
        with pytest.raises(MeshError, match=f"requires the extension {name}, which is not read"):
            load_mesh(path)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_trees_of_components_have_the_volumes_of_their_parts(tmp_path, data):
    numbers = st.floats(-2, 2).map(lambda x: round(x, 2))
    objects, volumes = [cubes(1, BIG)], [8.0]
    for number in range(2, 2 + data.draw(st.integers(1, 4))):
        parts, volume = "", 0.0
        for _ in range(data.draw(st.integers(1, 3))):
            child = data.draw(st.integers(1, number - 1))
            matrix = np.array(data.draw(st.lists(numbers, min_size=9, max_size=9))).reshape(3, 3)
            matrix += 5 * np.diag(data.draw(st.sampled_from([(1, 1, 1), (1, -1, 1), (-1, 1, -1)])))
            shift = data.draw(st.lists(numbers, min_size=3, max_size=3))
            words = " ".join(map(str, [*matrix.ravel().tolist(), *shift]))
            parts += f'<component objectid="{child}" transform="{words}"/>'
            volume += abs(np.linalg.det(matrix)) * volumes[child - 1]
        objects.append(f'<object id="{number}"><components>{parts}</components></object>')
        volumes.append(volume)
    items = f'<item objectid="{len(volumes)}"/>'
    mesh = read_mesh(save(tmp_path, model("".join(objects), items)))
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.volume == pytest.approx(volumes[-1], rel=1e-6)
