"""The command told to stop in the middle of a fit, and run again."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import trimesh

from doh3d import cli
from doh3d.interrupts import exit_on_signals
from doh3d.signals import shape_plan

QUICK = {"steps": 150, "batch_size": 256, "pool_size": 10_000}
FAST = ["--preset", "fast", "--latent", "150", "--width", "12", "--depth", "2", "--device", "cpu"]

# The command with a checkpoint at each opportunity, that sends itself a signal in a fit.
STOPPED_COMMAND = f"""
import os, signal, sys
from doh3d import cli
from doh3d.fitting import checkpoint, optimisation
from doh3d.signals import shape_plan

# Whoever runs the tests in the background has them ignore it, and so would the command.
signal.signal(signal.SIGINT, signal.default_int_handler)
number = int(sys.argv.pop(1))
shape_plan.PRESETS["fast"] = shape_plan.Preset(**{QUICK})
checkpoint.SAVE_SECONDS, checkpoint.SAVE_SHARE = 0.0, float("inf")
real_step = optimisation.Optimisation.step

def step(self, step):
    if step == 120:
        os.kill(os.getpid(), number)
    real_step(self, step)

optimisation.Optimisation.step = step
cli.main()
"""


def python(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True
    )


@pytest.fixture
def run(monkeypatch, no_peers):
    """Run the command in this process, to its end."""

    monkeypatch.setitem(shape_plan.PRESETS, "fast", shape_plan.Preset(**QUICK))

    def run_command(*arguments):
        monkeypatch.setattr(sys, "argv", ["doh3d", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 0

    return run_command


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A mesh, and the bytes that the command makes of it where nothing stops it."""
    path = tmp_path_factory.mktemp("undisturbed") / "torus.ply"
    trimesh.creation.torus(0.65, 0.25, major_sections=24, minor_sections=12).export(path)
    target = path.with_suffix(".doh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(shape_plan.PRESETS, "fast", shape_plan.Preset(**QUICK))
        patch.setattr(sys, "argv", ["doh3d", "compress", str(path), "-o", str(target), *FAST])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    assert stopped.value.code == 0
    return path, target.read_bytes()


@pytest.mark.parametrize(
    ("number", "status", "told"),
    [
        (signal.SIGINT, 130, "doh3d: interrupted\n"),
        pytest.param(signal.SIGTERM, 143, "doh3d: interrupted\n", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -9, "", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_command_leaves_the_old_file_and_goes_on_when_run_again(
    tmp_path, run, undisturbed, number, status, told
):
    mesh, expected = undisturbed
    folder = tmp_path / "out"
    folder.mkdir()
    target, kept = folder / "a.doh", folder / "a.checkpoint"
    target.write_bytes(b"old")
    arguments = ["compress", mesh, "-o", target, *FAST, "--checkpoint", kept]
    process = python(STOPPED_COMMAND, int(number), *arguments)
    assert (process.returncode, process.stdout, process.stderr) == (status, "", told)
    assert target.read_bytes() == b"old"
    assert sorted(os.listdir(folder)) == ["a.checkpoint", "a.doh"]
    with np.load(kept) as archive:
        stood = [int(archive[key]) for key in archive.files if key.endswith("/next_step")]
    assert stood == [100]
    run(*arguments)
    assert os.listdir(folder) == ["a.doh"]
    assert target.read_bytes() == expected


SELF_SIGNALLED = """
import os, signal, sys
from doh3d.interrupts import exit_on_signals

number = int(sys.argv[1])
signal.signal(number, getattr(signal, sys.argv[2]))
with exit_on_signals():
    try:
        os.kill(os.getpid(), number)
        print("went on")
    finally:
        print("unwound", flush=True)
        os.kill(os.getpid(), int(sys.argv[3]))
"""

SWALLOWED = """
import os, signal, sys
from doh3d.interrupts import exit_on_signals

with exit_on_signals():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException:
        print("swallowed")
    raise TypeError("half of a library")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_unwinds_and_a_second_one_kills(number):
    process = python(SELF_SIGNALLED, int(number), "SIG_DFL", 0)
    assert (process.returncode, process.stdout) == (128 + number, "unwound\n")
    assert process.stderr == "doh3d: interrupted\n"
    assert python(SELF_SIGNALLED, int(number), "SIG_DFL", int(number)).returncode == -number


def test_an_error_that_an_interruption_brought_about_is_no_error():
    # As where a library takes an import that was interrupted for one that failed.
    process = python(SWALLOWED)
    assert (process.returncode, process.stdout) == (143, "swallowed\n")
    assert process.stderr == "doh3d: interrupted\n"


IMPORTING = """
import signal, sys
from doh3d.interrupts import exit_on_signals

# Background jobs of a shell begin with it ignored.
signal.signal(signal.SIGINT, signal.SIG_DFL)
sys.path.insert(0, sys.argv[1])
with exit_on_signals():
    import library
    print("on")
    library.work()
    print("done")
"""
LIBRARY = """
# As trimesh imports SciPy.
try:
    import optional
except BaseException:
    optional = None

def work():
    try:
        for _ in range(100):
            time.sleep(0.1)
    finally:
        print("with" if optional else "without")

import time
"""
OPTIONAL = """
import os, signal, sys
os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_under_way_ends_first(tmp_path, number):
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "optional.py").write_text(OPTIONAL)
    process = python(IMPORTING, tmp_path, int(number))
    assert (process.returncode, process.stdout) == (128 + number, "on\nwith\n")
    assert process.stderr == "doh3d: interrupted\n"
    # A second one does not wait, nor does one where all of the program runs in an import.
    (tmp_path / "optional.py").write_text(2 * OPTIONAL)
    assert python(IMPORTING, tmp_path, int(number)).returncode == -number
    (tmp_path / "program.py").write_text(SELF_SIGNALLED)
    start = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import program"
    process = python(start, int(number), "SIG_DFL", 0)
    assert (process.returncode, process.stdout) == (128 + number, "unwound\n")


def test_an_interruption_that_nobody_heeds_is_told_by_the_status():
    process = python(
        SWALLOWED.replace('raise TypeError("half of a library")', "print('to the end')")
    )
    assert (process.returncode, process.stdout) == (143, "swallowed\nto the end\n")
    assert process.stderr == "doh3d: interrupted\n"


def test_handlers_are_given_back_and_errors_pass():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with exit_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    with pytest.raises(TypeError), exit_on_signals():
        raise TypeError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_is_ignored_stays_ignored(number):
    # As `nohup` and the background jobs of a shell ask for.
    process = python(SELF_SIGNALLED, int(number), "SIG_IGN", int(number))
    assert (process.returncode, process.stdout) == (0, "went on\nunwound\n")
