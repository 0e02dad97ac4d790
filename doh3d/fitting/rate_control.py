"""Fits that meet a size or a quality: predict from the plan, then correct."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from doh3d.codec.container import parse_signal, serialize
from doh3d.codec.signal_code import SignalCode
from doh3d.errors import ConfigError, Doh3dError, TargetError
from doh3d.fitting.checkpoint import Checkpoint
from doh3d.fitting.config import FitConfig, Quantizer
from doh3d.fitting.encoding import encode_within, quantize_fit
from doh3d.fitting.fit import FitResult, ProgressFunction
from doh3d.fitting.resumable import fit_signal, measured_once
from doh3d.fitting.signal import Signal
from doh3d.limits import Limits

_log = logging.getLogger(__name__)

MIN_BYTES = 300
MAX_BYTES = 64_000

# Share of the bytes allowed that a fit aims at: where it ends above them, its latent is rounded
# anew to a coarser step, for which no other number makes up.
_AIMED_SHARE = 0.99

# A file uses at least this share of the bytes allowed.
_USED_SHARE = 0.95
_MAX_SIZE_FITS = 4

# Sizes that a quality search tries: each 10% above the last.
_LADDER_RATIO = 1.1
_LADDER = [
    min(MAX_BYTES, round(MIN_BYTES * _LADDER_RATIO**rung))
    for rung in range(math.ceil(math.log(MAX_BYTES / MIN_BYTES, _LADDER_RATIO)) + 1)
]
# Trials of a search that trust the prediction.
_PREDICTIONS = 4

ConfigForLatent = Callable[[int], FitConfig]


@dataclass(frozen=True)
class Encoded:
    """A file and the configuration that made it."""

    data: bytes
    config: FitConfig


@dataclass(frozen=True)
class QualityScale:
    """How quality is told, and how it follows the size.

    Attributes
    ----------
    name : str
    error : function
        Of the quality: what falls with a power of the size.
    exponent : float
        About that power: what one measurement predicts the next by.
    first_size : int
        Bytes to begin a search with.
    """

    name: str
    error: Callable[[float], float]
    exponent: float
    first_size: int


IOU = QualityScale("IoU", lambda iou: 1 - iou, 0.6, 1000)


def check_target(
    max_bytes: int | None,
    min_iou: float | None,
    latent: int | None,
    bits: int | None,
    quantizer: Quantizer,
) -> None:
    """Raise ConfigError unless these options of `compress` say what to aim at.

    One of `max_bytes` and `min_iou` is given.
    """
    if max_bytes is not None and min_iou is not None:
        raise ConfigError("max_bytes and min_iou contradict each other; give one of them")
    if max_bytes is not None and not MIN_BYTES <= max_bytes <= MAX_BYTES:
        raise ConfigError(f"max_bytes is {max_bytes}; it must be {MIN_BYTES} to {MAX_BYTES}")
    if min_iou is not None and not 0 < min_iou < 1:
        raise ConfigError(f"min_iou is {min_iou}; it must be above 0 and below 1")
    name = "max_bytes" if max_bytes is not None else "min_iou"
    if latent is not None:
        raise ConfigError(f"latent and {name} contradict each other; give one of them")
    if bits is not None or quantizer != "qat":
        raise ConfigError(f"{name} chooses the quantisation by itself; leave out bits and ptq")


def fit_to_bytes(
    signal: Signal[SignalCode],
    max_bytes: int,
    config_for_latent: ConfigForLatent,
    *,
    device: torch.device,
    progress: ProgressFunction | None = None,
    checkpoint: Checkpoint | None = None,
) -> Encoded:
    """Fit a file of at most `max_bytes` and at least 95% of that.

    The plan predicts the latent's length; the step size, chosen when rounding sets in, brings
    the file to the byte count. Only where that does not do is the fit repeated; one that has to be
    cut to its size, once, and the better of the two is kept.

    Raises
    ------
    Doh3dError
        If four fits miss; the size of a fit varies by a few percent, so this is not expected.
    """
    latent = signal.latent_for_bytes(max_bytes)
    sizes = []
    harmed: Encoded | None = None
    asked = 1.0
    for _ in range(_MAX_SIZE_FITS):
        config = config_for_latent(latent)
        result = fit_signal(
            signal,
            config,
            device=device,
            payload_bits=asked * payload_bits_for(signal, config, max_bytes),
            progress=progress,
            checkpoint=checkpoint,
        )
        data = encode_within(result, config, signal, max_bytes)
        if data is not None and _is_used(data, max_bytes):
            excess = _excess(result, config, signal, max_bytes)
            encoded = Encoded(data, config)
            if harmed is not None:
                return min(harmed, encoded, key=lambda one: _error(one, signal, device))
            if excess <= 0:
                return encoded
            # Cutting seven bytes of 3,000 has made an error two thirds larger (lucy). Asked for so
            # much less, the next fit takes a coarser step from the start: 3% are 0.16 bits a
            # number, and steps an eighth of a bit apart.
            harmed = encoded
            asked *= 0.97 / (1 + excess)
            _log.info("the file came out %.1f%% too large; fitting again", 100 * excess)
            continue
        if harmed is not None:
            return harmed
        if data is None:
            # Even the coarsest step was too large.
            latent = round(0.92 * latent)
        else:
            # The numbers shrank after the step was chosen, or even the finest step fell short.
            asked *= 0.98 * max_bytes / len(data)
            latent = round(latent * max_bytes / len(data))
        sizes.append(str(len(data)) if data is not None else f"over {max_bytes}")
        _log.info("the file took %s bytes; fitting %d latents instead", sizes[-1], latent)
    if harmed is not None:
        return harmed
    raise Doh3dError(f"no fit came to within 5% of {max_bytes} bytes: {', '.join(sizes)}")


def payload_bits_for(signal: Signal[SignalCode], config: FitConfig, max_bytes: int) -> float:
    """Bits that latent and biases are to take for a file of `max_bytes`."""
    cuts = config.architecture.cells * (config.architecture.partition.levels > 0)
    return 8 * (_AIMED_SHARE * max_bytes - signal.overhead_bytes - cuts)


def encode_to_bytes(
    result: FitResult, config: FitConfig, signal: Signal[SignalCode], max_bytes: int
) -> bytes | None:
    """Serialise a fit to at most `max_bytes` and at least 95% of that, or None.

    None as well where it would have to be cut.
    """
    data = encode_within(result, config, signal, max_bytes)
    if data is None or not _is_used(data, max_bytes):
        return None
    return data if _excess(result, config, signal, max_bytes) <= 0 else None


def _excess(
    result: FitResult, config: FitConfig, signal: Signal[SignalCode], max_bytes: int
) -> float:
    """Share by which a fit's file, as it was trained, is above a size."""
    return len(serialize(quantize_fit(result, config, signal))) / max_bytes - 1


