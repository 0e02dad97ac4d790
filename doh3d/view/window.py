"""The viewer's window: one scene a shape, cameras that move together, and keys.

Runs as a process of its own; see `doh3d.view.viewer`.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import trimesh
from open3d.visualization import gui

from doh3d.errors import Doh3dError
from doh3d.limits import MAX_RESOLUTION, MIN_RESOLUTION
from doh3d.view.background import Background, Redraws
from doh3d.view.comparison import Heat
from doh3d.view.heatmap import SignedDistance
from doh3d.view.offscreen import without_core_dump
from doh3d.view.picture import legend
from doh3d.view.scene3d import FIELD_OF_VIEW_DEG, Place, fill_scene, light_from_camera, new_scene
from doh3d.view.screenshot import write_screenshot
from doh3d.view.text import printable
from doh3d.view.viewer import KEYS, OPENED, Task

_SIZE = (1280, 720)
_LEGEND_EMS = 4.2
_LINE_EMS = 1.5


# Meshes of all files, and their colours.
Drawn: TypeAlias = tuple[list[trimesh.Trimesh], Heat | None]


class Window:
    """The window of one task.

    Parameters
    ----------
    task : Task
    say : callable
        Takes a line for whoever started the viewer.
    """

    def __init__(self, task: Task, say: Callable[[str], None]) -> None:
        self._task, self._say = task, say
        self._meshes, self._resolution = task.meshes, task.resolution
        self._heat: Heat | None = None
        self._distance: SignedDistance | None = None
        self._wireframe = False
        self._background: Background[Drawn] = Background()
        self._redraws = Redraws()
        # The only panel that is shown, or all of them.
        self._alone: int | None = None
        self._cameras: list[npt.NDArray[np.float64]] = []

        panels = task.comparison.panels(task.meshes)
        self._place = Place.of([panel.mesh for panel in panels], task.camera.up)
        self._window = gui.Application.instance.create_window(
            printable(task.comparison.title), *_SIZE
        )
        self._em = self._window.theme.font_size
        self._scenes = [new_scene(self._window) for _ in panels]
        captions = ["  " + "   ".join(panel.caption) for panel in panels]
        self._captions = [gui.Label(printable(caption)) for caption in captions]
        self._legend = gui.ImageWidget()
        self._status = gui.Label("")
        for widget in (*self._scenes, *self._captions, self._legend, self._status):
            self._window.add_child(widget)
        # Nothing else clears what was drawn below them before.
        for label in (*self._captions, self._status):
            label.background_color = gui.Color(0.93, 0.93, 0.93)
            label.text_color = gui.Color(0.15, 0.15, 0.15)
        self._legend.background_color = gui.Color(1.0, 1.0, 1.0)
        self._legend.visible = False
        self._window.set_on_layout(self._lay_out)
        self._window.set_on_key(self._on_key)
        self._window.set_on_tick_event(self._on_tick)
        self._draw()
        self._reset_camera()
        self._show_status()
        if task.heatmap:
            self._toggle_heatmap()

    # What is shown.

    def _draw(self) -> None:
        """Give every scene its geometry."""
        panels = self._task.comparison.panels(self._meshes, self._heat)
        for scene, panel in zip(self._scenes, panels, strict=True):
            fill_scene(scene.scene, panel, self._place, wireframe=self._wireframe)
            scene.force_redraw()
        self._redraw()

    def _show_status(self, message: str = "") -> None:
        keys = "   ".join(f"[{key}] {does}" for key, does in KEYS)
        self._status.text = f"  {message or f'resolution {self._resolution}'}      {keys}"
        self._redraw()

    @property
    def _shown(self) -> Sequence[int]:
        """Which panels."""
        return range(len(self._scenes)) if self._alone is None else [self._alone]

    def _panel_height(self) -> int:
        lines = 2 * round(_LINE_EMS * self._em)
        legend_height = round(_LEGEND_EMS * self._em) * self._legend.visible
        return int(self._window.content_rect.height) - lines - legend_height

    def _lay_out(self, _context: Any) -> None:
        area, height = self._window.content_rect, self._panel_height()
        line = round(_LINE_EMS * self._em)
        legend_height = area.height - height - 2 * line
        # No pixel is left over by the division.
        edges = [area.width * column // len(self._shown) for column in range(len(self._shown) + 1)]
        for left, right, index in zip(edges, edges[1:], self._shown, strict=False):
            at, width = area.x + left, right - left
            self._scenes[index].frame = gui.Rect(at, area.y, width, height)
            self._captions[index].frame = gui.Rect(at, area.y + height, width, line)
        below = area.y + height + line
        self._legend.frame = gui.Rect(area.x, below, area.width, legend_height)
        self._status.frame = gui.Rect(area.x, below + legend_height, area.width, line)

    def _reset_camera(self) -> None:
        # The scene stands upright, whatever the shapes' vertical axis is.
        _, upward, backward = replace(self._task.camera, up="y").axes
        half_angle = np.radians(FIELD_OF_VIEW_DEG / 2)
        # The field of view is that of a panel's height; of many panels each is narrower.
        aspect = self._window.content_rect.width / len(self._shown) / self._panel_height()
        distance = 0.95 / np.sin(np.arctan(min(aspect, 1) * np.tan(half_angle)))
        for scene in self._scenes:
            bounds = scene.scene.bounding_box
            scene.setup_camera(FIELD_OF_VIEW_DEG, bounds, [0, 0, 0])
            scene.look_at([0, 0, 0], backward * distance, upward)
            scene.center_of_rotation = [0, 0, 0]
            light_from_camera(scene.scene)
        self._cameras = []
        self._redraw()

    def _on_tick(self) -> bool:
        """Do what is due; whether to draw again."""
        result = self._background.poll()
        if result is not None:
            self._finish(result)
        self._link_cameras()
        return self._redraws.due()

    def _redraw(self) -> None:
        """Draw again, more than once: the renderer drops frames that come too soon."""
        self._redraws.ask()
        self._window.post_redraw()

    def _link_cameras(self) -> None:
        """Let all cameras follow the one that was moved."""
        matrices = [np.array(scene.scene.camera.get_model_matrix()) for scene in self._scenes]
        moved = [
            index
            for index, (now, before) in enumerate(zip(matrices, self._cameras, strict=False))
            if not np.array_equal(now, before)
        ]
        if moved:
            leader = self._scenes[moved[0]]
            for index, scene in enumerate(self._scenes):
                if index != moved[0]:
                    scene.scene.camera.copy_from(leader.scene.camera)
                    scene.center_of_rotation = leader.center_of_rotation
                    scene.force_redraw()
            for scene in self._scenes:
                light_from_camera(scene.scene)
            self._redraw()
        self._cameras = [np.array(scene.scene.camera.get_model_matrix()) for scene in self._scenes]

    # What keys do.

    def _on_key(self, event: gui.KeyEvent) -> bool:
        if event.type != gui.KeyEvent.Type.DOWN:
            return False
        actions: dict[int, Callable[[], None]] = {
            int(gui.KeyName.SPACE): self._next,
            int(gui.KeyName.H): self._toggle_heatmap,
            int(gui.KeyName.W): self._toggle_wireframe,
            int(gui.KeyName.PLUS): lambda: self._change_resolution(2),
            # The same key without shift, on most keyboards.
            int(gui.KeyName.EQUALS): lambda: self._change_resolution(2),
            int(gui.KeyName.MINUS): lambda: self._change_resolution(0.5),
            int(gui.KeyName.S): self._screenshot,
            int(gui.KeyName.R): self._reset_camera,
            int(gui.KeyName.Q): self._window.close,
            int(gui.KeyName.ESCAPE): self._window.close,
        }
        action = actions.get(int(event.key))
        if action is None:
            return False
        action()
        return True

    def _next(self) -> None:
        """Show all panels, then each alone in the same place, then all again."""
        order = [None, *range(len(self._scenes))]
        self._alone = order[(order.index(self._alone) + 1) % len(order)]
        for index, (scene, caption) in enumerate(zip(self._scenes, self._captions, strict=True)):
            scene.visible = caption.visible = self._alone in (None, index)
        self._window.set_needs_layout()
        self._redraw()

    def _toggle_wireframe(self) -> None:
        self._wireframe = not self._wireframe
        self._draw()

    def _toggle_heatmap(self) -> None:
        reference = self._task.comparison.reference
        if reference is None:
            self._show_status("a heatmap needs the original: doh3d view F.doh ORIGINAL")
        elif self._heat is not None:
            self._heat = None
            self._show_heat()
        else:
            self._work("measuring distances", lambda: (self._meshes, self._measure(self._meshes)))

    def _change_resolution(self, factor: float) -> None:
        resolution = int(min(max(self._resolution * factor, MIN_RESOLUTION), MAX_RESOLUTION))
        coloured = self._heat is not None

        def extract() -> Drawn:
            meshes = self._task.comparison.extract(resolution)
            heat = self._measure(meshes) if coloured else None
            self._resolution = resolution
            return meshes, heat

        if resolution != self._resolution:
            self._work(f"extracting at {resolution}", extract)

    def _measure(self, meshes: list[trimesh.Trimesh]) -> Heat:
        reference = self._task.comparison.reference
        assert reference is not None
        if self._distance is None:
            self._distance = SignedDistance(reference.mesh)
        return Heat.of(self._distance, meshes)

    def _show_heat(self) -> None:
        self._legend.visible = self._heat is not None
        if self._heat is not None:
            from open3d.geometry import Image

            size = (self._window.content_rect.width, round(_LEGEND_EMS * self._em))
            picture = legend(size, self._heat.range_percent, round(0.8 * self._em))
            self._legend.update_image(Image(np.ascontiguousarray(picture)))
        self._draw()
        self._show_status()
        self._window.set_needs_layout()

    def _work(self, label: str, job: Callable[[], Drawn]) -> None:
        """Compute beside the window, which can still be turned, and show what comes out."""
        if self._background.start(job):
            self._show_status(f"{label} ...")

    def _finish(self, result: Drawn | Exception) -> None:
        if isinstance(result, Exception):
            self._show_status(str(result))
            return
        self._meshes, self._heat = result
        self._show_heat()

    def _screenshot(self) -> None:
        """Write what the panels show, with captions and legend, to the next free name."""
        shown = self._shown
        panels = self._task.comparison.panels(self._meshes, self._heat)
        images: dict[int, npt.NDArray[np.uint8]] = {}

        def take(index: int, image: Any) -> None:
            images[index] = np.asarray(image)[..., :3]
            if len(images) < len(shown):
                return
            try:
                path = write_screenshot(
                    [images[each] for each in shown],
                    [panels[each] for each in shown],
                    self._task.screenshots,
                    self._task.comparison.reconstructions[0].path.stem,
                    None if self._heat is None else self._heat.range_percent,
                )
            except Doh3dError as error:
                self._show_status(str(error))
                return
            self._say(str(path))
            self._show_status(f"wrote {printable(str(path))}")

        for index in shown:
            scene = self._scenes[index].scene.scene
            scene.render_to_image(lambda image, index=index: take(index, image))


def main(started: Path, messages: int) -> None:
    """Open the window of a pickled task, and run until it is closed."""
    without_core_dump()
    task = pickle.loads(started.read_bytes())
    gui.Application.instance.initialize()

    def say(line: str) -> None:
        os.write(messages, os.fsencode(line) + b"\n")

    window = Window(task, say)
    os.write(messages, OPENED.encode())
    gui.Application.instance.run()
    del window
    # Past the graphics library's own end, which has nothing left to do and may fail.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
