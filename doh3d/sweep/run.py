"""Parameter sweeps: one mesh, many latent lengths, bit levels and seeds."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from doh3d import __version__
from doh3d.codec.container import section_sizes, serialize
from doh3d.errors import ConfigError, Doh3dError, MeshError
from doh3d.evaluation.evaluate import field_iou
from doh3d.evaluation.inputs import Prepared
from doh3d.evaluation.protocols import Protocol
from doh3d.files import other_kind, utf8_name, write_atomically
from doh3d.geometry.inputs import MeshInput, to_trimesh
from doh3d.geometry.reading import Reading
from doh3d.limits import MAX_SEED, Limits
from doh3d.options import CompressOptions, PresetName, Quantizer
from doh3d.sweep.table import SweepFolder, SweepIdentity, SweepRow, summarize

if TYPE_CHECKING:
    from doh3d.codec.shape_code import ShapeCode
    from doh3d.fitting.config import FitConfig
    from doh3d.fitting.results import FitProgress, ProgressFunction
    from doh3d.signals.shape import PreparedShape

_log = logging.getLogger(__name__)

DEFAULT_LATENTS = (250, 500, 1000, 2000, 4000, 8000)
DEFAULT_BITS = (3, 4, 5, 6, 8, 16)
# A quarter of the protocol's: a sweep's differences are far above the noise of these.
DEFAULT_POINTS = 2**19

_PROTOCOL: Protocol = "bbox"


@dataclass(frozen=True)
class Sweep:
    """What a folder holds after a sweep.

    Attributes
    ----------
    folder : SweepFolder
    rows : tuple of SweepRow
        Everything in the folder, of this run and of earlier ones.
    failures : tuple of str
        One line for each fit that came to nothing; it is tried again by the next run.
    """

    folder: SweepFolder
    rows: tuple[SweepRow, ...]
    failures: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Rows, means over seeds and failures, ready for JSON."""
        return {
            "output": str(self.folder.path),
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "summary": [point.to_dict() for point in summarize(self.rows)],
            "failures": list(self.failures),
        }

    def describe(self) -> dict[str, Any]:
        """Means over seeds for people to read: a section for each latent length."""
        first, points = self.rows[0], summarize(self.rows)
        sections: dict[str, Any] = {
            "quantizer, preset": f"{first.quantizer}, {first.preset}",
            "IoU": f"of the {first.iou_of}, {first.protocol}, {first.points} points",
        }
        if any(point.seeds > 1 for point in points):
            sections["IoU"] += ", mean ± 95% interval"
        for point in points:
            spread = "" if point.iou.half_width is None else f" ± {point.iou.half_width:.4f}"
            sections.setdefault(f"latent {point.latent}", {})[f"{point.bits} bits"] = (
                f"{point.bytes.mean:.0f} bytes, IoU {point.iou.mean:.4f}{spread}"
            )
        return sections | ({"failed": "; ".join(self.failures)} if self.failures else {})


