"""The command where what it prints has nowhere to go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Printed at once and at the end; by rich, and by Python.
COMMANDS = [
    pytest.param(["--version"], marks=pytest.mark.slow),
    ["info", "--help"],
    pytest.param(["info"], marks=pytest.mark.slow),
    ["info", "--json"],
]


@pytest.fixture(params=[None, "1"], ids=["buffered", "unbuffered"])
def ended(request, torus_files):
    """Run a command with its output going there; its exit status and error output."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    if request.param:
        environment["PYTHONUNBUFFERED"] = request.param

    def run_command(command, output):
        file = [str(torus_files[1])] if command[0] == "info" else []
        result = subprocess.run(
            [sys.executable, "-m", "doh3d", *command, *file],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
        return result.returncode, result.stderr

    return run_command


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_pipe_that_nobody_reads_ends_it_without_a_word(ended, command):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert ended(command, writer) == (1, "")
    finally:
        os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_disk_costs_one_line(ended, command):
    with Path("/dev/full").open("w") as full:
        status, told = ended(command, full)
    assert status == 2
    assert told == "doh3d: error: the output cannot be written: No space left on device\n"
