import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from doh3d.codec.container import parse
from doh3d.fitting import resumable
from doh3d.fitting.config import FitConfig
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.pool import EncodedPools, Pool
from doh3d.fitting.results import FitResult
from doh3d.fitting.strays import StrayRows, StraySearch
from doh3d.geometry.sampling import OccupancySamples
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import balanced_partition
from doh3d.hypernetwork.target import encode_coordinates, target_forward
from doh3d.signals.image import prepare_image
from doh3d.signals.shape import prepare, shape_config

CPU = torch.device("cpu")
SMALL = FitConfig(
    latent=200,
    architecture=Architecture(width=12, depth=2, octaves=2),
    steps=500,
    batch_size=512,
    pool_size=20_000,
)
# With one report from three fifths of the steps on that is not too late.
SHORT = dataclasses.replace(SMALL, steps=200)
CORNER = np.array([0.8, 0.8, 0.8], dtype=np.float32)


def ball_samples():
    """A ball of radius 0.5; in one corner, where nothing is, a few samples are wrong."""
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 3)).astype(np.float32)
    inside = np.linalg.norm(points, axis=1) < 0.5
    inside |= np.linalg.norm(points - CORNER, axis=1) < 0.15
    return OccupancySamples(points, inside.astype(np.float32))


def in_corner(count, value=0.0):
    offsets = np.random.default_rng(1).uniform(-0.15, 0.15, (count, 3)).astype(np.float32)
    return OccupancySamples(CORNER + offsets, np.full(count, value, dtype=np.float32))


def inside_in_corner(optimisation):
    """Share of the corner that the field has inside."""
    networks = optimisation.parameters.networks(*optimisation.parameters.rounded())
    features = encode_coordinates(SMALL.architecture, torch.from_numpy(in_corner(500).points))
    logits = target_forward(SMALL.architecture, networks.of_cell(0), features)
    return float((logits > 0).float().mean())


def run(*searches, config=SMALL):
    optimisation = Optimisation([ball_samples()], config, 0.4, CPU, searches=searches)
    optimisation.run(None)
    return optimisation


@pytest.mark.slow
def test_samples_that_are_put_where_a_field_strays_train_it_away():
    assert inside_in_corner(run()) > 0.3
    steps = []

    def search(result):
        steps.append(result)
        return in_corner(512)

    assert inside_in_corner(run(StraySearch(search))) < 0.05
    # At every report from three fifths of the steps on, and not when it is too late.
    assert len(steps) == 4
    known = StraySearch(lambda result: None, known=in_corner(512))
    assert inside_in_corner(run(known)) < 0.05


def test_a_search_that_finds_nothing_changes_nothing():
    undisturbed, searched = run(config=SHORT), run(StraySearch(lambda _: None), config=SHORT)
    before, after = undisturbed.results()[0], searched.results()[0]
    np.testing.assert_array_equal(before.latent, after.latent)
    np.testing.assert_array_equal(before.biases, after.biases)


def test_each_signal_has_samples_of_its_own():
    def latents(*searches):
        samples = [ball_samples()] * 2
        optimisation = Optimisation(samples, SHORT, 0.4, CPU, searches=searches)
        optimisation.run(None)
        return [result.latent for result in optimisation.results()]

    nothing = StraySearch(lambda result: None)
    undisturbed = latents(nothing, nothing)
    first, second = latents(nothing, StraySearch(lambda result: in_corner(512)))
    np.testing.assert_array_equal(first, undisturbed[0])
    assert (second != undisturbed[1]).any()


def with_cells():
    points = np.random.default_rng(0).uniform(-1, 1, (4000, 3))
    points[:, 1] = np.abs(points[:, 1])
    partition = balanced_partition((-1, 0, -1), (1, 1, 1), points, 2)
    return dataclasses.replace(
        SMALL,
        architecture=dataclasses.replace(SMALL.architecture, partition=partition, mirrored=(1,)),
        levels=2,
    )