def parse_numbers(name: str, text: str) -> tuple[int, ...]:
    """Read whole numbers separated by commas; ConfigError, naming the option, for others."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise ConfigError(
            f"{name} is {text!r}; it must be whole numbers separated by commas, such as 4,8"
        )
    return tuple(int(part) for part in parts)


def run_sweep(
    mesh: MeshInput | Reading | PreparedShape,
    folder: str | Path,
    *,
    latents: Sequence[int] = DEFAULT_LATENTS,
    bits: Sequence[int] = DEFAULT_BITS,
    quantizer: Quantizer = "qat",
    seeds: int = 1,
    preset: str = "default",
    points: int = DEFAULT_POINTS,
    device: str = "auto",
    progress: ProgressFunction | None = None,
) -> Sweep:
    """Compress a mesh with every combination of latent length, bits and seed, and measure.

    Each file goes to ``folder/files``, its row to ``folder/sweep.csv`` as soon as it is
    measured. A run that was stopped is taken up where it was, and one with further latents,
    bits or seeds adds to the same table.

    Parameters
    ----------
    mesh : path, mesh, (vertices, faces), Reading or PreparedShape
        As `doh3d.compress` takes it. Two in memory are the same sweep's where their vertices and
        faces are the same.
    folder : path
        Made where it does not exist.
    latents, bits : sequences of int
        Without repetition; bits 2 to 16, or 32 for float32.
    quantizer : "qat" or "ptq"
        "qat" fits for every number of bits; "ptq" fits once for each latent and seed, and
        rounds the result to each number of bits.
    seeds : int
        Seeds 0 to `seeds` - 1.
    preset, device
        See `doh3d.compress`.
    points : int
        For the IoU of the decoded field, by the bbox protocol.
    progress : callable, optional
        Called every 50 steps with a `FitProgress` that counts the steps of all missing fits.

    Raises
    ------
    MeshError
        If the mesh cannot be read or encloses no volume.
    ConfigError
        If an option is out of range, or the folder holds another sweep.
    Doh3dError
        If every fit failed.
    """
    from doh3d.devices import resolve_device
    from doh3d.fitting.fit import fit_latent
    from doh3d.fitting.quantize_fit import quantize_fit

    plan = _plan(latents, bits, quantizer, seeds, preset, points)
    torch_device = resolve_device(device)
    source = _Source.of(mesh)
    identity = SweepIdentity(source.sha256, preset, quantizer, _PROTOCOL, points)
    out = SweepFolder(folder)
    out.check(identity)
    measuring = _Measuring(out, source.name, preset, points, device)
    finished = {row.key for row in out.read()}
    missing = [rest for served in plan if (rest := [o for o in served if _key(o) not in finished])]
    failures = []
    fits: list[list[FitConfig]] = []
    if missing:
        shape = source.prepared()
        # Only now, so that a mesh that is none leaves nothing behind.
        out.create(identity, source.path)
        fits = [[shape.config(options) for options in served] for served in missing]
    steps_done, steps_in_all = 0, sum(served[0].steps for served in fits)
    for served in fits:
        # Any of them: what differs, the bits of "ptq", does not enter the fit.
        config = served[0]
        started = time.perf_counter()
        try:
            result = fit_latent(
                shape.sample(config),
                config,
                device=torch_device,
                progress=_part_of_all(progress, steps_done, steps_in_all),
            )
        except Doh3dError as error:
            failures.append(f"{_label(served)}: {error}")
            _log.warning("%s", failures[-1])
        else:
            seconds = time.perf_counter() - started
            for each in served:
                code = quantize_fit(result, each, shape)
                out.append(measuring.row(shape, each, code, seconds))
        steps_done += config.steps
    rows = out.read()
    if not rows:
        raise Doh3dError(f"every fit of the sweep failed: {failures[0]}")
    return Sweep(out, tuple(rows), tuple(failures))


def _plan(
    latents: Sequence[int],
    bits: Sequence[int],
    quantizer: Quantizer,
    seeds: int,
    preset: str,
    points: int,
) -> list[list[CompressOptions]]:
    """List every fit as the options that it serves, seed by seed; all are checked."""
    from doh3d.signals.shape import check_shape_options

    for name, values in (("latent", latents), ("bits", bits)):
        if not values:
            raise ConfigError(f"{name} is empty; give at least one number")
        for value in values:
            if values.count(value) > 1:
                raise ConfigError(f"{name} names {value} more than once")
    if not 1 <= seeds <= MAX_SEED + 1:
        raise ConfigError(f"seeds is {seeds}; it must be 1 to {MAX_SEED + 1}")
    if points < 1:
        raise ConfigError(f"points is {points}; it must be 1 or more")
    plan = []
    for seed, latent in itertools.product(range(seeds), latents):
        served = [
            CompressOptions(
                # A name that is none is the options' to refuse.
                preset=cast(PresetName, preset),
                latent=latent,
                bits=b,
                quantizer=quantizer,
                seed=seed,
            )
            for b in bits
        ]
        for options in served:
            check_shape_options(options)
        plan.extend([served] if quantizer == "ptq" else [[options] for options in served])
    return plan


def _key(options: CompressOptions) -> tuple[int | None, int | None, int]:
    return options.latent, options.bits, options.seed


def _label(served: Sequence[FitConfig]) -> str:
    bits = ", ".join(str(config.bits) for config in served)
    return f"latent {served[0].latent}, bits {bits}, seed {served[0].seed}"


@dataclass(frozen=True)
class _Source:
    """The mesh of a sweep: what it is called, what tells it apart, and its file if it has one."""

    mesh: MeshInput | Reading | PreparedShape
    name: str
    sha256: str
    path: Path | None

    @classmethod
    def of(cls, mesh: MeshInput | Reading | PreparedShape) -> _Source:
        if isinstance(mesh, str | Path):
            name = " ".join(utf8_name(Path(mesh).name).split())
            return cls(mesh, name, hashlib.sha256(_file_bytes(mesh)).hexdigest(), Path(mesh))
        if isinstance(mesh, Prepared):
            mesh = mesh.reading
        raw = mesh.raw if isinstance(mesh, Reading) else to_trimesh(mesh)
        digest = hashlib.sha256(np.asarray(raw.vertices, "<f8").tobytes())
        digest.update(np.asarray(raw.faces, "<i8").tobytes())
        return cls(mesh, "mesh", digest.hexdigest(), None)

    def prepared(self) -> PreparedShape:
        from doh3d.signals.shape import prepare

        return prepare(self.mesh)


def _file_bytes(mesh: str | Path) -> bytes:
    other = other_kind(mesh)
    if other is not None:
        raise MeshError(f"{mesh}: is {other}; a mesh file is needed")
    try:
        return Path(mesh).read_bytes()
    except OSError as error:
        raise MeshError(f"{mesh}: cannot be read: {error.strerror}") from error


def _part_of_all(
    progress: ProgressFunction | None, steps_before: int, steps_in_all: int
) -> ProgressFunction | None:
    """Turn a fit's progress into the sweep's."""
    if progress is None:
        return None

    def show(of_fit: FitProgress) -> None:
        progress(dataclasses.replace(of_fit, step=steps_before + of_fit.step, steps=steps_in_all))

    return show


@dataclass(frozen=True)
class _Measuring:
    """From a rounded fit to a file and its row; what all rows share."""

    out: SweepFolder
    mesh_name: str
    preset: str
    points: int
    device: str

    def row(
        self, shape: PreparedShape, config: FitConfig, code: ShapeCode, seconds: float
    ) -> SweepRow:
        """Write one file, and measure what it decodes to."""
        from doh3d.field import load

        file = self.out.file_path(config.latent, config.bits, config.seed)
        write_atomically(file, serialize(code))
        field = load(file, self.device, limits=Limits.of_format())
        iou = field_iou(shape.reading, field, protocol=_PROTOCOL, points=self.points)
        size, parts = file.stat().st_size, section_sizes(code)
        return SweepRow(
            mesh=self.mesh_name,
            latent=config.latent,
            bits=config.bits,
            quantizer=config.quantizer,
            seed=config.seed,
            preset=self.preset,
            width=config.architecture.width,
            depth=config.architecture.depth,
            octaves=config.architecture.octaves,
            projection=config.projection,
            bytes=size,
            iou=iou.iou,
            iou_of="field",
            protocol=iou.protocol,
            points=iou.points,
            seconds=round(seconds, 3),
            latent_bytes=parts["latent"],
            bias_bytes=parts["biases"],
            header_bytes=size - parts["latent"] - parts["biases"],
            version=__version__,
            date=datetime.now(UTC).date().isoformat(),
        )
