"""The parts of check_gpu.py: what is looked at on a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from gpu_run import FOLDER, INPUTS, ROOT, Check

# Logits of a file differ between devices by at most this share of the largest.
LOGIT_TOLERANCE = 1e-5
JUDGED_POINTS = 2**18


def check_right(check: Check) -> None:
    """Weights bit by bit, logits within the tolerance, signs of a lattice, and the tests."""
    import numpy as np
    import torch

    from doh3d.codec.container import parse
    from doh3d.field import OccupancyField

    grid = np.stack(np.meshgrid(*[np.linspace(-0.99, 0.99, 65)] * 3), axis=-1).reshape(-1, 3)
    for path in sorted((ROOT / "tests" / "golden").glob("*.hex")):
        code = parse(bytes.fromhex(path.read_text()))
        fields = [OccupancyField(code, device) for device in ("cpu", check.device)]
        pairs = zip(*(field.weights.matrices for field in fields), strict=True)
        same = all(torch.equal(one.cpu(), other.cpu()) for one, other in pairs)
        check.rows.add("right", f"weights of {path.stem} equal the CPU's", value=same)
        points = (grid * code.half_extents).astype(np.float32)
        one, other = (field.normalized_logits(points) for field in fields)
        share = float(np.abs(one - other).max() / np.abs(one).max())
        note = f"within {LOGIT_TOLERANCE:g}" if share <= LOGIT_TOLERANCE else "TOO MUCH"
        check.rows.add("right", f"logits of {path.stem}", value=share, unit="share", note=note)
        signs = int(((one > 0) != (other > 0)).sum())
        check.rows.add("right", f"signs of {path.stem} that differ", value=signs, unit="of 65^3")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "cuda"]
    command += ["tests/test_field.py", "tests/fitting", "--benchmark-disable"]
    limit = min(120.0, check.seconds_left / 3)
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        check.rows.add("right", "tests for CUDA", note=f"not finished in {limit:.0f} s")
        return
    last = (done.stdout.strip().splitlines() or [done.stderr[-200:]])[-1]
    check.rows.add("right", "tests for CUDA", value=done.returncode, unit="exit", note=last)


def mesh_of(name: str) -> tuple[object, object]:
    import numpy as np

    with np.load(INPUTS / f"{name}.npz") as arrays:
        return arrays["vertices"].astype(np.float64), arrays["faces"].astype(np.int64)


ONE = [
    (mesh, size, preset)
    for preset in ("fast", "default", "best")
    for mesh, size in (("stanford-bunny", 1000), ("armadillo", 7000))
]


def check_one(check: Check) -> None:
    """One shape: seconds and IoU, beside what the CPU makes of it meanwhile."""
    on_cpu = [] if check.quick or check.device == "cpu" else begin_on_cpu(check)
    for mesh, size, preset in ONE:
        report_one(check, mesh, size, preset, check.device)
    # The CPU goes on while the device does the other parts.
    check.at_the_end.append(lambda: report_cpu(check, on_cpu))


def report_cpu(
    check: Check, on_cpu: list[tuple[tuple[str, int, str], subprocess.Popen[str]]]
) -> None:
    for case, process in on_cpu:
        try:
            told, _ = process.communicate(timeout=max(0.1, check.seconds_left))
            found = json.loads(told.strip().splitlines()[-1])
            check.rows.add("one", "{} {} {} cpu".format(*case), **found)
        except (subprocess.TimeoutExpired, ValueError, IndexError):
            process.kill()
            check.rows.add("one", "{} {} {} cpu".format(*case), note="not finished in time")


def begin_on_cpu(check: Check) -> list[tuple[tuple[str, int, str], subprocess.Popen[str]]]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    begun = []
    for case in ONE:
        command = [sys.executable, str(ROOT / "scripts" / "check_gpu.py"), "cpu", *map(str, case)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        begun.append((case, process))
    return begun


def report_one(check: Check, mesh: str, size: int, preset: str, device: str) -> None:
    if check.seconds_left > 0:
        found = compressed(mesh, size, check.preset(preset), device)
        check.rows.add("one", f"{mesh} {size} {preset} {device}", signals=1, **found)


def compressed(mesh: str, size: int, preset: str, device: str) -> dict[str, object]:
    from doh3d.api.compress import compress
    from doh3d.evaluation.evaluate import field_iou
    from doh3d.signals.shape import prepare

    shape = prepare(mesh_of(mesh))
    started = time.perf_counter()
    found = compress(shape, max_bytes=size, preset=preset, device=device)
    seconds = time.perf_counter() - started
    iou = field_iou(shape.reading, found.field(device), points=JUDGED_POINTS).iou
    found.save(FOLDER / f"{mesh}-{size}-{device}.doh")
    return {"seconds": seconds, "value": iou, "unit": "IoU", "note": f"{len(found.data)} bytes"}


def sampled(case: tuple[str, int]) -> tuple[object, ...]:
    """Sample a shape, in a process of its own: what a fit takes, and points to judge it by."""
    import numpy as np

    from doh3d.codec.shape_code import domain_half_sides
    from doh3d.options import CompressOptions
    from doh3d.signals.shape import prepare

    mesh, size = case
    shape = prepare(mesh_of(mesh))
    config = shape.config(CompressOptions(), shape.latent_for_bytes(size))
    shape = shape.placed(config)
    half = domain_half_sides(shape.extents)
    points = np.random.default_rng(0).uniform(-half, half, (JUDGED_POINTS, 3))
    samples = shape.sample(config)
    return config, samples, shape.transform, shape.extents, points, shape.inside(points)


def check_many(check: Check) -> None:
    """Shapes a second, quality beside that of shapes fitted alone, memory, share of the peak."""
    import multiprocessing

    names = sorted(path.stem for path in INPUTS.glob("*.npz"))[: 2 if check.quick else None]
    with multiprocessing.get_context("spawn").Pool(min(12, os.cpu_count() or 1)) as pool:
        for size, counts in ((1000, [64, 1, 16, 256]), (7000, [64])):
            found = pool.map(sampled, [(name, size) for name in names])
            outlines = Counter(outline(config) for config, *_ in found)
            common = outlines.most_common(1)[0][0]
            alike = [each for each in found if outline(each[0]) == common]
            for count in [2] if check.quick else counts:
                if check.seconds_left > 0:
                    report_many(check, alike, size, count)


def outline(config: object) -> object:
    return replace(config, architecture=config.architecture.of_a_cell)  # type: ignore[attr-defined]


def report_many(check: Check, alike: list[tuple[object, ...]], size: int, count: int) -> None:
    import torch

    from doh3d.fitting.rate_control import payload_bits_for
    from doh3d.fitting.together import fit_latents

    members = [alike[number % len(alike)] for number in range(count)]
    signals = [without_mesh(each) for each in members]
    configs = [each[0] for each in members]
    if check.quick:
        configs = [replace(config, steps=60) for config in configs]
    bits = [
        payload_bits_for(signal, config, size)
        for signal, config in zip(signals, configs, strict=True)
    ]
    device = torch.device(check.device)

    def fit() -> list[object]:
        samples = [each[1] for each in members]
        return fit_latents(samples, configs, device=device, payload_bits=bits)

    try:
        results, seconds = check.timed(fit)
    except torch.OutOfMemoryError as error:
        check.rows.add("many", f"{size} bytes", signals=count, note=str(error)[:100])
        return
    found = zip(results, configs, signals, members, strict=True)
    ious = [iou_of(*each, size, check.device) for each in found if each[0] is not None]
    what = f"{size} bytes, default"
    check.rows.add(
        "many", what, signals=count, seconds=seconds, value=count / seconds, unit="shapes/s"
    )
    mean = sum(ious) / max(1, len(ious))
    note = f"{len(ious)} of {count} sound, of {len(alike)} shapes in turn"
    check.rows.add("many", what, signals=count, value=mean, unit="mean IoU", note=note)
    if check.device == "cuda":
        used = torch.cuda.max_memory_allocated() / 2**30
        check.rows.add("many", what, signals=count, value=used, unit="GiB")
        done = count * products(configs[0]) / seconds / product_peak(check)
        check.rows.add("many", what, signals=count, value=done, unit="share of float32 peak")


def products(config: object) -> float:
    """Operations of a fit's matrix products in its networks: forward, and backward twice."""
    network = config.architecture  # type: ignore[attr-defined]
    each = 3 * network.weight_count - network.layer_sizes[0]
    return 2.0 * config.batch_size * config.steps * each / network.cells  # type: ignore[attr-defined]


