"""What the command line shows: JSON, tables, progress on a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doh3d.dataset.progress import BatchProgress
    from doh3d.fitting.results import FitProgress

# Between lines of progress where standard error is no terminal.
_LINE_SECONDS = 60.0


def print_json(report: dict[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(report, indent=2))


def print_tables(title: str, sections: dict[str, Any]) -> None:
    """Print nested dictionaries as one table; plain entries first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Names of files may look like markup.
    table = Table(title=Text(title), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, section in sections.items():
        if not isinstance(section, dict):
            table.add_row(name, Text(_format(section)))
            continue
        if len(sections) > 1:
            table.add_section()
            table.add_row(f"[bold]{name}[/bold]", "")
        for key, value in section.items():
            table.add_row(key, Text(_format(value)))
    Console().print(table)


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return " ".join(_format(item) for item in value)
    return "-" if value is None else str(value)


@contextmanager
def fit_progress() -> Iterator[Callable[[FitProgress], None] | None]:
    """Show a progress bar on a terminal, with loss, estimated bytes and time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("sampling", total=None, state="")

        def show(progress: FitProgress) -> None:
            size = f"  about {progress.estimated_bytes:.0f} B" if progress.estimated_bytes else ""
            bar.update(
                task,
                description="fitting",
                completed=progress.step,
                total=progress.steps,
                state=f"loss {progress.loss:.4f}{size}",
            )

        yield show


@contextmanager
def batch_progress() -> Iterator[Callable[[BatchProgress, Any], None]]:
    """Show where a run of many shapes stands: a bar on a terminal, a line a minute elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        last = time.monotonic()

        def show_line(progress: BatchProgress, _row: Any) -> None:
            nonlocal last
            if time.monotonic() - last > _LINE_SECONDS:
                last = time.monotonic()
                print(progress.describe(), file=sys.stderr, flush=True)

        yield show_line
        return
    with Progress(
        BarColumn(), TextColumn("{task.description}"), console=console, transient=True
    ) as bar:
        task = bar.add_task("listing", total=None)

        def show(progress: BatchProgress, _row: Any) -> None:
            bar.update(
                task,
                description=progress.describe(),
                completed=progress.done,
                total=progress.shapes,
            )

        yield show


@contextmanager
def count_progress(first: str, label: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how many of so many things are done; `first` until that is known."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(first, total=None)
        yield lambda done, count: bar.update(task, description=label, completed=done, total=count)


@contextmanager
def spinner(label: str) -> Iterator[None]:
    """Show on a terminal that something is going on."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(label):
        yield
