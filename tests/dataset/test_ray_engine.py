"""The Ray engine, on clusters of this machine. Skipped where Ray is not installed."""

import contextlib
import threading

import pytest

from doh3d.dataset.batch import run_batch
from doh3d.dataset.options import CompressOptions
from doh3d.dataset.shape_set import ShapeSet
from doh3d.errors import ConfigError

ray = pytest.importorskip("ray")

from doh3d.dataset.ray_engine import RayEngine  # noqa: E402

pytestmark = [
    # Ray leaves sockets and files to the garbage collector, and warns of its own defaults.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.mark.slow
def test_results_failures_and_limits_are_those_of_the_local_engine(stubs, tmp_path):
    once = f"die-once {tmp_path / 'died'}"
    jobs = ["a", "die SIGKILL", once, "raise oh no", "sleep 60", "environment OMP_NUM_THREADS"]
    engine = RayEngine(workers=2, retries=1, timeout=3)
    with contextlib.closing(engine):
        assert list(engine.run(stubs.act, [])) == []
        assert not ray.is_initialized()
        found = {outcome.job: outcome for outcome in engine.run(stubs.act, jobs)}
        assert len(list(engine.run(stubs.act, ["a"]))) == 1
    assert not ray.is_initialized()
    results = {job: found[job].result for job in jobs if found[job].failure is None}
    assert results == {"a": "A", once: once.upper(), "environment OMP_NUM_THREADS": "1"}
    failures = {job: found[job].failure for job in jobs if found[job].failure}
    assert {job: failure.kind for job, failure in failures.items()} == {
        "die SIGKILL": "died",
        "raise oh no": "internal",
        "sleep 60": "timeout",
    }
    assert failures["sleep 60"].message == "took longer than 3 s"
    assert failures["raise oh no"].message == "ValueError: oh no"
    assert "\n" not in failures["die SIGKILL"].message


@pytest.mark.slow
def test_a_node_that_dies_takes_no_shape_with_it(stubs, collection, tmp_path):
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


def test_a_cluster_that_is_not_there_is_named(monkeypatch):
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