def product_peak(check: Check) -> float:
    """Operations a second of a large float32 product, in full precision."""
    import torch

    matrix = torch.randn(8192, 8192, device=check.device)
    check.timed(lambda: matrix @ matrix)
    _, seconds = check.timed(lambda: [matrix @ matrix for _ in range(5)])
    return 5 * 2 * 8192**3 / seconds


def without_mesh(each: tuple[object, ...]) -> object:
    import trimesh

    from doh3d.signals.shape import PreparedShape

    _, _, transform, extents, _, _ = each
    return PreparedShape(None, trimesh.Trimesh(), transform, extents)


def iou_of(
    result: object, config: object, signal: object, each: tuple[object, ...], size: int, device: str
) -> float:
    import numpy as np

    from doh3d.codec.container import parse, serialize
    from doh3d.field import OccupancyField
    from doh3d.fitting.quantize_fit import encode_within, quantize_fit

    data, _ = encode_within(result, config, signal, size)
    if data is None:
        data = serialize(quantize_fit(result, config, signal))
    *_, points, inside = each
    found = OccupancyField(parse(data), device).normalized_logits(points.astype(np.float32)) > 0
    return float((found & inside).sum() / (found | inside).sum())


def check_parts(check: Check) -> None:
    """Where a step's time goes: as a graph, one by one, the factorisations, reduced products."""
    import torch

    from doh3d.devices import full_precision
    from doh3d.fitting import replay
    from doh3d.fitting.curvature import orthonormal_by_blocks
    from doh3d.fitting.optimisation import Optimisation

    config, samples, *_ = sampled(("stanford-bunny", 1000))
    device = torch.device(check.device)
    for name, warm_ups in (("recorded", 2), ("one by one", 10**9)):
        replay._WARM_UPS = warm_ups
        for count in (1, 16):
            with full_precision:
                optimisation = Optimisation([samples] * count, config, 0.6, device)
                # Through a whole draw, its measuring, and back.
                _ = [*map(optimisation.step, range(300, 310))]
                _, seconds = check.timed(
                    lambda o=optimisation: [o.step(s) for s in range(300, 400)]
                )
            check.rows.add(
                "parts", f"step, {name}", signals=count, value=10 * seconds, unit="ms a step"
            )
    replay._WARM_UPS = 2
    matrices = torch.randn(128, 44, 44, device=device)
    ways = {"torch's qr": lambda: torch.linalg.qr(matrices), "by blocks": None}
    ways["by blocks"] = lambda: orthonormal_by_blocks(matrices)
    for name, way in ways.items():
        way()
        _, seconds = check.timed(lambda way=way: [way() for _ in range(10)])
        check.rows.add("parts", f"128 factorisations, {name}", value=100 * seconds, unit="ms")
    a, b = torch.randn(64, 4096, 44, device=device), torch.randn(64, 44, 44, device=device)
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        torch.bmm(a, b)
        _, seconds = check.timed(lambda: [torch.bmm(a, b) for _ in range(20)])
        check.rows.add("parts", f"products of width 44, {precision}", value=50 * seconds, unit="ms")
    torch.set_float32_matmul_precision("highest")


