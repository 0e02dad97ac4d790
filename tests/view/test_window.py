"""The viewer in a real window, on a screen without a monitor, with a hand on its keys."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOOLS = ("Xvfb", "xdotool", "import")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="windows are tested under X11"),
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in TOOLS),
        reason="needs Xvfb, xdotool and ImageMagick: scripts/system_packages.sh",
    ),
    pytest.mark.usefixtures("require_driver"),
]

# For a window to open or a key to have its effect: a second or two, on a busy machine far more.
PATIENCE_S = 300


def wait_for(what, look, process=None):
    """Look again and again until something is seen, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        seen = look()
        if isinstance(seen, np.ndarray) or seen:
            return seen
        if process is not None and process.poll() is not None:
            pytest.fail(f"{what}: the viewer ended: {process.stderr.read()}")
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {PATIENCE_S} s")


@pytest.fixture
def screen():
    """A display of its own; its environment."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1300x760x24", "-noreset"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with open(read) as numbers:
        number = numbers.readline().strip()
    assert number, "Xvfb did not start"
    yield os.environ | {"DISPLAY": f":{number}"}
    server.terminate()
    server.wait(timeout=30)


class Viewer:
    """A running `doh3d view`, its window and its keys."""

    def __init__(self, screen, *arguments):
        self.screen = screen
        # Whoever runs the tests in the background has them ignore it, and so would the viewer.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "doh3d", "view", *map(str, arguments)],
            env=screen,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        signal.signal(signal.SIGINT, before)

    def tool(self, *command):
        return subprocess.run(
            command, env=self.screen, capture_output=True, check=False, timeout=PATIENCE_S
        ).stdout

    def windows(self):
        return self.tool("xdotool", "search", "--onlyvisible", "--name", r"\.doh: ").split()

    def title(self):
        return self.tool("xdotool", "getwindowname", self.windows()[0]).decode().strip()

    def open(self):
        """Wait until the window shows something."""
        (window,) = wait_for("window", lambda: self.windows() or None, self.process)
        self.window = window.decode()
        self.tool("xdotool", "windowfocus", window)
        wait_for("picture", self.is_drawn, self.process)

    def is_drawn(self):
        """Whether there is a picture, and not a half-made one."""
        before = self.look()
        time.sleep(1)
        now = self.look()
        return len(np.unique(now)) > 50 and (now == before).all()

    def look(self):
        """(720, 1280, 3) pixels of the window, as they are on the screen."""
        picture = self.tool("import", "-window", self.window, "-depth", "8", "png:-")
        with Image.open(io.BytesIO(picture)) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    def press(self, key, seen):
        """Press a key, and wait for a picture that differs from the last and is as expected."""
        before = self.look()
        self.tool("xdotool", "key", key)

        def changed():
            now = self.look()
            return now if (now != before).any() and seen(now) else None

        return wait_for(f"key {key}", changed, self.process)

    def close(self):
        # Tidily, so that its temporary folder goes, too.
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def viewer(screen):
    started = []

    def start(*arguments):
        started.append(Viewer(screen, *arguments))
        started[-1].open()
        return started[-1]

    yield start
    for each in started:
        each.close()


def shapes(pixels):
    """Which pixels of the panels are covered; captions and keys are below them."""
    return (pixels[:590] < 235).any(axis=2)


def colourful(pixels):
    """How many pixels of the reconstruction's half are clearly red or blue."""
    return (np.ptp(pixels[:590, 640:], axis=2) > 80).sum()


