"""One page about sweeps, collections or evaluations that needs nothing but a browser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import doh3d
from doh3d.errors import ConfigError
from doh3d.files import check_output, write_atomically
from doh3d.view.page import viewer_script
from doh3d.view.report_batches import batch_section, is_dataset
from doh3d.view.report_content import Section, Subject, shortened
from doh3d.view.report_evals import eval_section, read_evaluations
from doh3d.view.report_figures import check_plotly
from doh3d.view.report_shapes import Progress, draw_subjects
from doh3d.view.report_sweeps import is_sweep, sweep_section

# Sweeps and collections of a page.
_MOST_FOLDERS = 50


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes
    ----------
    path : Path
    bytes : int
        Size of the page.
    sections : tuple of str
        Their titles.
    rows : int
        Rows of all tables in the page.
    shapes : int
        Shapes with pictures and meshes.
    notes : tuple of str
        What could not be shown, and why; the page says so too.
    """

    path: Path
    bytes: int
    sections: tuple[str, ...]
    rows: int
    shapes: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return one JSON object."""
        return {
            "output": str(self.path),
            "bytes": self.bytes,
            "sections": list(self.sections),
            "rows": self.rows,
            "shapes": self.shapes,
            "notes": list(self.notes),
        }


def write_report(
    folder: str | Path,
    output: str | Path,
    *,
    reference: str | Path | None = None,
    baselines: Sequence[str] = (),
    up: Literal["x", "y", "z"] = "y",
    pictures: bool = True,
    title: str | None = None,
    progress: Progress = lambda done, shapes: None,
) -> Report:
    """Write a page about what a folder holds.

    Parameters
    ----------
    folder : path
        A sweep's folder, a dataset's, or one that holds several of them or JSON files that
        `doh3d eval --json` printed.
    output : path
        The HTML file; it appears whole or not at all.
    reference : path, optional
        An original mesh, or a folder of them by name; where they were unless given.
    baselines : sequence of "NAME=FILE.tsv"
        Tables to draw beside sweeps, see `doh3d.evaluation.rate_table`.
    up : {"x", "y", "z"}
        The upright axis of pictures and views.
    pictures : bool
        Whether to show shapes at all; without, Open3D is not needed.
    title : str, optional
    progress : callable, optional
        Called with shapes drawn, and how many there are.

    Raises
    ------
    ConfigError
        If the folder holds nothing to report, a table cannot be read, an option is wrong, a
        package is missing, or the file cannot be written.
    """
    folder, output = Path(folder), Path(output)
    check_output(output)
    check_plotly()
    if up not in ("x", "y", "z"):
        raise ConfigError(f"up is {up!r}; it must be one of x, y, z")
    if reference is not None and not Path(reference).exists():
        raise ConfigError(f"{reference}: no such file or folder")
    sections = read_sections(folder, baselines)
    subjects: list[Subject] = [s for section in sections for s in section.subjects]
    shapes: list[dict[str, Any]] = []
    notes: list[str] = []
    if pictures:
        place = None if reference is None else Path(reference)
        shapes, notes = draw_subjects(subjects, reference=place, up=up, progress=progress)
    heading = title or f"doh3d report: {folder.resolve().name}"
    page = render(heading, sections, shapes, notes, up=up).encode("utf-8", errors="replace")
    write_atomically(output, page)
    return Report(
        path=output,
        bytes=len(page),
        sections=tuple(section.title for section in sections),
        rows=sum(len(section.table.rows) for section in sections),
        shapes=len(shapes),
        notes=tuple(notes),
    )


def read_sections(folder: Path, baselines: Sequence[str] = ()) -> list[Section]:
    """Read all that a folder, or those in it, have to report; see `write_report`."""
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "no such folder"
        raise ConfigError(
            f"{folder}: {found}; one with a sweep, a dataset or evaluations is needed"
        )
    folders = [folder]
    if not (is_sweep(folder) or is_dataset(folder)):
        folders += sorted(path for path in folder.iterdir() if path.is_dir())
    sweeps = [path for path in folders if is_sweep(path)]
    datasets = [path for path in folders if is_dataset(path)]
    evaluated = [
        each
        for path in folders
        if path not in sweeps and path not in datasets
        for each in read_evaluations(path)
    ]
    if len(sweeps) + len(datasets) > _MOST_FOLDERS:
        raise ConfigError(
            f"{folder}: holds {len(sweeps)} sweeps and {len(datasets)} datasets; at most "
            f"{_MOST_FOLDERS} go into a page"
        )
    if baselines and not sweeps:
        raise ConfigError(f"{folder}: holds no sweep that --baseline could be drawn beside")
    sections = [sweep_section(path, baselines) for path in sweeps]
    if datasets:
        sections.append(batch_section(datasets))
    if evaluated:
        sections.append(eval_section(evaluated))
    if not sections:
        raise ConfigError(
            f"{folder}: holds nothing to report; a folder made by doh3d sweep or doh3d batch, or "
            "JSON files of doh3d eval --json are needed"
        )
    return sections


def render(
    title: str,
    sections: Sequence[Section],
    shapes: Sequence[dict[str, Any]],
    notes: Sequence[str],
    *,
    up: str,
) -> str:
    """Fill the page; all text in it is escaped, wherever it came from."""
    import jinja2
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    def part(name: str) -> Markup:
        return Markup(_template(name))

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"cell": format_cell, "short": shortened}
    data = {
        "figures": [json.loads(f.to_json()) for section in sections for _, f in section.figures],
        "shapes": [
            {part: shape[part] for part in ("box", "centre", "half", "original", "levels")}
            for shape in shapes
        ],
        "up": up,
    }
    return environment.from_string(_template("report.html.jinja")).render(
        title=title,
        sections=sections,
        shapes=shapes,
        notes=notes,
        up=up,
        version=doh3d.__version__,
        data=data,
        css=part("report.css"),
        script=part("report.js"),
        viewer=Markup(viewer_script()),
        plotly=Markup(get_plotlyjs()),
    )


def format_cell(value: Any, decimals: int | None) -> str:
    """Return a cell's text; a dash where there is no value."""
    if value is None:
        return "–"
    if decimals is None or isinstance(value, str):
        return shortened(str(value))
    return f"{value:,.{decimals}f}"


def _template(name: str) -> str:
    return (resources.files("doh3d.view") / "templates" / name).read_text(encoding="utf-8")
