"""Pictures of what the viewer shows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from doh3d.files import write_atomically
from doh3d.view.picture import Layout
from doh3d.view.stage import Panel


def write_screenshot(
    drawings: Sequence[npt.NDArray[np.uint8]],
    panels: Sequence[Panel],
    folder: Path,
    stem: str,
    range_percent: float | None,
) -> Path:
    """Write what panels show, with their captions and a legend, to the next free name.

    Parameters
    ----------
    drawings : sequence of (H, W, 3) uint8
        Of each panel, all of one height; what is wider than the narrowest is cut.
    panels : sequence of Panel
    folder, stem : Path, str
        The file is FOLDER/STEM-01.png, or the first of the numbers that follow.
    range_percent : float or None
        Of the heatmap, which gets a legend.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigError
        It cannot be written.
    """
    height, width = len(drawings[0]), min(drawing.shape[1] for drawing in drawings)
    layout = Layout(panels, (width, height), with_legend=range_percent is not None)
    picture = io.BytesIO()
    drawing = np.concatenate([drawing[:, :width] for drawing in drawings], axis=1)
    layout.compose(drawing, range_percent).save(picture, format="PNG")
    number = 1
    while (path := folder / f"{stem}-{number:02}.png").exists():
        number += 1
    write_atomically(path, picture.getvalue())
    return path