def test_keys_change_the_picture(viewer, torus_files, tmp_path):
    mesh, code = torus_files
    view = viewer(code, mesh, "--resolution", 32, "--screenshots", tmp_path)
    title = view.title()
    for expected in ("torus.doh: ", f"{code.stat().st_size} bytes", "IoU 0.9", "times smaller"):
        assert expected in title

    plain = view.look()
    halves = shapes(plain)[:, :640], shapes(plain)[:, 640:]
    # The same place in both panels, but for what 32 cells and 200 bytes lose.
    assert halves[0].any()
    assert (halves[0] != halves[1]).mean() < 0.02
    assert colourful(plain) == 0

    view.press("h", lambda now: colourful(now) > 500)
    view.press("h", lambda now: colourful(now) == 0)
    # Lines with white between them.
    view.press("w", lambda now: shapes(now).sum() < 0.8 * halves[0].sum() * 2)
    view.press("w", lambda now: shapes(now).sum() > 0.95 * halves[0].sum() * 2)
    view.press("minus", lambda now: (now[600:] != plain[600:]).any())
    wait_for("coarser", lambda: (view.look()[:590, 640:] != plain[:590, 640:]).mean() > 0.01)

    # All, the original alone in the middle, the reconstruction alone, all.
    view.press("space", lambda now: shapes(now)[:, 560:720].any(axis=0).all())
    view.press("space", lambda now: shapes(now)[:, 560:720].any(axis=0).all())
    view.press("space", lambda now: not shapes(now)[:, 630:650].any())

    view.tool("xdotool", "key", "s")
    shot = tmp_path / "torus-01.png"
    assert view.process.stdout.readline() == f"{shot}\n"
    with Image.open(shot) as image:
        assert image.width == 1280
        assert len(image.convert("RGB").getcolors(2**24)) > 50

    view.tool("xdotool", "key", "q")
    assert view.process.wait(timeout=PATIENCE_S) == 0
    assert view.process.stderr.read() == ""
    assert os.listdir(tmp_path) == ["torus-01.png"]


def test_narrow_panels_show_their_shapes_whole(viewer, torus_files, tmp_path):
    mesh, code = torus_files
    view = viewer(code, code, mesh, "--resolution", 32, "--screenshots", tmp_path)
    covered = shapes(view.look())
    edges = [0, 426, 853, 1280]
    for left, right in itertools.pairwise(edges):
        panel = covered[:, left:right]
        assert panel.any(axis=0).mean() > 0.5
        assert not panel[:, :10].any()
        assert not panel[:, -10:].any()
    # The panels fill the window, of a width that three does not divide.
    assert view.look()[:590, -1].min() == 255
    view.tool("xdotool", "key", "s")
    assert view.process.stdout.readline() == f"{tmp_path / 'torus-01.png'}\n"
    with Image.open(tmp_path / "torus-01.png") as image:
        assert image.width == 3 * 426


def test_cameras_move_together(viewer, torus_files):
    mesh, code = torus_files
    view = viewer(code, mesh, "--resolution", 64)
    before = view.look()
    assert (shapes(before)[:, :640] != shapes(before)[:, 640:]).mean() < 0.02
    view.tool("xdotool", "mousemove", "300", "250")
    view.tool("xdotool", "mousedown", "1")
    # However late the window takes in that the button is down, the next place is another.
    places = itertools.cycle([(300 + 30 * i, 250 + 20 * i) for i in range(1, 5)])

    def turned():
        view.tool("xdotool", "mousemove", *map(str, next(places)))
        now = shapes(view.look())
        left, right = now[:, :640], now[:, 640:]
        moved = (now != shapes(before)).mean()
        return moved > 0.05 and (left != right).mean() < 0.02

    wait_for("turned", turned, view.process)
    view.tool("xdotool", "mouseup", "1")


def test_an_interrupted_viewer_leaves_no_window(viewer, torus_files):
    view = viewer(torus_files[1], "--resolution", 32)
    assert view.title() == f"torus.doh: {torus_files[1].stat().st_size} bytes"
    view.process.send_signal(signal.SIGINT)
    assert view.process.wait(timeout=PATIENCE_S) == 130
    assert "interrupted" in view.process.stderr.read()
    wait_for("closed", lambda: view.windows() == [])


def test_without_a_driver_one_line_names_the_packages(screen, torus_files):
    result = subprocess.run(
        [sys.executable, "-m", "doh3d", "view", str(torus_files[1]), "--resolution", "32"],
        env=screen | {"VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("doh3d: error: Open3D cannot open a window (")
    assert "mesa-vulkan-drivers" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("core").exists()
