"""Volumes and places are kept, whatever form glTF gives them."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gltf_writer import CORNERS, Writer, read, volume

# Boxes of whole numbers; times a step they fill what every component type holds.
STEP = 15
whole_boxes = st.tuples(st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(1, 5)] * 3))
forms = st.fixed_dictionaries(
    {
        "component": st.sampled_from(["i1", "u1", "i2", "u2", "f4"]),
        "normalized": st.booleans(),
        "padding": st.sampled_from([0, 1, 4, 9]),
        "offset": st.sampled_from([0, 1, 12]),
        "sparse": st.sampled_from([None, "base", "only"]),
    }
)
indices = st.fixed_dictionaries(
    {"component": st.sampled_from(["u1", "u2", "u4"]), "mode": st.sampled_from([4, 5, 6])}
)
scales = st.tuples(*[st.sampled_from([-2.0, -1.0, 0.5, 1.0, 3.0])] * 3)
rotations = st.tuples(*[st.integers(-3, 3)] * 4).filter(any)
shifts = st.tuples(*[st.integers(-9, 9)] * 3)
parts = st.fixed_dictionaries({"translation": shifts, "rotation": rotations, "scale": scales})


def matrix_of(place):
    """Return the (4, 4) transform that a draw of `parts` stands for."""
    matrix = np.eye(4)
    turn = Rotation.from_quat(place["rotation"]).as_matrix()
    matrix[:3, :3] = turn * place["scale"]
    matrix[:3, 3] = place["translation"]
    return matrix


@st.composite
def places(draw):
    """Return fields of a node for a transform, and the transform."""
    place = draw(parts)
    matrix = matrix_of(place)
    if draw(st.booleans()):
        return {"matrix": matrix.T.ravel().tolist()}, matrix
    length = np.linalg.norm(place["rotation"])
    return {**place, "rotation": [x / length for x in place["rotation"]]}, matrix


def add_plain(draw, writer, low, size, form, unit):
    """Add a mesh of one box; return it, fields for its node, and a factor of its volume.

    The node brings steps, of which one is `unit` as a coordinate, back to whole numbers.
    """
    mesh = writer.mesh(writer.box(low, size, **form), **draw(indices))
    return mesh, {"scale": [1 / unit] * 3}, 1


def add_morph(draw, writer, low, size, form, unit):
    """Add a box of half the height; a target adds the rest, and the mesh's own weights do not."""
    base = writer.box(low * [1, 1, 0], size, **form)
    # Integers may stand for other numbers in each accessor, which this test leaves aside.
    kind = {key: form[key] for key in ("component", "normalized")}
    targets = [
        {"POSITION": writer.accessor(CORNERS[::-1], **form)},
        {"POSITION": writer.accessor(CORNERS * [0, 0, size[2]], **{**draw(forms), **kind})},
    ]
    mesh = writer.mesh(base, targets=targets, weights=[1, 0], **draw(indices))
    return mesh, {"weights": [0, 1], "scale": [1 / unit] * 3}, 2


def add_instances(draw, writer, low, size, form, unit):
    """Add a box at up to three places."""
    mesh, _, _ = add_plain(draw, writer, low, size, form, unit)
    copies = draw(st.lists(parts, min_size=1, max_size=3))
    turns = np.array([copy["rotation"] for copy in copies], dtype=float)
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    component = draw(st.sampled_from(["f4", "i1", "i2"]))
    if component != "f4":
        turns *= np.iinfo(component).max
    attributes = {
        "TRANSLATION": writer.accessor([copy["translation"] for copy in copies]),
        "ROTATION": writer.accessor(turns, component, normalized=component != "f4"),
        "SCALE": writer.accessor([np.array(copy["scale"]) / unit for copy in copies]),
    }
    node = {"extensions": {"EXT_mesh_gpu_instancing": {"attributes": attributes}}}
    return mesh, node, sum(abs(np.prod(copy["scale"])) for copy in copies)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_volumes_are_kept(tmp_path, data):
    writer = Writer()
    expected = 0.0
    for _ in range(data.draw(st.integers(1, 3))):
        add = data.draw(st.sampled_from([add_plain, add_morph, add_instances]))
        (low, size), form = data.draw(whole_boxes), data.draw(forms)
        scaled = form["normalized"] and form["component"] != "f4"
        unit = STEP / np.iinfo(form["component"]).max if scaled else STEP
        low, steps = np.array(low) * STEP, np.array(size) * STEP
        mesh, node, factor = add(data.draw, writer, low, steps, form, unit)
        key = writer.node(root=False, mesh=mesh, **node)
        factor *= np.prod(size)
        for place, matrix in data.draw(st.lists(places(), max_size=3)):
            key = writer.node(root=False, children=[key], **place)
            factor *= abs(np.linalg.det(matrix))
        writer.document["scenes"][0]["nodes"].append(key)
        expected += factor
    mesh = read(tmp_path, writer.glb())
    assert volume(mesh) == pytest.approx(expected, rel=1e-4)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    joints=st.lists(places(), min_size=1, max_size=4),
    target=parts,
    weights=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=32, max_size=32),
    component=st.sampled_from(["f4", "u1", "u2"]),
    root=places(),
    own=places(),
)
def test_skins_stand_where_their_joints_bring_them(
    tmp_path, joints, target, weights, component, root, own
):
    """Joints anywhere, bound so that each of them brings the box to the same place."""
    writer = Writer()
    goal = matrix_of(target)
    keys = [writer.node(root=False, **fields) for fields, _ in joints]
    writer.node(children=keys, **root[0])
    bound = [np.linalg.inv(root[1] @ matrix) @ goal for _, matrix in joints]
    inverse = writer.accessor(np.array(bound).transpose(0, 2, 1).reshape(-1, 16))
    shares = np.reshape(weights, (8, 4))
    shares[~shares.any(axis=1), 0] = 1
    attributes = {
        "JOINTS_0": writer.accessor(np.tile(np.arange(4) % len(joints), (8, 1)), "u1"),
        "WEIGHTS_0": writer.accessor(shares, component, normalized=component != "f4"),
    }
    skin = writer.add("skins", {"joints": keys, "inverseBindMatrices": inverse})
    mesh = writer.mesh(writer.box(), attributes=attributes)
    child = writer.node(root=False, mesh=mesh, skin=skin, **own[0])
    writer.node(children=[child], **own[0])
    found = read(tmp_path, writer.glb())
    assert volume(found) == pytest.approx(abs(np.linalg.det(goal)), rel=1e-3)
    expected = CORNERS @ goal[:3, :3].T + goal[:3, 3]
    np.testing.assert_allclose(found.vertices[:8], expected, atol=1e-3)
