"""Shapes against their peers, from rd.tsv."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from compare_necgs import report as compare_necgs
from doh3d.evaluation.rate_distortion import RatePoint
from pages.registry import Line, Results, mean, number, percent, size, table
from peers.rate_distortion import error_point, interpolate_bytes
from rd_report import CAD, MEASURES, ORGANIC, Curves, compared, curves, kind_of

WORDS = """
none one two three four five six seven eight nine ten eleven twelve
""".split()  # noqa: SIM905
SIZES = (500, 1200, 3000, 7000, 16_000)
README_SIZES = (500, 1200, 16_000)
PEERS = {
    "draco": "decimation + Draco",
    "mlp": "`mlp`, the same coder",
    "coin": "COIN",
    "doh_published": "D'OH as published",
}
AGAINST = (
    ("draco", "default"),
    ("draco", "fast"),
    ("mlp", "fast"),
    ("coin", "fast"),
    ("doh_published", "fast"),
)


def meshes() -> list[tuple[str, str]]:
    """Names of the meshes in the tables' order, and what the tables call them."""
    return [(mesh, mesh) for mesh in sorted(ORGANIC)] + [
        (mesh, f"{mesh}, part") for mesh in sorted(CAD)
    ]


def iou_of(results: Results, mesh: str, preset: str, target: object) -> float:
    """IoU of the codec's file at a size."""
    known = {"mesh": mesh, "method": "codec", "preset": preset, "target_bytes": target}
    return float(results.one("rd", **known)["iou"])


def best_of_draco(results: Results, mesh: str, most: int) -> float:
    """IoU of the best of decimation + Draco in so many bytes at most."""
    rows = results.rows("rd", mesh=mesh, method="draco")
    return max((float(row["iou"]) for row in rows if int(row["bytes"]) <= most), default=0.0)


@table("shapes")
def shapes(results: Results) -> Iterator[Line]:
    """IoU of the codec and of Draco at three sizes; the better one is bold."""
    yield ["mesh", *(word for most in README_SIZES for word in (f"{most:,} bytes", "Draco"))]
    for mesh, name in meshes():
        line = [name]
        for most in README_SIZES:
            pair = iou_of(results, mesh, "default", most), best_of_draco(results, mesh, most)
            line += [f"**{each:.4f}**" if each == max(pair) else f"{each:.4f}" for each in pair]
        yield line


@functools.lru_cache(maxsize=8)
def curves_of(results: Results, preset: str, measure: str = "IoU") -> Curves:
    """All curves of one preset; decimation knows none."""
    rows = [row for row in results.rows("rd") if row["preset"] in (preset, "")]
    # Learned peers and earlier rows have no surfaces.
    known = [row for row in rows if measure == "IoU" or row["chamfer"]]
    return curves(known, MEASURES[measure])


def bd_rates(results: Results, peer: str, preset: str, measure: str = "IoU") -> dict[str, float]:
    """BD-rate in percent against a peer, by mesh.

    Meshes of which the codec's worst file is better than the peer's best have none, and are left
    out, to the peer's advantage.
    """
    rates = {}
    for mesh, found in curves_of(results, preset, measure).items():
        if peer in found and "codec" in found:
            rate, reason = compared(found[peer], found["codec"], measure)
            if rate is None:
                ious = [[point.iou for point in found[each]] for each in (peer, "codec")]
                if max(ious[0]) < min(ious[1]):
                    continue
                raise LookupError(f"{mesh} has no BD-rate against {peer}: {reason}")
            rates[mesh] = rate
    return rates


@number("bd-rate")
def bd_rate(results: Results, peer: str, preset: str, of: str) -> str:
    """BD-rate of a mesh, or the mean of a kind ("organic", "cad") or of "all"."""
    rates = bd_rates(results, peer, preset)
    chosen = [rate for mesh, rate in rates.items() if of in (mesh, kind_of(mesh), "all")]
    if not chosen:
        raise LookupError(f"rd.tsv has no mesh {of} of {peer} and {preset}")
    return percent(mean(chosen))


@table("bd-rates")
def bd_rate_table(results: Results) -> Iterator[Line]:
    """Mean BD-rates in percent; those by which the codec is behind are bold."""
    yield ["against", "preset", "eight organic meshes", "four mechanical parts", "all twelve"]
    kinds = {"organic": len(ORGANIC), "cad": len(CAD), "all": len(ORGANIC) + len(CAD)}
    for peer, preset in AGAINST:
        there = [kind_of(mesh) for mesh in bd_rates(results, peer, preset)]
        cells = []
        for of, count in kinds.items():
            rate = bd_rate(results, peer, preset, of).rstrip("%")
            cell = f"**{rate}**" if rate.startswith("+") else rate
            compared_with = len(there) if of == "all" else there.count(of)
            cells.append(cell if compared_with == count else f"{cell} ({compared_with} meshes)")
        yield [PEERS[peer], f"`{preset}`", *cells]


@table("bd-measures")
def bd_measures(results: Results) -> Iterator[Line]:
    """Mean BD-rates of `default` against Draco by each measure; those behind are bold."""
    yield ["quality by", "eight organic meshes", "four mechanical parts", "all twelve"]
    for measure in MEASURES:
        rates = bd_rates(results, "draco", "default", measure)
        if len(rates) != len(ORGANIC) + len(CAD):
            raise LookupError(f"by {measure} there are BD-rates of {len(rates)} meshes only")
        organic = [rate for mesh, rate in rates.items() if mesh in ORGANIC]
        cad = [rate for mesh, rate in rates.items() if mesh in CAD]
        cells = [percent(mean(each)).rstrip("%") for each in (organic, cad, organic + cad)]
        name = measure.removeprefix("1 - ")
        yield [name, *(f"**{cell}**" if cell.startswith("+") else cell for cell in cells)]


