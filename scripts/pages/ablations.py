"""The notebook's tables: studies of single choices."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from scipy.stats import t as student_t

from pages.registry import Line, Results, Row, mean, number, size, table
from pages.shapes import error

MESH = "stanford-bunny"


def interval(values: list[float]) -> str:
    """Mean and half the 95% interval, by Student's t, in the notebook's words."""
    half = float(student_t.ppf(0.975, len(values) - 1)) * statistics.stdev(values)
    return f"{mean(values):.4f} +-{half / math.sqrt(len(values)):.4f}"


def of_variant(results: Results, study: str, variant: str) -> tuple[float, list[float]]:
    """Mean bytes and the IoUs of a variant's seeds."""
    rows = results.rows(f"ablation-{study}", mesh=MESH, variant=variant)
    return mean(float(row["bytes"]) for row in rows), [float(row["iou"]) for row in rows]


# What the notebook tells of the training study.
TOLD = ("", "4 times the steps", "Adam", "rounded at the end", "float32", "twice the width")
LATENTS = (350, 1100, 4000)


@table("ablation-training")
def training(results: Results) -> Iterator[Line]:
    """Tell what each part of the training brings, on the armadillo."""
    yield ["", *(f"n = {size(latent)}: bytes, IoU" for latent in LATENTS)]
    for told in TOLD:
        line = [told or "as it is"]
        for latent in LATENTS:
            variant = f"n {latent}, {told}" if told else f"n {latent}"
            row = results.one("ablation-training", mesh="armadillo", seed=0, variant=variant)
            line.append(f"{size(row['bytes'])}, {float(row['iou']):.4f}")
        yield line


@table("ablation-projection")
def projection(results: Results) -> Iterator[Line]:
    """Hadamard against dense."""
    yield ["n, bytes", "hadamard", "dense"]
    for latent in (500, 1000, 2000):
        found = [
            of_variant(results, "projection", f"{kind} n={latent}")
            for kind in ("hadamard", "dense")
        ]
        count = mean(each[0] for each in found)
        yield [f"{latent}, {count:.0f}", *(interval(ious) for _, ious in found)]


@table("ablation-target_size")
def target_size(results: Results) -> Iterator[Line]:
    """IoU by the latent's numbers and the generated weights; the best of a line is bold."""
    rows = results.rows("ablation-target_size", mesh=MESH)
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    # The least are too few for every latent.
    wanted = list(dict.fromkeys(variant.split()[1] for variant in variants))[1:]
    yield ["n, bytes", *(f"P about {int(each.split('~')[1]):,}" for each in wanted)]
    for latent in dict.fromkeys(variant.split()[0] for variant in variants):
        found = [
            of_variant(results, "target_size", variant)
            for variant in variants
            if variant.split()[0] == latent and variant.split()[1] in wanted
        ]
        ious = [mean(each) for _, each in found]
        cells = [f"**{iou:.4f}**" if iou == max(ious) else f"{iou:.4f}" for iou in ious]
        yield [f"{latent.removeprefix('n=')}, {mean(count for count, _ in found):.0f}", *cells]


@table("ablation-encoding")
def encoding(results: Results) -> Iterator[Line]:
    """IoU by octaves, and of sine layers."""
    yield ["octaves", *map(str, range(7)), *(f"sine {omega}" for omega in (10, 20, 30))]
    variants = [f"relu {octaves} octaves" for octaves in range(7)]
    variants += [f"sine omega {omega}" for omega in (10, 20, 30)]
    ious = [mean(of_variant(results, "encoding", variant)[1]) for variant in variants]
    yield ["IoU", *(f"{iou:.3f}" for iou in ious)]


@table("ablation-quantizer")
def quantizer(results: Results) -> Iterator[Line]:
    """Compare rounding in training with rounding after it."""
    yield ["bits", "QAT", "", "PTQ", ""]
    for bits in (3, 6, 8, 16):
        cells = []
        for when in ("qat", "ptq"):
            count, ious = of_variant(results, "quantizer", f"{when} {bits} bits")
            cells += [f"{count:.0f} B", interval(ious)]
        yield [str(bits), *cells]


@table("ablation-turned")
def turned(results: Results) -> Iterator[Line]:
    """Errors of parts as they lie and turned, in units of 1e-5."""
    yield ["mesh", "as it is", "turned, in its frame", "turned, along the axes"]
    rows = results.rows("ablation-turned", preset="fast", max_bytes=1200, seed=0)
    for mesh in dict.fromkeys(row["mesh"] for row in rows):
        own = [row for row in rows if row["mesh"] == mesh]
        flat = next(row for row in own if row["turn"] == "0")
        turns = [row for row in own if row["turn"] != "0"]
        framed = [_error(row) for row in turns if row["axes"] == "frame"]
        along = [_error(row) for row in turns if row["axes"] == "own"]
        missing = ["none found"] * (len(along) - len(framed))
        yield [mesh, _error(flat), ", ".join(framed + missing), ", ".join(along)]


@number("turned-errs")
def turned_errs(results: Results, axes: str) -> str:
    """By how much turned parts err more than as they lie, geometric mean: "frame" or "own" axes."""
    rows = results.rows("ablation-turned", preset="fast", max_bytes=1200, seed=0)
    flat = {row["mesh"]: float(row["error"]) for row in rows if row["turn"] == "0"}
    turns = [row for row in rows if row["turn"] != "0" and row["axes"] == axes]
    ratio = math.exp(mean(math.log(float(row["error"]) / flat[row["mesh"]]) for row in turns))
    return f"{100 * (ratio - 1):.0f}%"