def _error(encoded: Encoded, signal: Signal[SignalCode], device: torch.device) -> float:
    code = parse_signal(encoded.data, Limits.of_format(), SignalCode)  # type: ignore[type-abstract]
    return signal.error(code, encoded.config, device)


def _is_used(data: bytes, max_bytes: int) -> bool:
    return len(data) >= _USED_SHARE * max_bytes


def fit_to_quality(
    signal: Signal[SignalCode],
    wanted: float,
    config_for_latent: ConfigForLatent,
    measure: Callable[[bytes], float],
    *,
    scale: QualityScale,
    device: torch.device,
    progress: ProgressFunction | None = None,
    checkpoint: Checkpoint | None = None,
) -> Encoded:
    """Fit the smallest file that reaches a quality: the size below it, by 10%, falls short.

    Sizes are tried on a ladder of 10% steps between 300 and 64,000 bytes, each predicted from
    those measured before.

    Raises
    ------
    TargetError
        If 64,000 bytes do not suffice.
    """
    tried: dict[int, tuple[Encoded, float]] = {}
    measure_once = measured_once(measure, checkpoint)

    def reaches(rung: int) -> bool:
        if rung not in tried:
            encoded = fit_to_bytes(
                signal,
                _LADDER[rung],
                config_for_latent,
                device=device,
                progress=progress,
                checkpoint=checkpoint,
            )
            tried[rung] = (encoded, measure_once(encoded.data))
            _log.info("%d bytes reach %s %.4f", len(encoded.data), scale.name, tried[rung][1])
        return tried[rung][1] >= wanted

    rung = search_ladder(
        len(_LADDER),
        start=min(range(len(_LADDER)), key=lambda r: abs(_LADDER[r] - scale.first_size)),
        reaches=reaches,
        predict=lambda r: _predicted_rung(_LADDER[r], tried[r][1], wanted, scale),
    )
    if rung is None:
        encoded, reached = max(tried.values(), key=lambda entry: entry[1])
        raise TargetError(
            f"{scale.name} {wanted} was not reached: {len(encoded.data)} bytes reach {reached:.4f}",
            encoded.data,
            reached,
        )
    return tried[rung][0]


def search_ladder(
    rungs: int,
    *,
    start: int,
    reaches: Callable[[int], bool],
    predict: Callable[[int], int],
) -> int | None:
    """Lowest rung that reaches, the one below it having been tried and found short.

    `predict` says which rung should just reach, judging by a rung that was tried. Every trial
    narrows the bracket; after a few predictions it is halved instead, so that there are at
    most 4 + log2(rungs) trials. None where the top rung does not reach.
    """
    short, enough = -1, rungs
    rung, trials = start, 0
    while True:
        trials += 1
        if reaches(rung):
            enough = rung
        else:
            short = rung
        if enough - short == 1:
            return enough if enough < rungs else None
        if trials <= _PREDICTIONS:
            rung = min(max(predict(rung), short + 1), enough - 1)
        else:
            rung = (short + enough) // 2


def _predicted_rung(size: int, reached: float, wanted: float, scale: QualityScale) -> int:
    """Rung that should reach the quality wanted, from what one size reached."""
    error_ratio = max(scale.error(reached), 1e-6) / scale.error(wanted)
    needed = size * error_ratio ** (1 / scale.exponent)
    return round(math.log(max(needed, MIN_BYTES) / MIN_BYTES, _LADDER_RATIO))