@number("saving")
def saving(results: Results, mesh: str, preset: str, target: str) -> str:
    """Bytes against Draco's at the same IoU, or a dash where the whole mesh is smaller."""
    known = {"mesh": mesh, "method": "codec", "preset": preset, "target_bytes": target}
    row = results.one("rd", **known)
    point: RatePoint = error_point(int(row["bytes"]), 1 - float(row["iou"]))
    found = interpolate_bytes(curves_of(results, preset)[mesh]["draco"], point.iou)
    return "-" if found is None else percent(100 * (point.bytes / found - 1))


@number("smaller")
def smaller(results: Results, mesh: str, preset: str, target: str) -> str:
    """Return how much smaller a file is than Draco's at the same IoU: 41%."""
    found = saving(results, mesh, preset, target)
    if not found.startswith("-") or found == "-":
        raise LookupError(f"the file is not smaller than Draco's: {found}")
    return found.removeprefix("-")


@number("smaller-by")
def smaller_by(results: Results, of: str, sizes: str, which: str) -> str:
    """Least or most by which files are smaller: of "organic", or of "mirrored" parts."""
    chosen = ORGANIC if of == "organic" else CAD - {"fandisk"}
    every = [
        int(smaller(results, mesh, "default", most).rstrip("%"))
        for mesh in chosen
        for most in sizes.split(",")
    ]
    return f"{min(every) if which == 'least' else max(every)}%"


@table("savings")
def savings(results: Results) -> Iterator[Line]:
    """BD-rate against Draco, and bytes at each size against Draco's."""
    yield ["mesh", "BD-rate", "about 500 B", *(f"{most:,}" for most in SIZES[1:])]
    for mesh, name in meshes():
        cells = [saving(results, mesh, "default", str(most)) for most in SIZES]
        yield [name, bd_rate(results, "draco", "default", mesh), *cells]


@number("iou")
def iou(results: Results, mesh: str, preset: str, target: str) -> str:
    """IoU of the codec's file of at most so many bytes."""
    return f"{iou_of(results, mesh, preset, target):.4f}"


@number("error")
def error(results: Results, mesh: str, preset: str, target: str) -> str:
    """1 - IoU of the same, in units of 1e-5."""
    return f"{1e5 * (1 - iou_of(results, mesh, preset, target)):.0f}"


@number("less-error")
def less_error(results: Results, preset: str, than: str, target: str, of: str) -> str:
    """By how much a preset errs less than another at a size: 22%.

    `of` names a mesh; or "count", "least" and "most" tell of all meshes on which it does.
    """
    changes = {
        mesh: _change(results, mesh, preset, than, target)
        for mesh in (*ORGANIC, *CAD)
        if of in ("count", "least", "most", mesh)
    }
    less = [-change for change in changes.values() if change < 0]
    if not less:
        raise LookupError(f"{of}: {preset} does not err less than {than} at {target} bytes")
    if of == "count":
        return WORDS[len(less)]
    return f"{100 * (min(less) if of == 'least' else max(less)):.0f}%"


def _change(results: Results, mesh: str, preset: str, than: str, target: str) -> float:
    errors = [1 - iou_of(results, mesh, each, target) for each in (preset, than)]
    return errors[0] / errors[1] - 1


@number("bytes")
def file_bytes(results: Results, mesh: str, preset: str, target: str) -> str:
    """Bytes of the same."""
    known = {"mesh": mesh, "method": "codec", "preset": preset, "target_bytes": target}
    return size(results.one("rd", **known)["bytes"])


@number("ahead")
def ahead(results: Results, kind: str, preset: str, target: str) -> str:
    """Count the meshes of a kind on which Draco has no better IoU in as many bytes, in words."""
    return WORDS[len(_won(results, kind, preset, target))]


@number("behind")
def behind(results: Results, kind: str, preset: str, target: str) -> str:
    """Count the others."""
    chosen = ORGANIC if kind == "organic" else CAD
    return WORDS[len(chosen) - len(_won(results, kind, preset, target))]


def _won(results: Results, kind: str, preset: str, target: str) -> list[str]:
    return [
        mesh
        for mesh in (ORGANIC if kind == "organic" else CAD)
        if iou_of(results, mesh, preset, target) >= best_of_draco(results, mesh, int(target))
    ]


@table("necgs")
def necgs(results: Results) -> Iterator[Line]:
    """NeCGS's published figures, and ours on our meshes at as many bytes."""
    yield ["codec", "shapes", "bytes a shape", "Chamfer-L1", "normals", "F, 0.005", "F, 0.01"]
    _, *lines = (
        line.split("\t") for line in compare_necgs(results.rows("necgs", preset="default"))
    )
    # A set without published metrics has nothing to stand beside. The floor is the same for all.
    sets = [lines[at : at + 3] for at in range(0, len(lines), 3) if "-" not in lines[at]]
    floor = sets[-1][2]
    for codec, shapes, count, *metrics in [*(line for each in sets for line in each[:2]), floor]:
        rounded = [f"{float(each):#.3g}" for each in metrics]
        yield [codec, size(shapes), "" if count == "-" else size(count), *rounded]
