import dataclasses
import io
import itertools
import pickle

import numpy as np
import pytest
import trimesh

from doh3d.api.compress import compress
from doh3d.errors import ConfigError
from doh3d.fitting import checkpoint as checkpoints
from doh3d.fitting import compress as compression
from doh3d.fitting.checkpoint import Checkpoint
from doh3d.fitting.optimisation import Optimisation
from doh3d.geometry.sampling import OccupancySamples
from doh3d.signals import shape_plan
from doh3d.signals.shape import PreparedShape, prepare

QUICK = shape_plan.Preset(steps=200, batch_size=256, pool_size=10_000)
OPTIONS = {"preset": "fast", "latent": 150, "width": 12, "depth": 2, "device": "cpu"}


class InterruptionError(Exception):
    pass


@pytest.fixture(autouse=True)
def eager(monkeypatch, no_peers):
    """Quick fits that write a checkpoint at each opportunity."""
    monkeypatch.setitem(shape_plan.PRESETS, "fast", QUICK)
    monkeypatch.setattr(checkpoints, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SAVE_SHARE", float("inf"))
    # So short a fit may stray, and would be repeated.
    monkeypatch.setattr(PreparedShape, "strays", lambda *_, **__: None)


@pytest.fixture(scope="module")
def torus():
    """A torus that is prepared once: to find its mirror planes takes longer than a fit here."""
    return prepare(trimesh.creation.torus(0.65, 0.25, major_sections=64, minor_sections=32))


@pytest.fixture
def quick_search(monkeypatch):
    """A search that takes a file's size for its IoU."""
    measured = []
    quicker = dataclasses.replace(QUICK, steps=100)
    monkeypatch.setitem(shape_plan.PRESETS, "fast", quicker)

    def quality(shape, data, device):
        measured.append(len(data))
        return 1 - 40 / len(data)

    monkeypatch.setattr(PreparedShape, "quality", quality)
    return measured


def interrupted_after(reports):
    countdown = itertools.count(1)

    def progress(_):
        if next(countdown) > reports:
            raise InterruptionError

    return progress


def run_with_interruptions(mesh, path, reports, **options):
    """Interrupt each run after so many reports; the result and how many runs it took."""
    for runs in itertools.count(1):
        try:
            shape = compress(mesh, checkpoint=path, progress=interrupted_after(reports), **options)
        except InterruptionError:
            assert path.exists()
            assert runs < 100
        else:
            return shape, runs


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="qat"),
        pytest.param({"quantizer": "ptq", "bits": 10}, id="ptq"),
        pytest.param({"projection": "dense", "bits": 5}, id="dense", marks=pytest.mark.slow),
        pytest.param(
            {"activation": "sine", "omega": 8, "seed": 1}, id="sine", marks=pytest.mark.slow
        ),
    ],
)
def test_interrupted_over_and_over_it_ends_with_the_same_bytes(torus, tmp_path, options):
    undisturbed = compress(torus, **OPTIONS | options)
    path, file = tmp_path / "torus.checkpoint", tmp_path / "torus.doh"
    shape, runs = run_with_interruptions(torus, path, 1, **OPTIONS | options)
    # Four reports a fit; an interruption at a report comes after its checkpoint.
    assert runs == 3
    assert shape.data == undisturbed.data
    shape.save(file)
    assert file.read_bytes() == undisturbed.data
    assert [entry.name for entry in tmp_path.iterdir()] == ["torus.doh"]


@pytest.mark.slow
@pytest.mark.parametrize("repeated", [False, True])
def test_samples_put_where_the_field_strays_are_in_the_checkpoint(
    torus, tmp_path, monkeypatch, repeated
):
    searches = []

    def strays(shape, data, config, device, *, thorough):
        searches.append(thorough)
        if thorough and not repeated:
            return None
        # Of a file some number that follows from it.
        count = 1 + sum(data) % 64 if thorough else 256
        points = np.random.default_rng(0).uniform(0.2, 0.4, (count, 3)).astype(np.float32)
        return OccupancySamples(points, np.ones(count, dtype=np.float32))

    without = compress(torus, **OPTIONS)
    monkeypatch.setattr(PreparedShape, "strays", strays)
    undisturbed = compress(torus, **OPTIONS)
    assert undisturbed.data != without.data
    quick = searches.count(False)
    # The last interruption of a fit comes after the samples were put.
    shape, runs = run_with_interruptions(torus, tmp_path / "c", 3, **OPTIONS)
    assert runs > 1
    assert shape.data == undisturbed.data
    # What was put is taken up, and not searched for again.
    assert searches.count(False) == 2 * quick


