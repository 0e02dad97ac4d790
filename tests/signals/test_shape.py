import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

import doh3d
from doh3d.codec.container import parse, serialize
from doh3d.codec.extras import Extras
from doh3d.errors import ConfigError
from doh3d.evaluation.evaluate import mesh_iou
from doh3d.fitting.quantize_fit import empty_code
from doh3d.fitting.rate_control import payload_bits_for
from doh3d.options import CompressOptions
from doh3d.signals import shape_plan
from doh3d.signals.shape import PreparedShape, prepare, shape_config


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


@pytest.fixture
def quick(monkeypatch, no_peers):
    """Fits that learn next to nothing."""
    preset = shape_plan.Preset(steps=30, batch_size=512, pool_size=5_000)
    monkeypatch.setitem(shape_plan.PRESETS, "fast", preset)
    # They stray everywhere, and would be repeated.
    monkeypatch.setattr(PreparedShape, "strays", lambda *_, **__: None)


def test_a_mirrored_shape_is_fitted_on_one_side_and_alike_on_both(quick):
    prepared = prepare(l_shape())
    shape = doh3d.compress(prepared, preset="fast", latent=60, width=8, depth=2, device="cpu")
    assert shape.code.architecture.mirrored == (2,)
    points = np.random.default_rng(0).uniform(-2, 2, (2000, 3))
    centre = np.array(shape.code.transform.centre)
    field = shape.field("cpu")
    mirror = np.array([1, 1, -1])
    np.testing.assert_array_equal(
        field.logits(centre + points), field.logits(centre + points * mirror)
    )
    whole = doh3d.compress(
        prepared, preset="fast", latent=60, width=8, depth=2, device="cpu", mirror=False
    )
    assert whole.code.architecture.mirrored == ()
    assert parse(shape.data).architecture == shape.config.architecture


def test_adapting_changes_nothing_but_the_mirror_planes(box):
    config = shape_config(latent=100)
    adapted = prepare(box).adapt(config)
    assert adapted.architecture.mirrored == (0, 1, 2)
    assert adapted.architecture.layer_shapes == config.architecture.layer_shapes


def test_what_a_file_says_beside_the_shape_is_within_its_size(box):
    options = CompressOptions(max_bytes=1000)
    shape = prepare(box)
    named = replace(shape, extras=Extras(name="x" * 200))
    # A byte more of features, the length, type and length of the field, and the field.
    assert named.latent_for_bytes(1000) == shape.latent_for_bytes(1000 - 205)
    config = named.config(options, 800)
    difference = payload_bits_for(shape, config, 1000) - payload_bits_for(named, config, 1000)
    assert difference == 8 * (1 + 205)
    code = empty_code(config, named)
    assert parse(serialize(code)).extras == named.extras
    assert named.identity() != shape.identity()
    unknown = replace(shape, extras=Extras(unknown=((9, bytes(1000)),)))
    with pytest.raises(ConfigError, match="1000 bytes has no room for the signal: all else takes"):
        payload_bits_for(unknown, config, 1000)


def test_a_shape_lies_where_few_bytes_say_it_does(box):
    moved = prepare(box.copy().apply_translation((0.013, 0.02, 0.03)))
    # Its mirror planes need to be where they are.
    assert moved.mirrored == (0, 1, 2)
    assert moved.transform.form == 1
    assert np.abs(moved.middle).max() < 2e-5
    corner = box.copy()
    corner.vertices[0] *= 0.7
    lone = prepare(corner.apply_translation((0.013, 0.02, 0.03)))
    assert lone.mirrored == ()
    assert lone.transform.form == 0
    assert 0 < np.abs(lone.middle).max() <= 2**-8
    assert (np.abs(lone.normalized.bounds) < (np.array(lone.extents) + 1) / 32).all()
    world = lone.transform.to_world(lone.normalized.vertices)
    np.testing.assert_allclose(world, lone.mesh.vertices, atol=1e-12)


