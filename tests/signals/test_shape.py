import numpy as np
import pytest
import trimesh

import doh3d
from doh3d.codec.container import parse
from doh3d.signals.shape import prepare, shape_config


def with_knob(mesh, centre, radius):
    """The mesh and a ball beside it, within its box."""
    knob = trimesh.creation.icosphere(subdivisions=2, radius=radius)
    knob.apply_translation(centre)
    return trimesh.util.concatenate([mesh, knob])


def l_shape():
    """A letter L, 3 wide, 4 high and 1 deep: its own image along z only."""
    upright = trimesh.creation.box((1, 4, 1))
    foot = trimesh.creation.box((2, 1, 1))
    foot.apply_translation((1.5, -1.5, 0))
    return trimesh.util.concatenate([upright, foot])


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_mirror_planes_are_found_and_no_others(box, torus, offset):
    for mesh, axes in ((box, (0, 1, 2)), (torus, (0, 1, 2)), (l_shape(), (2,))):
        mesh.apply_translation((offset, -offset, 0.5 * offset))
        assert prepare(mesh).mirrored == axes


def test_a_small_knob_on_one_side_is_a_difference():
    plate = trimesh.creation.box((4, 4, 0.4))
    posts = [trimesh.creation.box((0.2, 0.2, 2)) for _ in range(2)]
    for post, x in zip(posts, (-1.9, 1.9), strict=True):
        post.apply_translation((x, 0, 1.2))
    mesh = trimesh.util.concatenate([plate, *posts])
    assert prepare(mesh).mirrored == (0, 1)
    # Half a percent of the volume.
    assert prepare(with_knob(mesh, (1, 0.7, 1), 0.2)).mirrored == ()
    assert prepare(with_knob(mesh, (1, 0, 1), 0.2)).mirrored == (1,)


def test_a_mirrored_shape_is_fitted_on_one_side_and_alike_on_both():
    mesh = l_shape()
    shape = doh3d.compress(mesh, preset="fast", latent=60, width=8, depth=2, device="cpu")
    assert shape.code.architecture.mirrored == (2,)
    points = np.random.default_rng(0).uniform(-2, 2, (2000, 3))
    centre = np.array(shape.code.transform.centre)
    field = shape.field("cpu")
    mirror = np.array([1, 1, -1])
    np.testing.assert_array_equal(
        field.logits(centre + points), field.logits(centre + points * mirror)
    )
    whole = doh3d.compress(
        mesh, preset="fast", latent=60, width=8, depth=2, device="cpu", mirror=False
    )
    assert whole.code.architecture.mirrored == ()
    assert parse(shape.data).architecture == shape.config.architecture


def test_adapting_changes_nothing_but_the_mirror_planes(box):
    config = shape_config(latent=100)
    adapted = prepare(box).adapt(config)
    assert adapted.architecture.mirrored == (0, 1, 2)
    assert adapted.architecture.layer_shapes == config.architecture.layer_shapes
