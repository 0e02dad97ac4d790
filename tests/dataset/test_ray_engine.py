"""The Ray engine, on clusters of this machine, which need Ray, and without."""

import contextlib
import threading

import pytest

from doh3d.dataset import ray_engine
from doh3d.dataset.batch import run_batch
from doh3d.dataset.ray_engine import RayEngine
from doh3d.dataset.shape_set import ShapeSet
from doh3d.errors import ConfigError
from doh3d.options import CompressOptions

pytestmark = [
    # Ray leaves sockets and files to the garbage collector, and warns of its own defaults.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def ray():
    """Ray, loaded only by the tests that need it: loading takes a second."""
    return pytest.importorskip("ray")


@pytest.mark.slow
def test_results_failures_and_limits_are_those_of_the_local_engine(
    ray, stubs, tmp_path, monkeypatch
):
    # A task that asks for no GPU sees none, and takes none from those that do.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    once = f"die-once {tmp_path / 'died'}"
    jobs = ["a", "die SIGKILL", once, "raise oh no", "sleep 60", "environment OMP_NUM_THREADS"]
    jobs.append("environment CUDA_VISIBLE_DEVICES")
    engine = RayEngine(workers=2, retries=1, timeout=3)
    with contextlib.closing(engine):
        assert list(engine.run(stubs.act, [])) == []
        assert not ray.is_initialized()
        found = {outcome.job: outcome for outcome in engine.run(stubs.act, jobs)}
        assert len(list(engine.run(stubs.act, ["a"]))) == 1
    assert not ray.is_initialized()
    results = {job: found[job].result for job in jobs if found[job].failure is None}
    assert results == {
        "a": "A",
        once: once.upper(),
        "environment OMP_NUM_THREADS": "1",
        "environment CUDA_VISIBLE_DEVICES": "",
    }
    failures = {job: found[job].failure for job in jobs if found[job].failure}
    assert {job: failure.kind for job, failure in failures.items()} == {
        "die SIGKILL": "died",
        "raise oh no": "internal",
        "sleep 60": "timeout",
    }
    assert failures["sleep 60"].message == "took longer than 3 s"
    assert failures["raise oh no"].message == "ValueError: oh no"
    assert "\n" not in failures["die SIGKILL"].message


def in_parts(job):
    return [(part,) for part in job]


@pytest.mark.slow
def test_groups_are_tried_one_by_one_as_with_the_local_engine(ray, stubs):
    jobs = [("a", "b"), ("c", "die SIGKILL", "d"), ("e", "sleep 60"), ("raise oh no", "f")]
    engine = RayEngine(workers=2, retries=1, timeout=3)
    with contextlib.closing(engine):
        found = {outcome.job: outcome for outcome in engine.run(stubs.act_all, jobs, in_parts)}
    assert {job: (each.result, each.attempts) for job, each in found.items() if each.result} == {
        ("a", "b"): (("A", "B"), 1),
        ("c",): (("C",), 2),
        ("d",): (("D",), 2),
        ("e",): (("E",), 2),
    }
    failures = {job: each for job, each in found.items() if each.failure}
    assert {job: (each.failure.kind, each.attempts) for job, each in failures.items()} == {
        ("die SIGKILL",): ("died", 2),
        ("sleep 60",): ("timeout", 2),
        ("raise oh no", "f"): ("internal", 1),
    }
    assert failures["sleep 60",].failure.message == "took longer than 3 s"


@pytest.mark.slow
def test_a_batch_fits_its_shapes_in_groups(ray, stubs, collection, tmp_path):
    texts = {f"s{number}": "one" for number in range(6)} | {"t": "die SIGKILL", "u": "bad mesh"}
    folder, options = collection(**texts), CompressOptions(preset="fast", latent=100)
    task = stubs.StubTask(options, tmp_path / "log")
    engine = RayEngine(workers=2, retries=0)
    with contextlib.closing(engine):
        summary = run_batch(str(folder), tmp_path / "out", task, options, engine, batch_fit=3)
    assert (summary.compressed, summary.failed) == (6, 2)
    shapes = ShapeSet(tmp_path / "out")
    assert {shape.row["batch_fit"] for shape in shapes} == {3}
    assert {shape.id: shape.kind for shape in shapes.failures} == {"t.ply": "died", "u.ply": "mesh"}


class FakeRay:
    """Runs tasks where they are asked for, on a cluster that shrinks."""

    class exceptions:  # noqa: N801
        class RayError(Exception):
            pass

    def __init__(self):
        self.sizes = [400, 400, 16]
        self.asked = []

    def is_initialized(self):
        return True

    def cluster_resources(self):
        return {"CPU": float(self.sizes.pop(0) if len(self.sizes) > 1 else self.sizes[0])}

    def put(self, value):
        return value

    def remote(self, function):
        fake = self

        class Remote:
            def __init__(self, options):
                self.settings = options

            def options(self, **options):
                return Remote(options)

            def remote(self, task, job, timeout):
                fake.asked.append((job, self.settings["max_retries"], timeout))
                if "die" in job:
                    return lambda: (_ for _ in ()).throw(fake.exceptions.RayError("gone"))
                return lambda: (task(job), None)

        return Remote({})

    def wait(self, references, **options):
        return references[:1], references[1:]

    def get(self, reference):
        return reference()

    def cancel(self, reference, force):
        raise AssertionError


@pytest.fixture
def fake_ray(monkeypatch):
    fake = FakeRay()
    monkeypatch.setattr(ray_engine, "_import_ray", lambda: fake)
    return fake


def test_what_is_asked_of_ray_for_a_group(fake_ray):
    engine = RayEngine(retries=3, timeout=2)
    outcomes = list(engine.run(tuple, [("a", "b"), ("c", "die"), ("e",)], in_parts))
    assert [(each.job, each.attempts, each.failure is None) for each in outcomes] == [
        (("a", "b"), 1, True),
        (("e",), 1, True),
        (("c",), 2, True),
        (("die",), 4, False),
    ]
    assert fake_ray.asked == [
        (("a", "b"), 0, 4),
        (("c", "die"), 0, 4),
        (("e",), 3, 2),
        (("c",), 2, 2),
        (("die",), 2, 2),
    ]


def test_a_cluster_that_shrinks_has_more_tasks_than_room(fake_ray, monkeypatch):
    monkeypatch.setattr(ray_engine, "_RESOURCES_SECONDS", -1.0)
    jobs = [(str(number),) for number in range(3000)]
    outcomes = list(RayEngine().run(tuple, jobs, in_parts))
    assert [outcome.result for outcome in outcomes] == jobs


@pytest.mark.slow
def test_a_node_that_dies_takes_no_shape_with_it(ray, stubs, collection, tmp_path):
    from ray.cluster_utils import Cluster

    folder = collection(**{f"s{number}": "sleep 0.2" for number in range(60)})
    options = CompressOptions()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    engine = RayEngine(address=cluster.address, retries=2)
    try:
        node = cluster.add_node(num_cpus=1)
        killer = threading.Thread(
            target=cluster.remove_node, args=(node,), kwargs={"allow_graceful": False}
        )

        def kill_in_the_middle(progress, row):
            if progress.done == 10:
                killer.start()

        task = stubs.StubTask(options, tmp_path / "log")
        summary = run_batch(
            str(folder), tmp_path / "out", task, options, engine, watch=kill_in_the_middle
        )
        killer.join()
        assert (summary.compressed, summary.failed) == (60, 0)
        ids = ShapeSet(tmp_path / "out").ids()
        assert sorted(ids) == sorted(f"s{number}.ply" for number in range(60))
    finally:
        engine.close()
        cluster.shutdown()


def test_a_cluster_that_is_not_there_is_named(ray, monkeypatch):
    def refuse(**options):
        raise ConnectionError(f"Could not find any running Ray instance at {options['address']}")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ConfigError, match=r"no Ray cluster at 127\.0\.0\.1:1: ConnectionError"):
        list(RayEngine(address="127.0.0.1:1").run(len, ["a"]))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"gpus": 1.5}, "gpus is 1.5"),
        ({"gpus": -1}, "gpus is -1"),
        ({"retries": -1}, "retries is -1"),
    ],
)
def test_options_out_of_range_are_named(options, named):
    with pytest.raises(ConfigError, match=named):
        RayEngine(**options)


def test_the_number_of_tasks_with_ray_follows_the_cluster():
    from doh3d.dataset.ray_engine import _Room

    class Cluster:
        @staticmethod
        def cluster_resources():
            return {"CPU": 64.0, "GPU": 2.0}

    assert _Room(Cluster, 0.0, None).tasks() == 256
    assert _Room(Cluster, 0.25, None).tasks() == 32
    assert _Room(Cluster, 0.0, 3).tasks() == 3
