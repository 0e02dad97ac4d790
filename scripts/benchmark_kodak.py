"""The rate-distortion benchmark of images: the codec against published curves.

    python scripts/benchmark_kodak.py --images DIR [--preset default] [--bpp 0.03,0.07,0.15,0.3,0.6]
                                      [--only kodim01] [--shard 1/2] [--report]

Writes results/<version>/kodak.tsv, a row a file, as it is measured; a second run goes on where the
first stopped. Rate is the file's size on disk, header and all; PSNR is over all pixels and
channels of what the file decodes to, in 8 bits. Then draws kodak.png, the mean curve and the
published ones of scripts/peers/published/kodak.tsv, and prints BD-PSNR and BD-rate on them, and of
the strongest of them against COIN; and for each image, whose published figures there are not,
against JPEG 2000 of the same image as Pillow writes it. `--report` only draws and prints. The
published curves are means over the 24 Kodak images: other folders, and
tables that are not whole yet, are not their like, and the report says so.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import doh3d
from doh3d.evaluation.image import psnr
from doh3d.images.files import load_pixels
from peers.published import kodak_curves
from peers.rate_distortion import BdPsnr, PsnrPoint, bd_psnr
from result_table import ResultTable, Row, results_path

RATES = (0.03, 0.07, 0.15, 0.3, 0.6)
KODAK_IMAGES = 24
COLUMNS = """
image preset target_bpp bytes bpp psnr_db latent cells width depth octaves steps seconds
""".split()  # noqa: SIM905
KEY = ("image", "preset", "target_bpp")

# Means over the 24 Kodak images, by the codec's name.
PUBLISHED = kodak_curves()
STYLES = {
    "doh3d": ("#d55e00", "o"),
    "COIN": ("#cc79a7", "^"),
    "JPEG": ("#009e73", "s"),
    "JPEG 2000": ("#0072b2", "."),
    "C3": ("#000000", "d"),
    "Cool-chic 5.0": ("#999999", "v"),
    "VTM": ("#56b4e9", "x"),
}
# The codec's curves, by the preset.
LINES = {"best": "-.", "default": "-", "fast": "--"}


def measure(path: Path, bpp: float, preset: str, table: ResultTable) -> None:
    """Compress one image to one rate and add the row."""
    pixels = load_pixels(path)
    started = time.perf_counter()
    compressed = doh3d.compress_image(pixels, bpp=bpp, preset=preset)
    seconds = time.perf_counter() - started
    config = compressed.config
    height, width, _ = pixels.shape
    row = table.add(
        image=path.stem,
        preset=preset,
        target_bpp=bpp,
        bytes=len(compressed.data),
        bpp=f"{8 * len(compressed.data) / (width * height):.5f}",
        psnr_db=f"{psnr(pixels, compressed.field().pixels()):.4f}",
        latent=config.latent,
        cells=config.architecture.cells,
        width=config.architecture.width,
        depth=config.architecture.depth,
        octaves=config.architecture.octaves,
        steps=config.steps,
        seconds=f"{seconds:.1f}",
    )
    print(*(row[c] for c in COLUMNS[:6]), f"{row['seconds']} s", flush=True)


def points_of(rows: list[Row]) -> dict[str, list[PsnrPoint]]:
    """Points of each image, by its name."""
    points: dict[str, list[PsnrPoint]] = defaultdict(list)
    for row in rows:
        points[row["image"]].append(PsnrPoint(float(row["bpp"]), float(row["psnr_db"])))
    return points


def mean_curve(rows: list[Row]) -> tuple[list[PsnrPoint], int]:
    """Mean rate and PSNR at each target, of the images that have all targets, and their number."""
    by_image: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        by_image[row["image"]][row["target_bpp"]] = row
    targets = sorted({row["target_bpp"] for row in rows}, key=float)
    whole = [found for found in by_image.values() if len(found) == len(targets)]
    points = [
        PsnrPoint(
            float(np.mean([float(found[target]["bpp"]) for found in whole])),
            float(np.mean([float(found[target]["psnr_db"]) for found in whole])),
        )
        for target in targets
        if whole
    ]
    return points, len(whole)


def jpeg2000(path: Path, rates: list[float]) -> list[PsnrPoint]:
    """Points of the same image by JPEG 2000, at about these rates in bits a pixel."""
    pixels = load_pixels(path)
    image = Image.fromarray(pixels.squeeze())
    points = []
    for bpp in rates:
        buffer = io.BytesIO()
        ratio = 8 * pixels.shape[2] / bpp
        # Without mct colours are coded one by one, which costs 2 dB.
        layers = {"quality_mode": "rates", "quality_layers": [ratio]}
        image.save(buffer, "JPEG2000", irreversible=True, mct=pixels.shape[2] // 3, **layers)
        decoded = np.asarray(Image.open(buffer)).reshape(pixels.shape)
        size = 8 * buffer.getbuffer().nbytes / (pixels.shape[0] * pixels.shape[1])
        points.append(PsnrPoint(size, psnr(pixels, decoded)))
    return points


def draw(rows: list[Row], path: Path) -> None:
    """Draw PSNR against bits a pixel, the mean curve of each preset and the published ones."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    panel = figure.subplots()

    def plot(curve: list[PsnrPoint], label: str, **style: str) -> None:
        points = [(point.bpp, point.psnr_db) for point in curve]
        panel.plot(*zip(*points, strict=True), label=label, **style)

    colour, marker = STYLES["doh3d"]
    for preset, line in LINES.items():
        mean, count = mean_curve([row for row in rows if row["preset"] == preset])
        if mean:
            label = f"doh3d, {preset}, mean of {count} images"
            plot(mean, label, color=colour, marker=marker, linestyle=line)
    for name, curve in PUBLISHED.items():
        colour, marker = STYLES[name]
        plot(curve, f"{name}, published", color=colour, marker=marker)
    panel.set_xscale("log")
    panel.set_xlim(0.025, 0.7)
    panel.set_ylim(20, 36)
    panel.set_xticks(RATES, [f"{bpp:g}" for bpp in RATES])
    panel.set_xticks([], minor=True)
    panel.set_xlabel("bits a pixel, whole file")
    panel.set_ylabel("PSNR in dB")
    panel.grid(color="0.9")
    panel.legend(frameon=False)
    figure.savefig(path, dpi=110)