@pytest.mark.parametrize("size", [{}, {"latent": None, "max_bytes": 400}], ids=["latent", "bytes"])
def test_with_cells_it_ends_with_the_same_bytes(torus, tmp_path, monkeypatch, size):
    def plan(latent, preset, levels=None, **shape):
        planned = shape_plan.plan_for_shape(latent, preset, levels, **shape)
        small = dataclasses.replace(planned.architecture, width=8, octaves=1)
        return dataclasses.replace(planned, levels=2, architecture=small)

    monkeypatch.setattr("doh3d.signals.shape.plan_for_shape", plan)
    options = OPTIONS | {"width": None} | size
    undisturbed = compress(torus, **options)
    assert undisturbed.code.architecture.cells == 4
    shape, runs = run_with_interruptions(torus, tmp_path / "c", 1, **options)
    assert runs >= 3
    assert shape.data == undisturbed.data


def test_a_size_is_met_with_the_same_bytes(torus, tmp_path):
    options = {"max_bytes": 400, "preset": "fast", "device": "cpu"}
    undisturbed = compress(torus, **options)
    shape, runs = run_with_interruptions(torus, tmp_path / "c", 2, **options)
    assert runs > 1
    assert shape.data == undisturbed.data


@pytest.mark.slow
def test_a_search_takes_its_finished_fits_from_the_checkpoint(torus, tmp_path, quick_search):
    options = {"min_iou": 0.9, "preset": "fast", "device": "cpu"}
    undisturbed = compress(torus, **options)
    sizes = quick_search.copy()
    assert len(sizes) > 2
    quick_search.clear()
    shape, runs = run_with_interruptions(torus, tmp_path / "c", 1, **options)
    assert shape.data == undisturbed.data
    # A fit takes two reports: without the checkpoint one would never end it.
    assert runs > len(sizes)
    # No file was measured twice.
    assert quick_search == sizes


def test_a_search_without_success_removes_its_checkpoint(torus, tmp_path, monkeypatch):
    path = tmp_path / "c"

    def out_of_reach(*arguments, checkpoint, **options):
        checkpoint.work("fit 1").keep({})
        assert path.exists()
        raise compression.TargetError("not reached", b"", 0.5)

    monkeypatch.setattr(compression, "fit_to_quality", out_of_reach)
    with pytest.raises(compression.TargetError):
        compress(torus, checkpoint=path, min_iou=0.9, preset="fast", device="cpu")
    assert not path.exists()


def test_a_fit_that_diverged_before_is_taken_up_at_its_lower_rate(
    torus, tmp_path, monkeypatch, caplog
):
    run = Optimisation.run

    def only_at_a_low_rate(self, *arguments, **options):
        ends = run(self, *arguments, **options)
        return [self.learning_rate < 0.3 and sound for sound in ends]

    monkeypatch.setattr(Optimisation, "run", only_at_a_low_rate)
    undisturbed = compress(torus, **OPTIONS)
    assert caplog.text.count("diverged") >= 1
    shape, _ = run_with_interruptions(torus, tmp_path / "c", 3, **OPTIONS)
    assert shape.data == undisturbed.data


def test_a_finished_checkpoint_outlives_a_failed_save(torus, tmp_path, monkeypatch):
    path = tmp_path / "c"
    shape = compress(torus, checkpoint=path, **OPTIONS)
    with pytest.raises(ConfigError):
        shape.save(tmp_path / "none" / "torus.doh")
    assert path.exists()

    def never(*arguments, **options):
        raise AssertionError("fitted again")

    monkeypatch.setattr("doh3d.fitting.resumable.fit_latent", never)
    again = compress(torus, checkpoint=path, **OPTIONS)
    assert again.data == shape.data
    again.save(tmp_path / "torus.doh")
    assert not path.exists()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 7}, "seed 0 and not 7"),
        ({"latent": 151}, "latent 150 and not 151"),
        ({"preset": "default"}, "preset 'fast' and not 'default'"),
        ({"latent": None, "max_bytes": 500}, "max_bytes None and not 500"),
    ],
)
def test_other_options_are_refused_by_name(torus, tmp_path, changed, named):
    path = tmp_path / "c"
    compress(torus, checkpoint=path, **OPTIONS)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=named):
        compress(torus, checkpoint=path, **OPTIONS | changed)
    assert path.read_bytes() == before


def test_another_mesh_and_another_version_are_refused(torus, sphere, tmp_path, monkeypatch):
    path = tmp_path / "c"
    compress(torus, checkpoint=path, **OPTIONS)
    with pytest.raises(ConfigError, match="another mesh"):
        compress(sphere, checkpoint=path, **OPTIONS)
    monkeypatch.setattr("doh3d.fitting.compress.version", lambda name: f"{name} 99")
    with pytest.raises(ConfigError, match=r"doh3d '.*' and not 'doh3d 99'"):
        compress(torus, checkpoint=path, **OPTIONS)


