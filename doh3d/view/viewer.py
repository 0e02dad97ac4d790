"""Opening the window that shows files beside their original, in a process of its own.

Where there is no graphics driver the graphics library aborts its process, and it writes to
standard output what nobody asked for.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from doh3d.errors import ConfigError
from doh3d.open3d_import import SYSTEM_PACKAGES, import_open3d
from doh3d.view.camera import Camera
from doh3d.view.offscreen import failure_reason, graphics_environment

if TYPE_CHECKING:
    import trimesh

    from doh3d.view.comparison import Comparison

KEYS = (
    ("Space", "all, then each alone"),
    ("H", "heatmap"),
    ("W", "wireframe"),
    ("+ -", "resolution"),
    ("S", "screenshot"),
    ("R", "reset the camera"),
    ("Q", "quit"),
)

# How long the viewer's window may leave this process waiting before it looks for signals.
_PATIENCE_S = 1.0

# The window's first line. No path is empty.
OPENED = "\n"


@dataclass(frozen=True)
class Task:
    """What a viewer starts with.

    Attributes
    ----------
    comparison : Comparison
    meshes : list of trimesh.Trimesh
        Of its files, in their order.
    resolution : int
        That they were extracted at.
    camera : Camera
    heatmap : bool
        Whether the window opens in colours; needs a reference.
    screenshots : Path
        The folder that pictures of the window go to.
    """

    comparison: Comparison
    meshes: list[trimesh.Trimesh]
    resolution: int
    camera: Camera
    heatmap: bool
    screenshots: Path


def check_screen() -> None:
    """Raise ConfigError where no window can be opened, for use before long work.

    Open3D itself would go on without a window, for ever.
    """
    # Elsewhere there always is one. Open3D has X11 windows only, Wayland's through XWayland.
    if sys.platform != "linux":
        return
    name = os.environ.get("DISPLAY")
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError as error:
        raise ConfigError("windows need the system package libx11-6; install it") from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None) if name else None
    if not display:
        why = f"nothing answers at DISPLAY={name}" if name else "DISPLAY is not set"
        raise ConfigError(
            f"there is no screen to open a window on ({why}); draw a picture instead: doh3d render"
        )
    x11.XCloseDisplay(ctypes.c_void_p(display))


def _lines(descriptor: int) -> Iterator[str]:
    """Yield the lines that come through a pipe until its other end is closed; closes this one.

    Never waits for long in one piece: a signal that comes just before waiting begins is only
    looked at when it ends.
    """
    waiting = b""
    try:
        while True:
            if not select.select([descriptor], [], [], _PATIENCE_S)[0]:
                continue
            received = os.read(descriptor, 4096)
            *lines, waiting = (waiting + received).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace") + "\n"
            if not received:
                return
    finally:
        os.close(descriptor)


def show(task: Task, opened: Callable[[], None] = lambda: None) -> None:
    """Open a window and return when it is closed.

    What the viewer has to say, such as where a screenshot went, is printed a line each.

    Parameters
    ----------
    task : Task
    opened : callable, optional
        Called when the window is there, some seconds after the start.

    Raises
    ------
    ConfigError
        There is no screen, no graphics driver, or no Open3D.
    """
    check_screen()
    with tempfile.TemporaryDirectory(prefix="doh3d-") as name:
        started = Path(name) / "task.pickle"
        started.write_bytes(pickle.dumps(task))
        with (Path(name) / "log").open("w+b") as log:
            read, write = os.pipe()
            with subprocess.Popen(
                [sys.executable, "-m", "doh3d.view.window", str(started), str(write)],
                env=graphics_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[write],
            ) as process:
                os.close(write)
                try:
                    for line in _lines(read):
                        if line == OPENED:
                            opened()
                        else:
                            print(line, end="", flush=True)
                    process.wait()
                except BaseException:
                    # Without its parent the window would stay.
                    process.kill()
                    raise
            log.seek(0)
            output = log.read()
    if process.returncode:
        import_open3d()
        done = subprocess.CompletedProcess(process.args, process.returncode, output)
        raise ConfigError(
            f"Open3D cannot open a window ({failure_reason(done)}); install the system packages "
            f"{SYSTEM_PACKAGES}, or draw a picture instead: doh3d render"
        )
