import dataclasses

import numpy as np
import pytest
import torch
import trimesh

import doh3d
from doh3d.codec.container import parse, serialize
from doh3d.errors import ConfigError, Doh3dError, MeshError
from doh3d.evaluation.evaluate import field_iou
from doh3d.field import OccupancyField
from doh3d.fitting import memory, rate_control, together
from doh3d.fitting.config import FitConfig
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.losses import LOSSES
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.quantize_fit import quantize_fit
from doh3d.fitting.resumable import fit_signal
from doh3d.fitting.together import fit_latents
from doh3d.geometry.sampling import OccupancySamples
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import split_weights, target_forward
from doh3d.options import CompressOptions
from doh3d.signals.shape import PreparedShape, prepare
from doh3d.signals.shape_plan import PRESETS, Preset

CPU = torch.device("cpu")
SMALL = FitConfig(
    latent=150,
    architecture=Architecture(width=12, depth=2, octaves=2),
    steps=150,
    batch_size=1024,
    pool_size=20_000,
)


def ball(radius, count=20_000):
    points = np.random.default_rng(0).uniform(-1, 1, (count, 3)).astype(np.float32)
    inside = np.linalg.norm(points, axis=1) < radius
    return OccupancySamples(points, inside.astype(np.float32))


def pear(bend):
    """A ball with a bump: no mirror planes but across y, where `bend` is 0."""
    mesh = trimesh.creation.icosphere(subdivisions=3)
    x, y, z = mesh.vertices.T
    mesh.vertices = mesh.vertices * (1 + 0.3 * x + 0.2 * x * z + bend * y)[:, None]
    return mesh


def iou(mesh, shape):
    return field_iou(mesh, OccupancyField(parse(shape.data), "cpu"), points=2**14).iou


@pytest.fixture
def fit_shapes(monkeypatch):
    """Fit shapes under a configuration, whatever the plan has."""

    def fit(shapes, config, *, mirror=True, device=CPU, max_bytes=None):
        def own(shape, options, latent=None):
            sized = dataclasses.replace(config, latent=latent or config.latent)
            return shape.adapt(sized, mirror=options.mirror)

        monkeypatch.setattr(PreparedShape, "config", own)
        options = CompressOptions(mirror=mirror, max_bytes=max_bytes)
        return together.fit_together(shapes, options, device=device)

    return fit


OPTIONS = {
    "qat": {},
    "5 bits": {"bits": 5},
    "ptq": {"quantizer": "ptq", "bits": 10},
    "dense": {"projection": "dense"},
    "sine": {
        "architecture": Architecture(width=12, depth=2, octaves=0, activation="sine", omega=8)
    },
}


# Later steps tell less: bases of the first few gradients' null spaces are as chance has it.
@pytest.mark.parametrize("step", [0, 121])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.usefixtures("double")
def test_a_step_of_many_is_the_step_of_each(options, step):
    config = dataclasses.replace(SMALL, **options)
    pools = [ball(radius, 2048) for radius in (0.5, 0.7, 0.9)]
    pools = [OccupancySamples(p.points.astype(float), p.occupancy.astype(float)) for p in pools]
    together = Optimisation(pools, config, config.learning_rate, CPU)
    together.step(step)
    for k, pool in enumerate(pools):
        alone = Optimisation([pool], config, config.learning_rate, CPU)
        alone.step(step)
        found, expected = together.parameters, alone.parameters
        torch.testing.assert_close(found.latents[k], expected.latents, rtol=0, atol=1e-7)
        torch.testing.assert_close(found.biases[k], expected.biases, rtol=0, atol=1e-7)
    assert float(together.parameters.latents.diff(dim=0).norm(dim=1).min()) > 1e-6


@pytest.mark.parametrize("at_once", [1, 2, 3])
@pytest.mark.parametrize("activation", ["relu", "smooth", "sine"])
def test_gradients_of_many_networks_equal_autograd(monkeypatch, activation, at_once):
    omega = 6 if activation == "sine" else 0
    architecture = Architecture(width=9, depth=2, octaves=1, activation=activation, omega=omega)
    count, batch = 3, 40
    monkeypatch.setattr("doh3d.fitting.gradient._CACHED_ACTIVATIONS", at_once * batch * 9)
    generator = torch.Generator().manual_seed(0)
    backward = TargetBackward(architecture, torch.ones((count, 1)), batch, LOSSES["cross-entropy"])
    for _ in range(2):
        weights = torch.randn(count * architecture.weight_count, generator=generator) / 4
        biases = torch.randn((count, architecture.bias_count), generator=generator) / 4
        features = torch.randn((count, batch, architecture.encoded_dim), generator=generator)
        labels = (torch.rand((count, batch, 1), generator=generator) > 0.5).float()
        found = backward(split_weights(architecture, weights, biases), features, labels)
        weights.requires_grad_()
        biases.requires_grad_()
        split = split_weights(architecture, weights, biases)
        for k in range(count):
            logits = target_forward(architecture, split.of_cell(k), features[k])
            torch.testing.assert_close(backward.outputs[k], logits.detach())
            torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[k]).backward(
                retain_graph=True
            )
        torch.testing.assert_close(found.weights, weights.grad)
        torch.testing.assert_close(found.biases, biases.grad)


