"""What the seed study asks of images: rounding in training or after, latent and target sizes.

    python scripts/study_images.py IMAGE... [--study quantization,sizes,sampling] [--seeds 3]
                                   [--preset fast] [--report]

`quantization`: training that sees the quantiser against rounding after training, at 4, 5, 6, 8 and
16 bits of a latent's range, with the same entropy coder. What is rounded after training is one fit
for all bits, without the rate term; a third variant trains with the quantiser and without it.
`sizes`: latents of 16, 32 and 64 numbers and of 1,200, and 512 to 8,192 generated weights.
`sampling`: batches drawn by the pixels' errors against slices in turn, and slices for as long as
the draws take (11% more steps), at about 0.15 and 0.3 bits a pixel of a Kodak image.

Rows go to results/<version>/image-STUDY.tsv as they are measured, and a second run goes on where
the first stopped. Then prints means over images and seeds, with 95% intervals over seeds (Student's
t) of the mean over images, and draws image-study.png. `--report` only draws and prints.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from scipy.stats import t as student_t

import doh3d
from doh3d.codec.container import serialize
from doh3d.errors import Doh3dError
from doh3d.evaluation.image import psnr
from doh3d.fitting.config import FitConfig
from doh3d.fitting.fit import fit_latent
from doh3d.fitting.quantize_fit import quantize_fit
from doh3d.fitting.results import FitResult
from doh3d.images.field import ImageField
from doh3d.images.files import load_pixels
from doh3d.signals.image import PreparedImage, image_config
from result_table import ResultTable, Row

COLUMNS = """
image preset variant latent weights bits bytes bpp psnr_db seconds
""".split()  # noqa: SIM905
KEY = ("image", "preset", "variant", "seed")

BITS = (4, 5, 6, 8, 16)
# Numbers in the latent of the study of quantisation: about 0.03 bits a pixel of a Kodak image.
QUANTIZED_LATENT = 2400

SMALL_LATENTS, SMALL_WEIGHTS = (16, 32, 64), (512, 1024, 2048)
SAMPLED_LATENTS = (12_247, 24_534)
FIXED_LATENT, TARGET_WEIGHTS = 1200, (512, 1024, 2048, 4096, 8192)

Variants = dict[str, FitConfig]


def quantization_variants(preset: str, channels: int) -> Variants:
    found = {}
    base = image_config(latent=QUANTIZED_LATENT, preset=preset, channels=channels)
    for bits in BITS:
        aware = replace(base, bits=bits, clipped=True)
        found[f"in training, {bits} bits"] = aware
        found[f"after training, {bits} bits"] = replace(aware, quantizer="ptq")
        found[f"in training, {bits} bits, no rate term"] = replace(aware, rate_weight=0.0)
    return found


def size_variants(preset: str, channels: int) -> Variants:
    sizes = [(latent, weights) for latent in SMALL_LATENTS for weights in SMALL_WEIGHTS]
    sizes += [(FIXED_LATENT, weights) for weights in TARGET_WEIGHTS]
    found = {}
    for latent, weights in sizes:
        config = image_config(latent=latent, preset=preset, channels=channels)
        # Two hidden layers and five octaves leave some width to the smallest networks.
        network = replace(config.architecture, depth=2, octaves=5)
        width = min(
            range(2, 129), key=lambda w: abs(replace(network, width=w).weight_count - weights)
        )
        network = replace(network, width=width)
        found[f"n {latent}, P {weights}"] = replace(config, architecture=network, levels=0)
    return found


def sampling_variants(preset: str, channels: int) -> Variants:
    found = {}
    for latent in SAMPLED_LATENTS:
        base = image_config(latent=latent, preset=preset, channels=channels)
        slices = replace(base, importance_sampling=False)
        found[f"n {latent}, by error"] = replace(base, importance_sampling=True)
        found[f"n {latent}, slices"] = slices
        found[f"n {latent}, slices for as long"] = replace(slices, steps=round(1.11 * base.steps))
    return found


STUDIES = {
    "quantization": quantization_variants,
    "sizes": size_variants,
    "sampling": sampling_variants,
}


def measure(path: Path, study: str, preset: str, seeds: int, table: ResultTable) -> None:
    """Measure what the table does not hold yet of one image."""
    image = PreparedImage(load_pixels(path))
    height, width, channels = image.pixels.shape
    for seed in range(seeds):
        # What is rounded after training is one fit at all bits.
        shared: tuple[FitResult, float] | None = None
        for variant, config in STUDIES[study](preset, channels).items():
            if table.has(image=path.stem, preset=preset, variant=variant, seed=seed):
                continue
            config = image.adapt(replace(config, seed=seed))
            after = config.quantizer == "ptq"
            if after and shared is not None:
                result, seconds = shared
            else:
                started = time.perf_counter()
                try:
                    result = fit_latent(image.sample(config), config, device=torch.device("cpu"))
                except Doh3dError as error:
                    # Sixteen numbers may be too few for anything better than one colour.
                    print(path.stem, variant, seed, error, flush=True)
                    continue
                seconds = time.perf_counter() - started
            if after:
                shared = result, seconds
            code = quantize_fit(result, config, image)
            size = len(serialize(code))
            row = table.add(
                image=path.stem,
                preset=preset,
                variant=variant,
                seed=seed,
                latent=config.latent,
                weights=config.architecture.weight_count,
                bits=config.bits,
                bytes=size,
                bpp=f"{8 * size / (width * height):.5f}",
                psnr_db=f"{psnr(image.pixels, ImageField(code, 'cpu').pixels()):.4f}",
                seconds=f"{seconds:.1f}",
            )
            print(*row.values(), flush=True)


def means(rows: list[Row]) -> dict[str, tuple[float, float, float]]:
    """Mean bytes, mean PSNR and half its 95% interval over seeds, of each variant."""
    found = {}
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        by_seed = [
            statistics.mean(float(row["psnr_db"]) for row in own if row["seed"] == seed)
            for seed in dict.fromkeys(row["seed"] for row in own)
        ]
        half = math.nan
        if len(by_seed) > 1:
            quantile = float(student_t.ppf(0.975, len(by_seed) - 1))
            half = quantile * statistics.stdev(by_seed) / math.sqrt(len(by_seed))
        size = statistics.mean(int(row["bytes"]) for row in own)
        found[variant] = (size, statistics.mean(by_seed), half)
    return found


def report(rows: list[Row]) -> Iterator[str]:
    yield "variant\tbytes\tPSNR in dB\t95% interval"
    for variant, (size, decibels, half) in means(rows).items():
        yield f"{variant}\t{size:.0f}\t{decibels:.2f}\t+-{half:.2f}"


def draw(tables: dict[str, list[Row]], path: Path) -> None:
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    found = means(tables["quantization"])
    for start, end, label in (
        ("in training", "bits", "in training"),
        ("in training", "no rate term", "in training, no rate term"),
        ("after training", "bits", "after training"),
    ):
        points = [
            values
            for variant, values in found.items()
            if variant.startswith(start) and variant.endswith(end)
        ]
        if points:
            sizes, decibels, halves = zip(*points, strict=True)
            left.errorbar(sizes, decibels, halves, marker="o", capsize=3, label=label)
    left.set_xlabel("bytes")
    left.set_ylabel("PSNR in dB")
    left.set_title("rounding at 4, 5, 6, 8 and 16 bits", fontsize=10)
    left.grid(color="0.9")
    left.legend()
    found = means(tables["sizes"])
    for latent in (*SMALL_LATENTS, FIXED_LATENT):
        of_latent = [
            (int(variant.split("P ")[1]), *values[1:])
            for variant, values in found.items()
            if variant.startswith(f"n {latent},")
        ]
        if of_latent:
            weights, decibels, halves = zip(*of_latent, strict=True)
            right.errorbar(weights, decibels, halves, marker="o", capsize=3, label=f"n = {latent}")
    right.set_xscale("log", base=2)
    right.set_xlabel("generated weights")
    right.set_title("latent and target size", fontsize=10)
    right.grid(color="0.9")
    right.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="*")
    parser.add_argument("--study", default=",".join(STUDIES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--output", type=Path, help="folder of tables and figure")
    arguments = parser.parse_args()
    folder = arguments.output or Path(f"results/{doh3d.__version__}")
    tables = {study: ResultTable(folder / f"image-{study}.tsv", COLUMNS, KEY) for study in STUDIES}
    for study in arguments.study.split(","):
        for path in [] if arguments.report else arguments.images:
            measure(path, study, arguments.preset, arguments.seeds, tables[study])
        print(study, *report(tables[study].rows()), sep="\n")
    draw({study: table.rows() for study, table in tables.items()}, folder / "image-study.png")


if __name__ == "__main__":
    main()