def test_samples_go_to_the_pool_of_their_cell_and_the_last_rows_give_way():
    config = with_cells()
    samples = ball_samples()

    def pools(each):
        pool = Pool.of(config.architecture, each)
        return EncodedPools.of(config.architecture.of_a_cell, [pool], CPU)

    kept = pools(samples)
    before = kept.features.clone()
    rows = StrayRows(kept, [config])
    new = in_corner(40, 0.25)
    mirrored = OccupancySamples(new.points * np.float32([1, -1, 1]), new.occupancy)
    written = rows.put([mirrored])
    # Each twice, so that they count.
    assert sum(len(each) for _, each in written) == 80
    # As if they had been sampled with the others; the mirror image of a point is the point.
    both = OccupancySamples(
        np.concatenate([new.points, samples.points]),
        np.concatenate([new.occupancy, samples.occupancy]),
    )
    sampled = pools(both).features
    for network, own in written:
        assert (kept.values[network, own] == 0.25).all()
        count = len(own) // 2
        for half in (own[:count], own[count:]):
            torch.testing.assert_close(kept.features[network, half], sampled[network, :count])
        first = int(own.min())
        assert (kept.features[network, :first] == before[network, :first]).all()


def test_rows_are_written_over_and_go_back_to_where_they_were():
    pool = Pool.of(SMALL.architecture, ball_samples())
    pools = EncodedPools.of(SMALL.architecture.of_a_cell, [pool], CPU)
    rows = StrayRows(pools, [SMALL])
    ((_, first),) = rows.put([in_corner(500)])
    state = rows.state()
    ((_, second),) = rows.put([in_corner(500)])
    assert len(set(second.tolist())) == 500
    assert set(first.tolist()) & set(second.tolist())
    rows.restore(state)
    ((_, again),) = rows.put([in_corner(10_000)])
    assert again[:100].tolist() == second[:100].tolist()
    assert len(again) < 10_000


@pytest.fixture(scope="module")
def prepared():
    """A torus, prepared once."""
    return prepare(trimesh.creation.torus(0.65, 0.25, major_sections=24, minor_sections=12))


@pytest.mark.parametrize(("left", "kept"), [(0, 1), (5, 1), (9, 0), (20, 0)])
def test_a_fit_whose_file_has_strayed_is_repeated_and_the_better_one_kept(
    monkeypatch, prepared, left, kept
):
    fits = []

    def fit_latent(samples, config, *, search, **options):
        fits.append(search.known)
        latent = np.full(config.latent, len(fits), dtype=np.float32)
        return FitResult(latent, np.zeros(1, dtype=np.float32), 0, 0.1)

    strays = iter([in_corner(9), in_corner(left) if left else None])
    monkeypatch.setattr(resumable, "fit_latent", fit_latent)
    monkeypatch.setattr(resumable, "strays_of_file", lambda *arguments: next(strays))
    config = prepared.adapt(shape_config(latent=50, preset="fast"))
    config = dataclasses.replace(config, pool_size=2000)
    result = resumable.fit_signal(prepared, config, device=CPU)
    assert fits[0] is None
    assert len(fits[1]) == 9
    assert result.latent[0] == kept + 1


def test_images_know_no_strays():
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    image = prepare_image(pixels)
    assert image.strays(b"", SMALL, CPU, thorough=True) is None


def test_a_search_sees_the_field_before_it_is_quantised():
    asked = []

    class Watched:
        def strays(self, data, config, device, *, thorough):
            asked.append((data, thorough))

        def code(self, config, latent, biases):
            assert latent.is_raw
            return shape.code(config, latent, biases)

    shape = prepare(trimesh.creation.icosphere(3))
    config = shape.adapt(shape_config(latent=50, preset="fast"), mirror=False)
    count = config.architecture.bias_count
    result = FitResult(np.full(50, 0.123, np.float32), np.zeros(count, np.float32), 0, 0.1)
    assert StraySearch.of(Watched(), config, CPU).search(result) is None
    ((data, thorough),) = asked
    assert not thorough
    np.testing.assert_array_equal(parse(data).latent.values, result.latent)