@pytest.mark.slow
def test_each_shape_is_as_good_as_alone(fit_shapes, compress_with):
    meshes = [pear(bend) for bend in (0.1, 0.15, 0.2)]
    shapes = [prepare(mesh) for mesh in meshes]
    together = fit_shapes(shapes, SMALL, mirror=False)
    found = [iou(mesh, shape) for mesh, shape in zip(meshes, together, strict=True)]
    alone = [iou(mesh, compress_with(mesh, SMALL)) for mesh in meshes]
    assert np.mean(alone) > 0.9
    assert np.mean(found) == pytest.approx(np.mean(alone), abs=0.01)
    assert len({shape.data for shape in together}) == len(shapes)


def test_the_same_batch_gives_the_same_bytes(fit_shapes):
    shapes = [prepare(pear(bend)) for bend in (0.1, 0.2)]
    first, again = (
        [shape.data for shape in fit_shapes(shapes, SMALL, mirror=False)] for _ in range(2)
    )
    assert first == again


def test_one_shape_gives_the_bytes_that_it_gives_alone(fit_shapes):
    shape = prepare(pear(0.1))
    (found,) = fit_shapes([shape], SMALL, device=CPU)
    config = shape.adapt(SMALL)
    alone = quantize_fit(fit_signal(shape, config, device=CPU), config, shape)
    assert found.data == serialize(alone)
    assert fit_shapes([], SMALL) == []
    assert fit_latents([], SMALL, device=CPU) == []


@pytest.fixture
def groups(monkeypatch):
    """Keep how many shapes are fitted together, and under which mirror planes."""
    seen = []
    original = together.fit_latents

    def watched(samples, config, **options):
        seen.append((len(samples), config[0].architecture.mirrored))
        return original(samples, config, **options)

    monkeypatch.setattr(together, "fit_latents", watched)
    return seen


@pytest.mark.slow
def test_shapes_of_other_mirror_planes_are_fitted_apart_and_come_back_in_order(fit_shapes, groups):
    bends = (0.0, 0.2, 0.0, 0.15)
    shapes = [prepare(pear(bend)) for bend in bends]
    found = fit_shapes(shapes, SMALL, device=CPU)
    assert groups == [(2, (1,)), (2, ())]
    for shape, result in zip(shapes, found, strict=True):
        assert result.config.architecture.mirrored == shape.mirrored
        assert parse(result.data).architecture == result.config.architecture
        assert iou(shape.mesh, result) > 0.85


def test_no_more_samples_are_held_at_once_than_allowed(fit_shapes, groups, monkeypatch):
    each = 4 * SMALL.pool_size * (SMALL.architecture.encoded_dim + 3)
    monkeypatch.setattr(memory, "_CPU_BYTES", 2 * each)
    # So short a fit strays, and would be repeated.
    monkeypatch.setattr(PreparedShape, "strays", lambda *arguments, **options: None)
    shapes = [prepare(pear(bend)) for bend in (0.1, 0.15, 0.2, 0.25)]
    fit_shapes(shapes, dataclasses.replace(SMALL, steps=5), mirror=False)
    assert groups == [(2, ()), (2, ())]


@pytest.mark.slow
def test_a_shape_that_diverges_is_fitted_alone_and_the_others_are_as_without_it(fit_shapes, caplog):
    shapes = [prepare(pear(bend)) for bend in (0.1, 0.2, 0.3)]
    expected = [shape.data for shape in fit_shapes(shapes, SMALL, mirror=False)]
    key = next(iter(shapes[1]._drawn))
    samples = shapes[1].sample(SMALL)

    def fit(step_of_harm):
        """Make the second shape's loss not finite from a step on, in the batch only."""
        original = Optimisation.step

        def harmed(self, step):
            if step == step_of_harm and self.parameters.latents.dim() > 1:
                self.parameters.latents[1] = torch.nan
            original(self, step)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Optimisation, "step", harmed)
            return fit_shapes(shapes, SMALL, mirror=False)

    found = fit(20)
    assert shapes[1]._drawn[key] is samples
    assert [found[0].data, found[2].data] == [expected[0], expected[2]]
    alone = quantize_fit(fit_signal(shapes[1], SMALL, device=CPU), SMALL, shapes[1])
    assert found[1].data == serialize(alone)
    assert "diverged" in caplog.text


