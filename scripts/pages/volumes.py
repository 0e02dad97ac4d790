"""Voxel grids beside lossless masks, from volumes.tsv and volumes-resampled.tsv."""

from __future__ import annotations

from collections.abc import Iterator

from pages.registry import Line, Results, Row, number, size, table

MAP = "ct_labels_3mm.nii.gz"


def spacing_of(row: Row) -> str:
    """Say the voxels' sides: "3 mm", "1 mm and slices of 2 mm"."""
    x, _, z = map(float, row["spacing"].split())
    return f"{x:g} mm" if x == z else f"{x:.0f} mm and slices of {z:g} mm"


def name_of(row: Row) -> str:
    """Name of the label, or of the file where there is none."""
    return (row["name"] or row["file"].split("_")[0]).replace("_", " ")


def largest(row: Row) -> int:
    return -int(row["voxels"])


@table("organs")
def organs(results: Results) -> Iterator[Line]:
    """Organs whose mask is larger than the file or that are not whole; others in one line."""
    yield [
        "label",
        "voxels",
        "mask, bytes",
        "`.doh`, bytes",
        "Dice",
        "95% Hausdorff, mm",
        "mean distance, mm",
    ]
    rows = results.rows("volumes", max_bytes=1000, preset="fast", seed=0)
    own = [row for row in rows if row["file"] == MAP]
    others = [
        row
        for row in own
        if float(row["dice"]) == 1 and int(row["mask_bytes"]) <= int(row["bytes"])
    ]
    for row in sorted((row for row in own if row not in others), key=largest):
        yield _line(row)
    if others:
        ranges = []
        for column in ("voxels", "mask_bytes", "bytes"):
            values = sorted(int(row[column]) for row in others)
            ranges.append(f"{size(values[0])} to {size(values[-1])}")
        label = f"{len(others)} others, {spacing_of(others[0])}"
        yield [label, *ranges, "1.0000", "0.0", "0.000"]
    for row in sorted((row for row in rows if row not in own), key=lambda row: row["file"]):
        yield _line(row)


def _line(row: Row) -> Line:
    counts = [size(row[column]) for column in ("voxels", "mask_bytes", "bytes")]
    distances = [f"{float(row['hausdorff_95']):.1f}", f"{float(row['mean_surface_distance']):.3f}"]
    label = f"{name_of(row)}, {spacing_of(row)}"
    return [label, *counts, f"{float(row['dice']):.4f}", *distances]


@number("dice")
def dice(results: Results, label: str, most: str, preset: str) -> str:
    """Dice of a label of the map at 3 mm."""
    known = {"name": label, "max_bytes": most, "preset": preset, "seed": 0}
    return f"{float(results.one('volumes', file=MAP, **known)['dice']):.4f}"


@table("resampled")
def resampled(results: Results) -> Iterator[Line]:
    """Masks of one organ on coarser lattices, and of its file on finer ones."""
    rows = results.rows("volumes-resampled", file=MAP)
    own = min(float(row["side"]) for row in rows if row["lattice"] == "coarser")
    yield [
        "spacing",
        "mask, packed and gzipped",
        f"Dice of that mask, brought back to {own:g} mm",
        "Dice of the file",
    ]
    coarser = [row for row in rows if row["lattice"] == "coarser" and float(row["side"]) <= 3 * own]
    for row in sorted(coarser, key=lambda row: -float(row["side"])):
        numbers = f"{float(row['mask_dice']):.4f}", f"{float(row['dice']):.4f}"
        yield [f"{float(row['side']):g} mm", f"{size(row['mask_bytes'])} bytes", *numbers]
    finer = [row for row in rows if row["lattice"] == "decoded" and float(row["side"]) < own]
    for row in sorted(finer, key=lambda row: -float(row["side"])):
        yield [f"{float(row['side']):g} mm", f"{size(row['mask_bytes'])} bytes", "", ""]
