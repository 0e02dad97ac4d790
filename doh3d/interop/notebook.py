"""What a notebook shows of a shape: a picture, and what its bytes are spent on."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from doh3d.errors import Doh3dError

if TYPE_CHECKING:
    import trimesh

# Fine enough for a picture of this size, and a fraction of a second.
_RESOLUTION = 96
_PIXELS = 320


def summary(kind: str, description: Mapping[str, Any]) -> str:
    """One line: what it is, its bytes, latent and network; of `doh3d.codec.inspection.describe`."""
    return f"<doh3d.{kind}: {', '.join(f'{k} {v}' for k, v in _facts(description).items())}>"


def shape_html(
    description: Mapping[str, Any], extract: Callable[[int], trimesh.Trimesh]
) -> str | None:
    """Return a picture and a table as HTML that needs nothing else; None where none can be drawn.

    None tells a notebook to show the text instead: Open3D is missing, nothing is inside, or the
    surface is beyond the field's limits.

    Parameters
    ----------
    description : dict
        Of the file, as `doh3d.codec.inspection.describe` gives it.
    extract : callable
        From a resolution to the shape's mesh.
    """
    from doh3d.view.thumbnail import draw_panels, to_bytes

    try:
        picture = to_bytes(draw_panels([extract(_RESOLUTION)], pixels=_PIXELS)[0], "PNG")
    except Doh3dError:
        return None
    rows = "".join(
        f'<tr><th style="text-align: left">{html.escape(name)}</th>'
        f'<td style="text-align: left">{html.escape(value)}</td></tr>'
        for name, value in _facts(description).items()
    )
    return (
        '<div style="display: flex; flex-wrap: wrap; align-items: center; gap: 1em">'
        f'<img alt="the decoded shape" width="{_PIXELS // 2}" height="{_PIXELS // 2}" '
        f'src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        f"<table>{rows}</table></div>"
    )


def _facts(description: Mapping[str, Any]) -> dict[str, str]:
    network, latent, sizes = (description[part] for part in ("network", "latent", "sizes"))
    return {
        "size": f"{description['bytes']:,} bytes",
        "latent": f"{latent['count']:,} numbers in {sizes['latent']:,} bytes",
        "network": (
            f"{network['depth']} x {network['width']} {network['activation']}, "
            f"{network['weights']:,} weights, {network['biases']:,} biases in "
            f"{sizes['biases']:,} bytes"
        ),
    }
