"""What others have published of their codecs, in tables beside this: sources, licences, figures."""

from __future__ import annotations

import csv
from pathlib import Path

from peers.rate_distortion import PsnrPoint

_FOLDER = Path(__file__).with_name("published")


def published_rows(name: str) -> list[dict[str, str]]:
    """Rows of a table of published figures, each with its source."""
    with (_FOLDER / f"{name}.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def kodak_curves() -> dict[str, list[PsnrPoint]]:
    """Means over the 24 Kodak images, by the codec's name, as they stand in the table."""
    curves: dict[str, list[PsnrPoint]] = {}
    for row in published_rows("kodak"):
        point = PsnrPoint(float(row["bpp"]), float(row["psnr_db"]))
        curves.setdefault(row["method"], []).append(point)
    return curves