def test_with_cells_a_shape_lies_where_more_bytes_say_it_does(box):
    corner = box.copy()
    corner.vertices[0] *= 0.7
    shape = prepare(corner.apply_translation((0.013, 0.02, 0.03)))
    one, cells = (
        shape.adapt(replace(shape_config(latent=400, levels=n), pool_size=4096)) for n in (0, 2)
    )
    assert shape.placed(one) is shape
    finely = shape.placed(cells)
    assert np.abs(finely.middle).max() < 2e-5 < np.abs(shape.middle).max()
    assert [empty_code(each, shape).transform.form for each in (one, cells)] == [0, 1]
    # What is sampled lies where the file says.
    for config in (one, cells):
        code, samples = empty_code(config, shape), shape.sample(config)
        world = code.transform.to_world(samples.points)
        placed = shape.placed(config)
        assert (placed.extents, placed.transform) == (code.extents, code.transform)
        known = placed.inside(code.transform.to_normalized(world))
        assert (known == (samples.inside > 0.5)).mean() > 0.99
        assert samples is shape.sample(config)


def test_a_shape_goes_with_its_last_holder(box):
    shape = prepare(box)
    config = replace(shape.adapt(shape_config(latent=400, levels=2)), pool_size=4096)
    shape.sample(config)
    # It lies finely already.
    assert shape.placed(config) is shape
    left = weakref.ref(shape)
    gc.disable()
    try:
        del shape
        assert left() is None
    finally:
        gc.enable()


def in_random_axes(mesh, seed, offset=0.0, scale=1.0):
    """The mesh turned, scaled and moved."""
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.random(random_state=seed).as_matrix()
    matrix[:3, 3] = offset * scale * np.array([1.0, -0.7, 0.4])
    return mesh.copy().apply_transform(matrix)


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1.0), (1e5, 1.0), (3.0, 1e-20), (1.0, 1e25)])
def test_a_turned_part_is_normalised_as_the_part_is(offset, scale):
    straight = prepare(l_shape())
    mesh = in_random_axes(l_shape(), 3, offset, scale)
    turned = prepare(mesh)
    assert straight.transform.frame == (0, 0, 0)
    assert turned.transform.frame != (0, 0, 0)
    # Both scales are rounded up, each by a 256th at most.
    difference = np.subtract(sorted(straight.extents), sorted(turned.extents))
    assert np.abs(difference).max() <= 1
    assert len(turned.mirrored) == 1
    normals = np.abs(turned.normalized.face_normals)
    assert normals.max(axis=1).min() > 1 - 1e-8
    np.testing.assert_allclose(
        turned.transform.to_world(turned.normalized.vertices),
        turned.mesh.vertices,
        atol=1e-6 * scale,
    )
    assert turned.normalized.volume > 0
    # Mirrored about a plane that lies anywhere: its place is told finely, far off in more bytes.
    assert turned.transform.form == (2 if offset == 1e5 else 1)
    assert np.abs(turned.middle[list(turned.mirrored)]).max() < 3e-5


@pytest.mark.slow
def test_a_turned_part_errs_as_the_part_does_and_decodes_where_it_lies():
    errors = []
    for mesh in (l_shape(), in_random_axes(l_shape(), 5, offset=30.0)):
        shape = doh3d.compress(mesh, preset="fast", latent=120, width=12, depth=2, device="cpu")
        field = doh3d.OccupancyField(parse(shape.data), "cpu")
        extracted = field.to_mesh(96)
        assert extracted.is_watertight
        assert extracted.volume == pytest.approx(mesh.volume, rel=0.05)
        np.testing.assert_allclose(extracted.bounds, mesh.bounds, atol=0.15)
        errors.append(1 - mesh_iou(mesh, extracted, points=2**17).iou)
    assert errors[1] < 1.5 * errors[0]
    assert errors[0] < 1.5 * errors[1]


@pytest.mark.slow
def test_shapes_in_several_frames_are_fitted_together_as_alone(monkeypatch):
    preset = shape_plan.Preset(steps=200, batch_size=1024, pool_size=20_000)
    monkeypatch.setitem(shape_plan.PRESETS, "fast", preset)
    meshes = [in_random_axes(l_shape(), seed) for seed in (1, 2)]
    options = {"preset": "fast", "latent": 60, "width": 8, "depth": 2, "device": "cpu"}
    together = doh3d.fit_many(meshes, **options)
    for shape, mesh in zip(together, meshes, strict=True):
        assert shape.code.transform.frame == prepare(mesh).transform.frame != (0, 0, 0)
        # A frame that was another's would leave about half of the volume in common.
        extracted = doh3d.OccupancyField(shape.code, "cpu").to_mesh(48)
        assert mesh_iou(mesh, extracted, points=2**15).iou > 0.8