def report(rows: list[Row], folder: Path) -> Iterator[str]:
    """BD-PSNR and BD-rate: of the mean against published curves, of images against JPEG 2000."""
    mean, count = mean_curve(rows)
    images = points_of(rows)
    for point in mean:
        yield f"mean\t{point.bpp:.4f} bpp\t{point.psnr_db:.3f} dB"
    if count < KODAK_IMAGES:
        yield f"mean of only {count} images: the published means are over {KODAK_IMAGES}"
    for name, curve in PUBLISHED.items():
        if len(mean) > 2:
            yield f"against {name}\tmean curve\t{describe(bd_psnr(curve, mean))}"
    for name in ("C3", "Cool-chic 5.0", "VTM"):
        found = bd_psnr(PUBLISHED["COIN"], PUBLISHED[name])
        yield f"{name} against COIN\tpublished curves\t{describe(found)}"
    rates = [0.6 * 2**-step for step in (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4)]
    for image, points in sorted(images.items()):
        sources = list(folder.glob(f"{image}.*"))
        if sources and len(points) > 2:
            found = bd_psnr(jpeg2000(sources[0], rates), points)
            yield f"against JPEG 2000 by Pillow\t{image}\t{describe(found)}"


def describe(found: BdPsnr) -> str:
    """Both deltas in words, and what they are means over."""
    decibels = "-" if found.decibels is None else f"{found.decibels:+.2f} dB"
    percent = "-" if found.rate_percent is None else f"{found.rate_percent:+.1f}%"
    return (
        f"BD-PSNR {decibels} ({found.low_bpp:.3f} to {found.high_bpp:.3f} bpp)\t"
        f"BD-rate {percent} ({found.low_db:.1f} to {found.high_db:.1f} dB)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--bpp", default=",".join(map(str, RATES)))
    parser.add_argument("--only", help="names of images, with commas")
    parser.add_argument("--shard", default="1/1", help="I/N: every N-th image, beginning with I")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    output = arguments.output or results_path("kodak")
    table = ResultTable(output, COLUMNS, KEY, device="auto")
    index, count = map(int, arguments.shard.split("/"))
    images = sorted(path for path in arguments.images.iterdir() if path.is_file())
    if arguments.only:
        images = [path for path in images if path.stem in arguments.only.split(",")]
    if not arguments.report:
        for path in images[index - 1 :: count]:
            for bpp in map(float, arguments.bpp.split(",")):
                if not table.has(image=path.stem, preset=arguments.preset, target_bpp=bpp):
                    measure(path, bpp, arguments.preset, table)
    draw(table.rows(), output.with_suffix(".png"))
    rows = [row for row in table.rows() if row["preset"] == arguments.preset]
    if rows:
        print(*report(rows, arguments.images), sep="\n")


if __name__ == "__main__":
    main()
