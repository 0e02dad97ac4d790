"""Drawing by Open3D's off-screen renderer, without a screen: on a GPU, or in software by Mesa.

It runs in a process of its own. Where no driver is found the graphics library aborts the process
that asked for it, and it writes to standard output what nobody asked for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.open3d_import import SYSTEM_PACKAGES, import_open3d
from doh3d.view.stage import Stage

# A picture of 2400 x 1200 takes some seconds on one busy core with a software driver.
TIME_LIMIT_S = 300.0

# What takes the same picture without any of this.
_INSTEAD = "or draw without a driver: --renderer raycast"

_STAGE, _DRAWING = "stage.npz", "drawing.npy"


def render(
    stage: Stage, size: tuple[int, int], *, time_limit_s: float = TIME_LIMIT_S
) -> npt.NDArray[np.uint8]:
    """Draw a stage on white.

    Parameters
    ----------
    stage : Stage
    size : (int, int)
        Width and height in pixels.
    time_limit_s : float
        Seconds after which the renderer is given up.

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    ConfigError
        Open3D, a system library or a graphics driver is missing, or it takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="doh3d-") as name:
        folder = Path(name)
        np.savez(
            folder / _STAGE,
            vertices=stage.vertices,
            faces=stage.faces,
            colours=stage.colours,
            half_width=stage.half_width,
            size=size,
        )
        try:
            done = subprocess.run(
                [sys.executable, "-m", "doh3d.view.offscreen", name],
                env=graphics_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=time_limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ConfigError(
                f"Open3D's renderer has not drawn {size[0]} x {size[1]} pixels in "
                f"{time_limit_s:g} s; ask for fewer, {_INSTEAD}"
            ) from error
        if done.returncode == 0 and (folder / _DRAWING).exists():
            drawing: npt.NDArray[np.uint8] = np.load(folder / _DRAWING)
            return drawing
    # Where it is Open3D itself that is missing, this says so.
    import_open3d()
    raise ConfigError(
        f"Open3D's renderer found no graphics driver that works ({failure_reason(done)}); "
        f"install the system packages {SYSTEM_PACKAGES}, {_INSTEAD}"
    )


def failure_reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """Say in one line what a process with Open3D died of."""
    for line in reversed(done.stdout.decode(errors="replace").splitlines()):
        if line.startswith("reason: ") or "Error" in line:
            return line.removeprefix("reason: ").strip()
    if done.returncode < 0:
        return f"it died of {signal.Signals(-done.returncode).name}"
    return f"it ended with status {done.returncode}"


def graphics_environment() -> dict[str, str]:
    """Return the environment of a process that draws with Open3D.

    Shaders run loops of a length that they read from memory which nobody has set (Open3D 0.20,
    Mesa 22.3 in software): from run to run a frame took a second, twenty, or never ended. So
    glibc is told to hand out zeroed memory; other C libraries ignore the variable. A frame
    then takes a fifth of a second every time.
    """
    # Memory is filled with the complement of this byte.
    return os.environ | {"MALLOC_PERTURB_": "255"}


def without_core_dump() -> None:
    """Leave no memory image behind where the graphics library aborts this process."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _render_here(folder: Path) -> None:
    """Do the work of `render` in this process."""
    open3d = import_open3d()
    rendering = open3d.visualization.rendering
    with np.load(folder / _STAGE) as saved:
        vertices, faces, colours = saved["vertices"], saved["faces"], saved["colours"]
        half_width, (width, height) = float(saved["half_width"]), saved["size"].tolist()
    mesh = open3d.t.geometry.TriangleMesh(open3d.core.Tensor(vertices), open3d.core.Tensor(faces))
    mesh.vertex.colors = open3d.core.Tensor(colours)
    renderer = rendering.OffscreenRenderer(width, height)
    scene = renderer.scene
    material = rendering.MaterialRecord()
    # The light is in the colours already.
    material.shader = "defaultUnlit"
    scene.add_geometry("stage", mesh, material)
    scene.set_background([1.0, 1.0, 1.0, 1.0])
    # Its film-like tones would turn white into beige, and a legend's colours into others.
    scene.view.set_post_processing(False)
    # The picture is drawn larger and then reduced; sampling each pixel more often only takes time.
    scene.view.set_sample_count(1)
    scene.view.set_antialiasing(False)
    low, high = float(vertices[:, 2].min()), float(vertices[:, 2].max())
    distance = high - low + 1
    scene.camera.look_at([0, 0, low], [0, 0, high + distance], [0, 1, 0])
    scene.camera.set_projection(
        rendering.Camera.Projection.Ortho,
        *(-half_width, half_width, -1.0, 1.0),
        *(distance / 2, high - low + 2 * distance),
    )
    np.save(folder / _DRAWING, np.asarray(renderer.render_to_image()))


if __name__ == "__main__":
    without_core_dump()
    _render_here(Path(sys.argv[1]))
    sys.stdout.flush()
    # Past the graphics library's own end, which has nothing left to do and may fail.
    os._exit(0)
