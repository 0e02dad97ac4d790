"""Speed of the parts beside references, from speed.tsv."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pages.registry import Line, Results, Row, number, size, table


def duration(text: str) -> str:
    """Write two digits at least, in milliseconds below 0.1 s: 0.33 ms, 16 ms, 0.23 s, 34.6 s."""
    seconds = float(text)
    value, unit = (1000 * seconds, "ms") if seconds < 0.1 else (seconds, "s")
    digits = f"{value:.1f}" if value >= 10 and unit == "s" else f"{value:#.2g}".rstrip(".")
    return f"{digits} {unit}"


def megabytes(text: str) -> str:
    """Write bytes in MB or GB."""
    count = float(text)
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def ratio(row: Row) -> str:
    """How many times as fast as the reference; it is good to a fifth."""
    if not row["ratio"]:
        return ""
    value = float(row["ratio"])
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def reached(row: Row, which: str) -> str:
    """From the note: "150 steps, 988 B, 0.9706"."""
    found = re.search(rf"{which} (\d+) steps, (\d+) B, IoU ([\d.]+)", row["note"])
    if found is None:
        raise LookupError(f"speed.tsv: time_to_iou {row['size']} says no steps of {which}")
    return f"{size(found[1])} steps, {size(found[2])} B, {found[3]}"


@table("speed")
def speed(results: Results) -> Iterator[Line]:
    """Each part beside its reference."""

    def of(case: str, which: object) -> Row:
        return results.one("speed", case=case, size=which)

    def plain(label: str, row: Row, reference: str = "") -> Line:
        theirs = row["reference_seconds"]
        return [label, duration(row["seconds"]), duration(theirs) if theirs else "", ratio(row)]

    yield ["case", "here", "reference", "ratio"]
    for which, label in (
        ("frozen", "bunny to IoU 0.97 at 1,000 bytes, against the frozen encoder"),
        ("fewest", "the same, both with the fewest steps that do"),
    ):
        row = of("time_to_iou", which)
        yield [
            label,
            f"{duration(row['seconds'])} ({reached(row, 'codec')})",
            f"{duration(row['reference_seconds'])} ({reached(row, 'reference')})",
            ratio(row),
        ]
    yield plain("training step, n = 4,000, width 48", of("step", "n 4000, w 48"))
    yield plain("the same on two threads, the clock's time", of("step", "n 4000, w 48, 2 threads"))
    dense = of("dense", "n 16384, P 40000")
    yield [
        "projection and its transpose, n = 16,384, P = 40,000, against the dense matrix",
        f"{duration(dense['seconds'])}, {megabytes(dense['bytes'])}",
        f"{duration(dense['reference_seconds'])}, {megabytes(dense['reference_bytes'])}",
        ratio(dense),
    ]
    for points, label in (
        (512, "`fit_many` of 32 shapes, n = 200, a shape, against one by one, 512 points a step"),
        (4096, "the same, 4,096 points a step"),
    ):
        row = of("fit_many", points)
        ours, theirs = re.findall(r"(?:mean IoU|alone) ([\d.]+)", row["note"])
        yield [
            label,
            f"{duration(row['seconds'])}, IoU {ours}",
            f"{duration(row['reference_seconds'])}, {theirs}",
            ratio(row),
        ]
    for latent in (1100, 16_000):
        yield plain(f"weights of n = {latent:,}, against dense", of("decode", latent))
    yield plain("a million point queries", of("query", 10**6))
    yield plain("a million labelled samples", of("sampling", 10**6))
    yield plain("extraction at 256^3, a file of 1 kB", of("extraction", 256))
    large = of("extraction", 512)
    yield [
        "extraction at 512^3",
        f"{duration(large['seconds'])}, {float(large['bytes']) / 1e6:.0f} MB",
        "",
        "",
    ]
    for which in ("help", "info"):
        command = {"help": "--help", "info": "info"}[which]
        yield plain(f"`doh3d {command}`, against importing all", of("start", which))


@number("speed")
def speed_number(results: Results, case: str, which: str, column: str) -> str:
    """Seconds or ratio of a case; the size with underscores for spaces."""
    row = results.one("speed", case=case, size=which.replace("_", " "))
    return ratio(row) if column == "ratio" else duration(row[column])