def damaged(path):
    data = path.read_bytes()
    for length in (0, 1, len(data) // 2, len(data) - 1):
        yield data[:length]
    for position in range(40, len(data), len(data) // 40):
        yield data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :]
    yield b"solid not a checkpoint"
    archive = io.BytesIO()
    np.savez(archive, identity=np.array("[1, 2]"))
    yield archive.getvalue()
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    yield array.getvalue()


def test_damage_is_one_kind_of_error_or_harmless(tmp_path):
    path, like = tmp_path / "c", {"x": np.zeros(50)}
    Checkpoint(path, {"seed": 0}).work("fit 1").finish({"x": np.arange(50.0)})
    refused = []
    for data in list(damaged(path)):
        path.write_bytes(data)
        try:
            found = Checkpoint(path, {"seed": 0}).work("fit 1").finished(like)
        except ConfigError as error:
            refused.append(str(error))
        else:
            # A byte that says nothing, such as a date.
            assert found is None or np.array_equal(found["x"], np.arange(50.0))
    assert len(refused) > 20
    assert all(message.startswith(str(path)) for message in refused)


def test_reading_executes_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path = tmp_path / "c"
    hostile = np.empty(1, dtype=object)
    hostile[0] = Hostile()
    with path.open("wb") as file:
        np.savez(file, identity=np.array("{}"), hostile=hostile)
    with pytest.raises(ConfigError, match="no checkpoint"):
        Checkpoint(path, {})
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ConfigError, match="no checkpoint"):
        Checkpoint(path, {})
    assert not (tmp_path / "executed").exists()


def test_arrays_of_another_shape_are_refused(tmp_path):
    work = Checkpoint(tmp_path / "c", {}).work("fit 1")
    work.keep({"x": np.zeros(3, dtype=np.float32)})
    assert work.finished({"x": np.zeros(3, dtype=np.float32)}) is None
    assert work.ongoing({"x": np.zeros(3, dtype=np.float32)}) is not None
    for like in ({"x": np.zeros(4, dtype=np.float32)}, {"x": np.zeros(3)}, {}):
        with pytest.raises(ConfigError, match="does not fit"):
            work.ongoing(like)


def test_writing_takes_its_share_of_the_time_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SAVE_SECONDS", 5.0)
    monkeypatch.setattr(checkpoints, "SAVE_SHARE", 0.01)
    now, cost = 0.0, 0.2

    def slow_write(path, data):
        nonlocal now
        now += cost

    monkeypatch.setattr(checkpoints, "write_atomically", slow_write)
    monkeypatch.setattr("time.monotonic", lambda: now)
    work = Checkpoint(tmp_path / "c", {}).work("fit 1")
    written = 0
    while now < 1000:
        if work.due:
            work.keep({})
            written += 1
        now += 0.5
    assert 30 < written < 1000 * 0.01 / cost + 1


def test_a_disk_that_is_full_costs_the_checkpoint_and_not_the_fit(
    torus, tmp_path, monkeypatch, caplog
):
    def full(path, data):
        raise ConfigError(f"{path}: cannot be written: No space left on device")

    undisturbed = compress(torus, **OPTIONS)
    monkeypatch.setattr(checkpoints, "write_atomically", full)
    shape = compress(torus, checkpoint=tmp_path / "c", **OPTIONS)
    assert shape.data == undisturbed.data
    assert caplog.text.count("going on without a checkpoint") == 1


def test_a_checkpoint_that_cannot_be_written_is_said_before_any_work(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        compress("never-read.ply", checkpoint=tmp_path / "none" / "c")


def test_a_default_that_is_asked_for_is_the_same_compression(torus, tmp_path):
    path = tmp_path / "c"
    first = compress(torus, checkpoint=path, preset="fast", latent=150, device="cpu")
    named = {"depth": 3, "activation": "smooth", "preset": "fast", "latent": 150}
    again = compress(torus, checkpoint=path, device="cpu", **named)
    assert again.data == first.data
    with pytest.raises(ConfigError, match="belongs to a compression with depth 3 and not 2"):
        compress(torus, checkpoint=path, device="cpu", **named | {"depth": 2})


def test_a_folder_is_no_checkpoint(torus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (".", tmp_path):
        with pytest.raises(ConfigError, match="is a folder; name a file to write"):
            compress(torus, checkpoint=path, **OPTIONS)


def test_what_has_been_read_of_a_file_is_not_pickled_with_it(torus):
    shape = compress(torus, **OPTIONS)
    size = len(pickle.dumps(shape))
    assert shape.code is shape.code
    assert len(pickle.dumps(shape)) == size
    assert pickle.loads(pickle.dumps(shape)) == shape
