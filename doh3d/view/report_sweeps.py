"""The section of a report that shows a sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from doh3d.errors import ConfigError
from doh3d.evaluation.rate_distortion import pareto_front
from doh3d.evaluation.rate_table import parse_baseline
from doh3d.sweep.table import SweepFolder, SweepRow
from doh3d.view.report_content import (
    MOST_LEVELS,
    MOST_POINTS,
    MOST_ROWS,
    Column,
    Level,
    Section,
    Subject,
    Table,
    spread,
)
from doh3d.view.report_figures import sweep_bytes, sweep_lines
from doh3d.view.scales import bits_name

_COLUMNS = (
    Column("Latent", 0),
    Column("Bits"),
    Column("Seed", 0),
    Column("Bytes", 0),
    Column("IoU", 4),
    Column("Seconds", 1),
    Column("Latent bytes", 0),
    Column("Bias bytes", 0),
    Column("Other bytes", 0),
)


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds the table of a sweep."""
    return (folder / "sweep.csv").is_file()


def sweep_section(path: Path, baselines: Sequence[str]) -> Section:
    """Read a sweep's folder.

    Raises
    ------
    ConfigError
        If its table, or a baseline's, cannot be read, or is empty.
    """
    folder = SweepFolder(path)
    rows = folder.read()
    if not rows:
        raise ConfigError(f"{folder.table_path}: has no row; run doh3d sweep first")
    first = rows[0]
    others = [parse_baseline(text, first.mesh) for text in baselines]
    figures = [("IoU against bytes", sweep_bytes(spread(rows, MOST_POINTS), others))]
    for against, name in (("latent", "latent length"), ("bits", "bits")):
        if len({getattr(row, against) for row in rows}) > 1:
            figures.append((f"IoU against {name}", sweep_lines(rows, against)))  # type: ignore[arg-type]
    shown = spread(sorted(rows, key=lambda row: row.bytes), MOST_ROWS)
    front = spread(pareto_front(rows), MOST_LEVELS)
    source, sha256 = folder.source()
    return Section(
        title=f"Sweep of {first.mesh}",
        facts={
            "files": f"{len(rows):,}",
            "quantizer": first.quantizer,
            "preset": first.preset,
            "IoU": f"of the {first.iou_of}, {first.protocol}, {first.points:,} points",
            "doh3d": ", ".join(sorted({row.version for row in rows})),
        },
        figures=figures,
        table=Table(
            _COLUMNS,
            [
                (
                    row.latent,
                    bits_name(row.bits),
                    row.seed,
                    row.bytes,
                    row.iou,
                    row.seconds,
                    row.latent_bytes,
                    row.bias_bytes,
                    row.header_bytes,
                )
                for row in shown
            ],
            "All files of the sweep."
            if len(shown) == len(rows)
            else f"{len(shown):,} of {len(rows):,} files, evenly spread by size.",
        ),
        subjects=[
            Subject(
                name=first.mesh,
                note="the Pareto front of the sweep",
                levels=tuple(_level(folder, row) for row in front),
                original=source,
                original_sha256=sha256,
            )
        ],
    )


def _level(folder: SweepFolder, row: SweepRow) -> Level:
    return Level(
        size=row.bytes,
        iou=row.iou,
        label=f"latent {row.latent}, {bits_name(row.bits)}, seed {row.seed}",
        read=reader(folder.file_path(row.latent, row.bits, row.seed)),
    )


def reader(path: Path) -> Callable[[], bytes]:
    """Return what reads a file; ConfigError where it cannot be."""
    return partial(_read, path)


def _read(path: Path) -> bytes:
    from doh3d.limits import MAX_FILE_BYTES

    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
