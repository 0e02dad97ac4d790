"""Fits of signals whose domain is cut into cells."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh
from torch.nn.functional import binary_cross_entropy_with_logits

from doh3d.codec.container import parse, serialize
from doh3d.errors import ConfigError
from doh3d.evaluation.evaluate import field_iou
from doh3d.field import OccupancyField, decode_weights
from doh3d.fitting.batches import ImportanceSampling
from doh3d.fitting.config import FitConfig, SurfaceSampling
from doh3d.fitting.curvature import BASIS_INTERVAL, WeightCurvature
from doh3d.fitting.fit import fit_latent
from doh3d.fitting.gradient import TargetBackward
from doh3d.fitting.losses import LEAST_SQUARED_ERROR, LOSSES
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.pool import Pool
from doh3d.fitting.quantize_fit import quantize_fit
from doh3d.fitting.together import fit_together
from doh3d.geometry.sampling import OccupancySamples
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.cells import cells_of
from doh3d.hypernetwork.partition import Partition, balanced_partition
from doh3d.hypernetwork.target import evaluate_points, split_weights, target_forward
from doh3d.options import CompressOptions
from doh3d.signals.shape import PreparedShape, prepare, shape_config

CPU = torch.device("cpu")
UNIT = ((-1.0,) * 3, (1.0,) * 3)
HALF = ((0.0, -1.0, -1.0), (1.0,) * 3)
SMALL = FitConfig(
    latent=150,
    architecture=Architecture(width=8, depth=2, octaves=1),
    levels=2,
    steps=150,
    batch_size=2048,
    pool_size=20_000,
)

OVERLAP = 0.02


def in_cells(config=SMALL, box=UNIT, **changes):
    """The configuration with its box cut in the middle."""
    partition = balanced_partition(*box, None, config.levels)
    mirrored = tuple(axis for axis in range(3) if box[0][axis] == 0)
    network = dataclasses.replace(config.architecture, partition=partition, mirrored=mirrored)
    return dataclasses.replace(config, architecture=network, **changes)


def ball_samples(count=20_000, radius=0.7):
    points = np.random.default_rng(0).uniform(-1, 1, (count, 3)).astype(np.float32)
    inside = np.linalg.norm(points, axis=1) < radius
    return OccupancySamples(points, inside.astype(np.float32))


def bump(stretch=1.0):
    """A ball with a bump, mirrored across no plane."""
    mesh = trimesh.creation.icosphere(subdivisions=3)
    x, y, z = mesh.vertices.T
    mesh.vertices = mesh.vertices * (1 + 0.3 * x + 0.2 * x * z + 0.15 * y)[:, None]
    mesh.vertices[:, 0] *= stretch
    return mesh


# Samples.


@pytest.mark.parametrize("box", [UNIT, HALF], ids=["whole", "mirrored"])
def test_a_pool_has_a_cells_samples_and_those_just_beyond_its_faces_in_order(box):
    architecture = in_cells(box=box).architecture
    samples = ball_samples(3000)
    found = Pool.of(architecture, samples, OVERLAP)
    points = samples.points.copy()
    if architecture.mirrored:
        points[:, 0] = np.abs(points[:, 0])
    partition = architecture.partition
    cells = cells_of(partition, torch.from_numpy(points)).numpy()
    # What the cells themselves have is their weight; what they see beyond is not.
    np.testing.assert_allclose(found.shares.numpy(), np.bincount(cells) / 3000, rtol=1e-6)
    wanted = []
    for cell in range(partition.cells):
        inside = (points - partition.centres[cell]) / partition.half_sides[cell]
        reached = np.abs(inside).max(axis=1) < 1 + OVERLAP
        assert reached[cells == cell].all()
        assert reached.sum() > (cells == cell).sum()
        wanted.append((inside[reached], samples.values[reached]))
    shortest = min(len(inside) for inside, _ in wanted)
    for cell, (inside, values) in enumerate(wanted):
        np.testing.assert_allclose(found.coordinates[cell], inside[:shortest], rtol=1e-5, atol=1e-6)
        assert np.array_equal(found.values[cell], values[:shortest])


def test_points_near_a_face_are_in_both_pools_and_others_in_one():
    architecture = in_cells(dataclasses.replace(SMALL, levels=1)).architecture
    # Cells half as wide as the box: their half side is a half.
    reach = OVERLAP / 2
    x = np.array([-0.9, -1.1 * reach, -0.9 * reach, 0.0, 0.9 * reach, 1.1 * reach, 0.9])
    points = np.zeros((7, 3), dtype=np.float32)
    points[:, 0] = x
    pool = Pool.of(architecture, OccupancySamples(points, np.arange(7, dtype=np.float32)), OVERLAP)
    assert pool.values[:, :, 0].tolist() == [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6]]
    assert pool.shares.tolist() == pytest.approx([3 / 7, 4 / 7])


def test_pools_that_do_not_overlap_have_each_sample_once():
    architecture = in_cells(dataclasses.replace(SMALL, levels=1)).architecture
    points = np.zeros((4, 3), dtype=np.float32)
    points[:, 0] = [-0.5, 0.0, -1e-6, 0.5]
    pool = Pool.of(architecture, OccupancySamples(points, np.arange(4, dtype=np.float32)))
    assert pool.values[:, :, 0].tolist() == [[0, 2], [1, 3]]


def test_a_fit_shows_networks_what_its_overlap_says():
    counts = [
        Optimisation([ball_samples()], in_cells(overlap=overlap), 0.3, CPU).pools.values.shape[1]
        for overlap in (0.0, 0.2)
    ]
    # Each of four cells has a neighbour along two axes.
    assert 1.15 < counts[1] / counts[0] < 1.3


def test_one_network_has_all_samples_as_they_are():
    samples = ball_samples(500)
    pool = Pool.of(SMALL.architecture, samples, OVERLAP)
    assert len(pool.coordinates) == 1
    assert pool.coordinates[0].numpy().tobytes() == samples.points.tobytes()
    assert pool.values[0].numpy().tobytes() == samples.values.tobytes()
    assert pool.shares.tolist() == [1]


def test_a_cell_without_samples_is_named():
    samples = ball_samples(2000)
    one_side = OccupancySamples(np.abs(samples.points), samples.occupancy)
    with pytest.raises(ConfigError, match="2000 samples leave one of 4 cells empty"):
        Pool.of(in_cells().architecture, one_side)


# Gradients.


@pytest.mark.parametrize("at_once", [1, 3, 4])
@pytest.mark.parametrize("activation", ["relu", "smooth", "sine"])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_cells_equal_autograd(monkeypatch, loss, activation, at_once):
    batch, channels = 40, 1 if loss == "cross-entropy" else 3
    monkeypatch.setattr("doh3d.fitting.gradient._CACHED_ACTIVATIONS", at_once * batch * 9)
    architecture = Architecture(
        width=9,
        depth=2,
        octaves=1,
        activation=activation,
        omega=6 if activation == "sine" else 0,
        out_dim=channels,
        partition=balanced_partition(*UNIT, None, 2),
    )
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    backward = TargetBackward(architecture.of_a_cell, shares[None], batch, LOSSES[loss])
    # Twice: buffers must keep nothing of the batch before.
    for _ in range(2):
        weights = torch.randn(architecture.weight_count, generator=generator) / 4
        biases = torch.randn(architecture.bias_count, generator=generator) / 4
        features = torch.randn((4, batch, architecture.encoded_dim), generator=generator)
        values = (torch.rand((4, batch, channels), generator=generator) > 0.5).float()
        found = backward(split_weights(architecture, weights, biases), features, values)
        weights.requires_grad_()
        biases.requires_grad_()
        target = split_weights(architecture, weights, biases)
        outputs = torch.stack(
            [
                target_forward(architecture.of_a_cell, target.of_cell(cell), features[cell])
                for cell in range(4)
            ]
        )
        if loss == "cross-entropy":
            each = binary_cross_entropy_with_logits(outputs, values, reduction="none")
            total = (each.mean(dim=(1, 2)) * shares).sum()
        else:
            each = (outputs - values).square()
            total = ((each.mean(dim=(1, 2)) * shares).sum() + LEAST_SQUARED_ERROR).log()
        total.backward()
        torch.testing.assert_close(backward.outputs, outputs.detach())
        torch.testing.assert_close(found.weights, weights.grad)
        torch.testing.assert_close(found.biases.view(-1), biases.grad)


def learn(curvature, gradient):
    """Give a gradient to a curvature, whose bases follow as in a step."""
    curvature.see(gradient)
    if curvature.updates % BASIS_INTERVAL == 0:
        curvature.follow()
    curvature.learn(gradient)


def test_the_metric_of_cells_is_that_of_each_and_one_trace():
    shapes, count = [(6, 6), (5, 5)], 3
    together = WeightCurvature(shapes, CPU, cells=count)
    alone = [WeightCurvature(shapes, CPU) for _ in range(count)]
    generator = torch.Generator().manual_seed(0)

    def joined(each):
        return torch.cat([part.reshape(-1) for part in each.split([36, 25], dim=1)])

    for _ in range(12):
        gradients = torch.randn((count, 61), generator=generator)
        learn(together, joined(gradients))
        for curvature, gradient in zip(alone, gradients, strict=True):
            learn(curvature, gradient)
    weights = torch.randn((count, 61), generator=generator)
    each = [curvature.multiply(w) for curvature, w in zip(alone, weights, strict=True)]
    torch.testing.assert_close(
        together.multiply(joined(weights)), joined(torch.stack(each)), rtol=1e-3, atol=1e-4
    )
    assert together.trace().shape == ()
    assert float(together.trace()) == pytest.approx(sum(float(c.trace()) for c in alone), rel=1e-4)


# Steps and whole fits.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quantizer": "ptq"},
        {"projection": "dense"},
        {"optimizer": "adam"},
        {"loss": "log-squared-error"},
    ],
    ids=repr,
)
def test_a_step_leaves_no_tensor_behind_on_the_cpu(options):
    # On the meta device any operation with a CPU tensor of more than one element fails.
    config = in_cells(**options)
    optimisation = Optimisation([ball_samples(2048)], config, 0.01, torch.device("meta"))
    for step in (0, SMALL.steps - 1):
        optimisation.step(step)
        loss, _ = optimisation.last_loss()
        assert loss.device.type == "meta"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quantizer": "ptq", "bits": 10},
        pytest.param({"bits": 32}, marks=pytest.mark.slow),
        pytest.param({"projection": "dense", "steps": 300}, marks=pytest.mark.slow),
        pytest.param(
            {"optimizer": "adam", "learning_rate": 0.01, "steps": 300}, marks=pytest.mark.slow
        ),
        pytest.param({"levels": 1}, marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_every_kind_of_fit_learns_a_bump(compress_with, options):
    mesh = bump()
    shape = compress_with(mesh, dataclasses.replace(SMALL, **options))
    assert shape.code.architecture.cells == 2 ** options.get("levels", 2)
    assert field_iou(mesh, shape.field("cpu"), points=2**14).iou > 0.9


def test_a_mirrored_shape_in_cells_is_alike_on_both_sides(torus):
    shape = prepare(torus)
    config = shape.adapt(SMALL)
    partition = config.architecture.partition
    assert config.architecture.mirrored == (0, 1, 2)
    assert partition.low == (0.0, 0.0, 0.0)
    code = quantize_fit(fit_latent(shape.sample(config), config, device=CPU), config, shape)
    field = OccupancyField(parse(serialize(code)), "cpu")
    points = np.random.default_rng(0).uniform(0, 1, (3000, 3))
    logits = field.logits(points)
    assert np.array_equal(logits, field.logits(points * [-1, 1, -1]))
    assert field_iou(torus, field, points=2**14).iou > 0.9


def test_cells_hold_about_as_many_samples_each():
    shape = prepare(bump())
    config = shape.adapt(
        dataclasses.replace(SMALL, levels=4, surface_sampling=SurfaceSampling(0.5))
    )
    pool = Pool.of(config.architecture, shape.sample(config))
    assert pool.shares.min() > 0.5 / 16
    assert pool.shares.max() < 2 / 16


def test_training_step_and_file_make_the_same_networks():
    config = in_cells(box=HALF)
    optimisation = Optimisation([ball_samples()], config, 0.3, CPU)
    assert optimisation.run(None) == [True]
    parameters = optimisation.parameters
    trained = parameters.networks(*parameters.all_rounded())
    shape = dataclasses.replace(prepare(bump()).placed(config), extents=(31, 31, 31))
    code = quantize_fit(optimisation.results()[0], config, shape)
    decoded = decode_weights(parse(serialize(code)), CPU)
    pairs = zip(trained.matrices + trained.biases, decoded.matrices + decoded.biases, strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    # And training saw what the field shows.
    samples = ball_samples(5000)
    points = torch.from_numpy(samples.points)
    logits = evaluate_points(config.architecture, trained, points, 1000).squeeze(1)
    assert ((logits > 0).numpy() == samples.inside).mean() > 0.95


def test_a_configuration_and_its_plan():
    config = shape_config(latent=20_000)
    assert config.levels > 2
    assert config.architecture.partition == Partition.whole(3)
    one, sine = (
        shape_config(latent=20_000, levels=0),
        shape_config(latent=20_000, activation="sine"),
    )
    wide = shape_config(latent=20_000, width=100)
    assert (one.levels, sine.levels, wide.levels) == (0, 0, 0)
    # About as many weights, however many cells they are for.
    total = 2**config.levels * config.architecture.weight_count
    assert one.architecture.weight_count == pytest.approx(total, rel=0.2)
    assert sine.architecture.width == one.architecture.width > 2 * config.architecture.width
    assert wide.architecture.width == 100
    assert one.bits == sine.bits == wide.bits < config.bits
    assert one.learning_rate == sine.learning_rate == wide.learning_rate > config.learning_rate
    with pytest.raises(ConfigError, match="levels is 7; it must be 0 to 6"):
        shape_config(latent=20_000, levels=7)


# Many shapes.


@pytest.fixture
def configured(monkeypatch):
    """Fit shapes as a configuration says, whatever the plan has."""

    def with_config(config):
        def own(shape, options, latent=None):
            return shape.adapt(dataclasses.replace(config, latent=latent or config.latent))

        monkeypatch.setattr(PreparedShape, "config", own)

    return with_config


@pytest.mark.slow
def test_many_shapes_in_cells_are_fitted_together_each_to_its_size(compress_with, configured):
    # Seeds 1 to 3 differ by 0.005 at most; of seed 0 one fit alone comes out far better.
    configured(dataclasses.replace(SMALL, bits=8, seed=2))
    shapes = [prepare(bump()), prepare(bump(1.5))]
    found = fit_together(shapes, CompressOptions(max_bytes=400), device=CPU)
    partitions = [parse(shape.data).architecture.partition for shape in found]
    # Cut into as many cells, elsewhere.
    assert partitions[0] != partitions[1]
    for shape, encoded in zip(shapes, found, strict=True):
        assert encoded.together == 2
        assert 380 <= len(encoded.data) <= 400
        field = OccupancyField(parse(encoded.data), "cpu")
        (alone,) = fit_together([shape], CompressOptions(max_bytes=400), device=CPU)
        ious = [
            field_iou(shape.mesh, each, points=2**14).iou
            for each in (field, OccupancyField(parse(alone.data), "cpu"))
        ]
        assert ious[0] == pytest.approx(ious[1], abs=0.02)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("step", [0, 121])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_of_several_signals_in_cells_is_the_step_of_each(monkeypatch, loss, step):
    def take_the_first(self, number, measure):
        """Pools of one signal are longer than those of several, and drawn otherwise."""
        count, pool, _ = self._errors.shape
        self._rows.copy_(pool * torch.arange(count)[:, None] + torch.arange(self._size))
        self._importance.fill_(1.0)

    monkeypatch.setattr(ImportanceSampling, "prepare", take_the_first)
    samples, configs = [], []
    for radius in (0.5, 0.8):
        points = np.random.default_rng(0).uniform(-1, 1, (6000, 3))
        inside = np.linalg.norm(points, axis=1) < radius
        samples.append(OccupancySamples(points, inside.astype(np.float64)))
        # Cells of the same number, cut elsewhere.
        partition = balanced_partition(*UNIT, points * radius + (1 - radius), SMALL.levels)
        network = dataclasses.replace(SMALL.architecture, partition=partition)
        configs.append(dataclasses.replace(SMALL, architecture=network, batch_size=400, loss=loss))
    sides = [config.architecture.partition.half_sides.tolist() for config in configs]
    assert sides[0] != sides[1]
    cells = configs[0].architecture.cells
    together = Optimisation(samples, configs, 0.3, CPU)
    some = slice(together.batch_size)
    together.step(step)
    for k, (each, config) in enumerate(zip(samples, configs, strict=True)):
        alone = Optimisation([each], config, 0.3, CPU)
        own = slice(k * cells, (k + 1) * cells)
        assert torch.equal(alone.pools.features[:, some], together.pools.features[own, some])
        alone.step(step)
        found, expected = together.parameters, alone.parameters
        torch.testing.assert_close(found.latents[k], expected.latents, rtol=0, atol=1e-7)
        torch.testing.assert_close(found.biases[k], expected.biases, rtol=0, atol=1e-7)
