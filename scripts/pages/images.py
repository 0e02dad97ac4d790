"""Images against published curves, from kodak.tsv, and the study of how batches are drawn."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark_kodak import PUBLISHED, mean_curve
from pages.registry import Line, Results, number, size, table
from peers.rate_distortion import PsnrPoint, bd_psnr
from study_images import means

PRESETS = ("default", "fast")


def mean_points(results: Results, preset: str) -> list[PsnrPoint]:
    """Mean curve of a preset over the images that have all rates."""
    points, _ = mean_curve(results.rows("kodak", preset=preset))
    return points


@table("kodak")
def kodak(results: Results) -> Iterator[Line]:
    """Mean bits a pixel and PSNR of either preset."""
    yield [word for preset in PRESETS for word in (f"bpp, `{preset}`", "PSNR in dB")]
    curves = [mean_points(results, preset) for preset in PRESETS]
    for points in zip(*curves, strict=True):
        yield [text for point in points for text in (f"{point.bpp:.3f}", f"{point.psnr_db:.2f}")]


@number("kodak-bd")
def kodak_bd(results: Results, preset: str, against: str, of: str) -> str:
    """BD-PSNR ("db") or BD-rate ("rate") against a published curve, such as JPEG_2000."""
    return _delta(_published(against), mean_points(results, preset), of)


@number("published-bd")
def published_bd(results: Results, codec: str, against: str, of: str) -> str:
    """BD-PSNR or BD-rate of one published curve against another; `results` have no part in it."""
    return _delta(_published(against), _published(codec), of)


def _published(name: str) -> list[PsnrPoint]:
    return PUBLISHED[name.replace("_", " ")]


def _delta(anchor: list[PsnrPoint], test: list[PsnrPoint], of: str) -> str:
    found = bd_psnr(anchor, test)
    value = found.decibels if of == "db" else found.rate_percent
    if value is None:
        raise LookupError("the curves have nothing in common")
    return f"{value:+.2f} dB" if of == "db" else f"{value:+.1f}%"


@table("kodak-bd")
def kodak_bd_table(results: Results) -> Iterator[Line]:
    """Both deltas of either preset against all published curves."""
    yield ["against", *(f"`{preset}`" for preset in PRESETS)]
    for name in PUBLISHED:
        known = name.replace(" ", "_")
        yield [
            name,
            *(
                ", ".join(kodak_bd(results, preset, known, of) for of in ("db", "rate"))
                for preset in PRESETS
            ),
        ]


@number("kodak-seconds")
def kodak_seconds(results: Results, preset: str, of: str) -> str:
    """Least or largest over the rates of the images' median seconds."""
    rows = results.rows("kodak", preset=preset)
    medians = []
    for target in {row["target_bpp"] for row in rows}:
        seconds = sorted(float(row["seconds"]) for row in rows if row["target_bpp"] == target)
        medians.append((seconds[(len(seconds) - 1) // 2] + seconds[len(seconds) // 2]) / 2)
    return f"{min(medians):.0f}" if of == "least" else f"{max(medians):.0f}"


@table("image-sampling")
def image_sampling(results: Results) -> Iterator[Line]:
    """Batches by error against slices for as long, at about 0.3 bits a pixel."""
    yield ["0.3 bpp", "by error", "slices for as long"]
    for preset in PRESETS:
        found = means(results.rows("image-sampling", preset=preset))
        cells = [found[f"n 24534, {how}"] for how in ("by error", "slices for as long")]
        yield [f"`{preset}`", *(f"{size(round(count))}, {db:.2f}" for count, db, _ in cells)]