def _error(row: Row) -> str:
    return f"{1e5 * float(row['error']):.0f}"


# Measured when bursts were not undone yet: that code is gone.
NO_REMEDY = ("23", "18", "0.105")


@table("soundness")
def soundness(results: Results) -> Iterator[Line]:
    """How provoked fits end, and how they ended before."""
    rows = results.rows("soundness")
    errors = [float(row["file_error"]) for row in rows if row["file_error"]]
    found = (
        ("end in a burst", str(sum(row["end"] == "unsound" for row in rows))),
        (
            "fitted again at a lower rate",
            str(sum(row["end"].startswith("sound at rate") for row in rows)),
        ),
        ("mean of 1 - IoU", f"{mean(errors):.3f}"),
    )
    yield [f"{len(rows)} provoked fits", "no remedy", "going back"]
    for (name, now), before in zip(found, NO_REMEDY, strict=True):
        yield [name, before, now]


@table("pieces")
def pieces(results: Results) -> Iterator[Line]:
    """Fits of eight organic meshes that have specks or voids, and how many."""
    sizes = (500, 1200, 4000)
    yield [
        "fits with specks or voids; how many",
        *(size(most) if most > 500 else "500 bytes" for most in sizes),
        "all 24",
    ]
    for label in ("before", "now"):
        found = [_strays(results, label, most, 0.0) for most in sizes]
        yield [label, *map(_both, [*found, _sum(found)])]
    found = [_strays(results, "now", most, 0.034) for most in sizes]
    yield ["now, farther than 0.034 of half the longest side", *map(_both, [*found, _sum(found)])]
    ratios = [_ratio(results, most) for most in sizes]
    yield ["error, now to before", *(f"{each:.3f}" for each in [*ratios, mean(ratios)])]


def _strays(results: Results, label: str, most: int, beyond: float) -> tuple[int, int]:
    rows = results.rows("pieces", label=label, size=most, preset="fast", seed=0)
    counts = []
    for row in rows:
        if beyond:
            distances = [float(each) for each in row["distances"].split(",") if each]
            counts.append(sum(distance > beyond for distance in distances))
        else:
            counts.append(int(row["specks"]) + int(row["voids"]))
    return sum(count > 0 for count in counts), sum(counts)


def _sum(found: list[tuple[int, int]]) -> tuple[int, int]:
    return sum(fits for fits, _ in found), sum(count for _, count in found)


def _both(found: tuple[int, int]) -> str:
    return f"{found[0]}; {found[1]}"


def _ratio(results: Results, most: int) -> float:
    """Geometric mean over the meshes of the errors now to those before."""
    known = {"size": most, "preset": "fast", "seed": 0}
    before = {row["shape"]: row for row in results.rows("pieces", label="before", **known)}
    logs = [
        math.log((1 - float(row["iou"])) / (1 - float(before[row["shape"]]["iou"])))
        for row in results.rows("pieces", label="now", **known)
        if row["shape"] in before
    ]
    return math.exp(mean(logs))


@table("seams")
def seams(results: Results) -> Iterator[Line]:
    """Folds within cells and across their faces, in degrees."""
    yield ["shape", "within", "across, before", "hard", "now"]
    known = {"size": 4000, "preset": "fast", "seed": 0}
    rows = {
        label: {row["mesh"]: row for row in results.rows("seams", label=label, **known)}
        for label in ("before", "hard", "now")
    }
    for mesh, now in rows["now"].items():
        folds = [now["fold_within"], *(found[mesh]["fold_across"] for found in rows.values())]
        yield [mesh, *(f"{float(fold):.1f}" for fold in folds)]


# Share of flat surface, and errors of the four sizes with the plan for curved shapes.
FLAT = {
    "fandisk": (0.63, (1415, 405, 109, 90)),
    "thingi_73416": (0.76, (1480, 348, 167, 137)),
    "thingi_58011": (0.38, (1435, 643, 263, 211)),
    "abc4": (0.32, (859, 371, 186, 153)),
}


@table("flat-parts")
def flat_parts(results: Results) -> Iterator[Line]:
    """Errors of flat parts before they had a plan of their own, and now."""
    sizes = (500, 1200, 7000, 16_000)
    yield ["part, share", "500 bytes", *(f"{most:,}" for most in sizes[1:])]
    for mesh, (share, before) in FLAT.items():
        now = [error(results, mesh, "default", str(most)) for most in sizes]
        yield [f"{mesh}, {share}", *(f"{a}; {b}" for a, b in zip(before, now, strict=True))]


# Faces, and how far they are from a smooth surface, as scripts/ablations/facets.py prints it:
# it depends on the meshes alone.
FACETS = {
    "spot": (5856, 1155),
    "fertility": (9000, 977),
    "rocker-arm": (20_088, 1035),
    "xyzrgb_dragon": (28_198, 1833),
    "lucy": (99_970, 609),
    "armadillo": (86_482, 372),
    "nefertiti": (70_000, 115),
    "stanford-bunny": (69_451, 192),
}


@table("facets")
def facets(results: Results) -> Iterator[Line]:
    """Facets beside the codec's errors, both in units of 1e-5."""
    yield ["mesh", "faces", "facets", "error, 7,000 B", "16,000 B"]
    for mesh, (faces, share) in FACETS.items():
        errors = [error(results, mesh, "default", most) for most in ("7000", "16000")]
        yield [mesh, size(faces), str(share), *errors]
