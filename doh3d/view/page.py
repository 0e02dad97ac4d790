"""One page that shows `.doh` files in any browser, and needs nothing else: they are in it."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from doh3d.codec.container import read_signal
from doh3d.codec.signal_code import SignalCode
from doh3d.errors import ConfigError
from doh3d.files import check_output, write_atomically
from doh3d.geometry.lattice import check_resolution
from doh3d.limits import DEFAULT_LIMITS
from doh3d.view.camera import Camera

# A page's files in base64 and its script are read by a browser at once.
_MOST_BYTES = 2**23


@dataclass(frozen=True)
class Page:
    """What was written.

    Attributes
    ----------
    path : Path
    bytes : int
        Size of the page.
    files : int
        How many it holds.
    """

    path: Path
    bytes: int
    files: int

    def to_dict(self) -> dict[str, Any]:
        """Return one JSON object."""
        return {"output": str(self.path), "bytes": self.bytes, "files": self.files}


def write_page(
    files: Sequence[str | Path],
    output: str | Path,
    *,
    title: str | None = None,
    camera: Camera | None = None,
    resolution: int = 128,
) -> Page:
    """Write a page that holds `.doh` files, and decodes and shows them wherever it is opened.

    Parameters
    ----------
    files : sequence of paths
        Files of shapes and images, at least one; of more the reader chooses one.
    output : path
        The HTML file; it appears whole or not at all.
    title : str, optional
        The first file's name unless given.
    camera : Camera, optional
        From where shapes are seen at first, and their upright axis; as `draw_picture` has it unless
        given.
    resolution : int
        Cells along the domain's longest side at first, 8 to 1024; the reader may choose another.

    Returns
    -------
    Page

    Raises
    ------
    FormatError
        If a file is not a valid `.doh` file, or is beyond the default limits, which are the
        page's too.
    ConfigError
        If there is no file, a file cannot be read, the resolution is out of range, or the page
        cannot be written.
    """
    paths, output = [Path(file) for file in files], Path(output)
    check_output(output)
    check_resolution(resolution)
    if not paths:
        raise ConfigError("there is no file to show; name one or more .doh files")
    packed = [packed_file(path) for path in paths]
    total = sum(len(file["data"]) for file in packed)
    if total > _MOST_BYTES:
        raise ConfigError(
            f"the files take {total:,} bytes of a page; at most {_MOST_BYTES:,} go into one"
        )
    page = filled_page(
        title=title or paths[0].name,
        camera=camera or Camera(),
        resolution=resolution,
        files=packed,
    ).encode("utf-8", errors="replace")
    write_atomically(output, page)
    return Page(output, len(page), len(paths))


def packed_file(path: Path) -> dict[str, str]:
    """Check a `.doh` file, and return its name and, in base64, its bytes."""
    read_signal(path, DEFAULT_LIMITS, SignalCode)  # type: ignore[type-abstract]
    return {"name": path.name, "data": base64.b64encode(path.read_bytes()).decode()}


def filled_page(
    *, title: str, camera: Camera, resolution: int, files: Sequence[dict[str, str]]
) -> str:
    """Fill the page's template; all text in it is escaped."""
    # A name with `</script>` in it must not end the script.
    data = json.dumps(list(files)).replace("<", r"\u003c")
    parts = {
        "title": html.escape(title),
        "up": camera.up,
        "azimuth": f"{camera.azimuth_deg:g}",
        "elevation": f"{camera.elevation_deg:g}",
        "resolution": str(resolution),
        "files": data,
        "script": viewer_script(),
    }
    pattern = re.compile("@({})@".format("|".join(parts)))
    return pattern.sub(lambda found: parts[found[1]], _template("page.html"))


def viewer_script() -> str:
    """Return the decoder and viewer in JavaScript, as `web/` is built into one script."""
    return _template("page.js").strip()


def _template(name: str) -> str:
    return (resources.files("doh3d.view") / "templates" / name).read_text(encoding="utf-8")