def test_a_shape_that_cannot_be_fitted_costs_the_others_nothing(fit_shapes, monkeypatch):
    shapes = [prepare(pear(bend)) for bend in (0.1, 0.2, 0.3)]
    original = type(shapes[1]).sample

    def sample(self, config):
        if self is shapes[1]:
            raise ConfigError("its walls are too thin")
        return original(self, config)

    monkeypatch.setattr(type(shapes[1]), "sample", sample)
    found = fit_shapes(shapes, dataclasses.replace(SMALL, steps=60), mirror=False)
    assert isinstance(found[1], Doh3dError)
    assert [len(found[k].data) > 0 for k in (0, 2)] == [True, True]


@pytest.mark.slow
def test_sizes_are_met_together_and_where_they_are_missed_again_together(
    fit_shapes, groups, monkeypatch
):
    shapes = [prepare(pear(bend)) for bend in (0.1, 0.2, 0.3)]

    found = fit_shapes(shapes, SMALL, mirror=False, max_bytes=300)
    assert all(285 <= len(shape.data) <= 300 for shape in found)
    assert [shape.together for shape in found] == [3] * 3
    steps = {parse(shape.data).latent.step_index for shape in found}
    assert len(steps) > 1 or len({len(shape.data) for shape in found}) > 1

    # As if two of the three had to be cut, at first.
    encode_within = rate_control.encode_within
    cut = iter([0.01, 0.0, 0.01])

    def cut_at_first(*arguments):
        data, excess = encode_within(*arguments)
        return data, next(cut, excess)

    monkeypatch.setattr(rate_control, "encode_within", cut_at_first)
    groups.clear()
    again = fit_shapes(shapes, SMALL, mirror=False, max_bytes=300)
    assert groups == [(3, ()), (2, ())]
    # Asked for less, they may fall short, and err less all the same.
    assert all(270 <= len(shape.data) <= 300 for shape in again)
    assert again[1].data == found[1].data
    assert again[1].together == 3


def test_meshes_in_files_and_in_memory_come_to_files(meshes_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "fast", Preset(steps=240, batch_size=512, pool_size=10_000))
    reports = []
    shapes = doh3d.fit_many(
        [meshes_folder / "sphere.ply", trimesh.creation.icosphere(subdivisions=3)],
        latent=40,
        width=8,
        preset="fast",
        device="cpu",
        progress=reports.append,
    )
    assert [report.step for report in reports][:2] == [50, 100]
    assert reports[-1].step == reports[-1].steps
    assert 0 < reports[-1].loss < reports[0].loss
    assert reports[-1].estimated_bytes > 0
    for shape in shapes:
        shape.save(tmp_path / "shape.doh")
        assert doh3d.load(tmp_path / "shape.doh", "cpu").occupancy([[0.0, 0.0, 0.0]])[0]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"latent": 0}, "latent is 0"),
        ({"max_bytes": 1}, "max_bytes is 1"),
        ({"max_bytes": 900, "latent": 100}, "contradict"),
        ({"device": "tpu"}, "auto, cpu, cuda, mps"),
    ],
)
def test_options_out_of_range_are_named_before_any_work(options, named):
    with pytest.raises(ConfigError, match=named):
        doh3d.fit_many(["never-read.ply"], **options)


def test_a_path_alone_is_no_list_of_meshes():
    with pytest.raises(ConfigError, match="list of meshes"):
        doh3d.fit_many("never-read.ply")


def test_a_mesh_that_cannot_be_read_is_an_error(tmp_path):
    path = tmp_path / "empty.ply"
    path.write_bytes(b"")
    with pytest.raises(MeshError, match=r"empty\.ply"):
        doh3d.fit_many([path])


def test_a_step_leaves_no_tensor_behind_on_the_cpu():
    meta = torch.device("meta")
    for options in ({}, {"quantizer": "ptq"}, {"projection": "dense"}):
        config = dataclasses.replace(SMALL, **options)
        optimisation = Optimisation([ball(0.5, 2048), ball(0.7, 2048)], config, 0.1, meta)
        for step in (0, SMALL.steps - 1):
            optimisation.step(step)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_many_fits_on_cuda_learn_their_shapes(fit_shapes):
    meshes = [pear(bend) for bend in (0.1, 0.2)]
    found = fit_shapes([prepare(mesh) for mesh in meshes], SMALL, device=torch.device("cuda"))
    assert all(iou(mesh, shape) > 0.85 for mesh, shape in zip(meshes, found, strict=True))