def check_images(check: Check) -> None:
    from doh3d.api.compress import compress_image
    from doh3d.evaluation.image import evaluate_image

    for preset in ("default", "best"):
        for path in sorted(INPUTS.glob("*.png"))[: 1 if check.quick else None]:
            for bpp in (0.15, 0.6):
                if check.seconds_left <= 0:
                    return
                found, seconds = check.timed(
                    lambda path=path, bpp=bpp, preset=preset: compress_image(
                        path, bpp=bpp, preset=check.preset(preset), device=check.device
                    )
                )
                file = FOLDER / "image.doh"
                found.save(file)
                psnr = evaluate_image(file, path).psnr
                what = f"{path.stem} {bpp} bpp {preset}"
                check.rows.add("images", what, seconds=seconds, value=psnr, unit="dB")


def check_extraction(check: Check) -> None:
    import doh3d

    for name in ("stanford-bunny-1000", "armadillo-7000"):
        file = FOLDER / f"{name}-{check.device}.doh"
        if not file.exists():
            continue
        field = doh3d.load(file, check.device)
        field.to_mesh(32)
        for resolution in (64,) if check.quick else (256, 512, 1024):
            if check.seconds_left > 0:
                mesh, seconds = check.timed(lambda f=field, r=resolution: f.to_mesh(r))
                note = f"{len(mesh.faces)} faces"
                check.rows.add("extraction", f"{name} {resolution}^3", seconds=seconds, note=note)


PARTS: dict[str, Callable[[Check], None]] = {
    "right": check_right,
    "one": check_one,
    "many": check_many,
    "images": check_images,
    "extraction": check_extraction,
    "parts": check_parts,
}
