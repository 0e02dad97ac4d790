"""Opening the window that shows files beside their original, in a process of its own.

Where there is no graphics driver the graphics library aborts its process, and it writes to
standard output what nobody asked for.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from doh3d.errors import ConfigError
from doh3d.view.camera import Camera
from doh3d.view.comparison import Comparison
from doh3d.view.offscreen import failure_reason, graphics_environment
from doh3d.view.raycast import SYSTEM_PACKAGES, import_open3d

if TYPE_CHECKING:
    import trimesh

KEYS = (
    ("Space", "all, then each alone"),
    ("H", "heatmap"),
    ("W", "wireframe"),
    ("+ -", "resolution"),
    ("S", "screenshot"),
    ("R", "reset the camera"),
    ("Q", "quit"),
)


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
    """Raise ConfigError where no window can be opened, for use before long work."""
    if sys.platform == "linux" and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    ):
        raise ConfigError(
            "there is no screen to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set); "
            "draw a picture instead: doh3d render"
        )


def show(task: Task) -> None:
    """Open a window and return when it is closed.

    What the viewer has to say, such as where a screenshot went, is printed a line each.

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
                    with open(read, encoding="utf-8") as messages:
                        for line in messages:
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
