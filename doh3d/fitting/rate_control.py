"""Fits that meet a size or a quality: predict from the plan, then correct."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from doh3d.codec.container import overhead_bytes, serialize
from doh3d.codec.signal_code import SignalCode
from doh3d.errors import ConfigError, Doh3dError, TargetError
from doh3d.fitting.checkpoint import Checkpoint
from doh3d.fitting.config import FitConfig
from doh3d.fitting.quantize_fit import empty_code, encode_within, quantize_fit
from doh3d.fitting.results import ProgressFunction
from doh3d.fitting.resumable import Fits, carried_out, fits_of, measured_once
from doh3d.fitting.signal import QualityScale, Signal
from doh3d.options import MAX_BYTES, MIN_BYTES

_log = logging.getLogger(__name__)

# Share of the bytes allowed that a fit aims at: where it ends above them, its latent is rounded
# anew to a coarser step, for which no other number makes up.
_AIMED_SHARE = 0.99

# Cutting seven bytes of 3,000 has made an error two thirds larger (lucy). Where a fit came out too
# large the next is asked for this share of the size, and takes a coarser step from the start: 3%
# are 0.16 bits a number, and steps an eighth of a bit apart.
_ASKED_AFTER_A_CUT = 0.97

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
    """A file, the configuration that made it, and how many signals were fitted at once."""

    data: bytes
    config: FitConfig
    together: int = 1


def fits_as_configured(
    signal: Signal[SignalCode], config: FitConfig, device: torch.device
) -> Fits[Encoded]:
    """Fit a signal as a configuration says, whatever size that comes to."""
    result = yield from fits_of(signal, config, device, None)
    return Encoded(serialize(quantize_fit(result, config, signal)), config)


def encode(
    signal: Signal[SignalCode],
    config: FitConfig,
    *,
    device: torch.device,
    progress: ProgressFunction | None = None,
    checkpoint: Checkpoint | None = None,
) -> Encoded:
    """Fit a signal alone, see `fits_as_configured`."""
    return carried_out(
        fits_as_configured(signal, config, device),
        signal,
        device=device,
        progress=progress,
        checkpoint=checkpoint,
    )


def fits_to_bytes(
    signal: Signal[SignalCode],
    max_bytes: int,
    config_for_latent: ConfigForLatent,
    device: torch.device,
) -> Fits[Encoded]:
    """Fit a file of at most `max_bytes`, and at least 95% of that unless a shorter one errs less.

    The plan predicts the latent's length; the step size, chosen when rounding sets in, brings
    the file to the byte count. Only where that does not do is the fit repeated; one that has to be
    cut to its size, once, and then the best of all files is kept.

    Raises
    ------
    Doh3dError
        If four fits miss; the size of a fit varies by a few percent, so this is not expected.
    """
    latent = signal.latent_for_bytes(max_bytes)
    # Every file within the size, and what each fit came to.
    made: list[Encoded] = []
    sizes: list[str] = []
    was_cut = False
    asked = 1.0
    for _ in range(_MAX_SIZE_FITS):
        config = config_for_latent(latent)
        payload_bits = asked * payload_bits_for(signal, config, max_bytes)
        result = yield from fits_of(signal, config, device, payload_bits)
        data, excess = encode_within(result, config, signal, max_bytes)
        if data is not None:
            made.append(Encoded(data, config))
        if was_cut:
            break
        if data is not None and _is_used(data, max_bytes):
            if excess <= 0:
                return made[-1]
            was_cut = True
            asked *= _ASKED_AFTER_A_CUT / (1 + excess)
            _log.info("the file came out %.1f%% too large; fitting again", 100 * excess)
            continue
        if data is None:
            # Even the coarsest step was too large.
            latent = round(0.92 * latent)
        else:
            # The numbers shrank after the step was chosen, or even the finest step fell short.
            asked *= 0.98 * max_bytes / len(data)
            latent = round(latent * max_bytes / len(data))
        sizes.append(f"over {max_bytes}" if data is None else str(len(data)))
        _log.info("the file took %s bytes; fitting %d latents instead", sizes[-1], latent)
    if was_cut:
        # A cut may cost more than a tenth of the bytes would bring.
        return _best(made, signal, device)
    raise Doh3dError(f"no fit came to within 5% of {max_bytes} bytes: {', '.join(sizes)}")


def fit_to_bytes(
    signal: Signal[SignalCode],
    max_bytes: int,
    config_for_latent: ConfigForLatent,
    *,
    device: torch.device,
    progress: ProgressFunction | None = None,
    checkpoint: Checkpoint | None = None,
) -> Encoded:
    """Fit a signal alone, see `fits_to_bytes`."""
    return carried_out(
        fits_to_bytes(signal, max_bytes, config_for_latent, device),
        signal,
        device=device,
        progress=progress,
        checkpoint=checkpoint,
    )


def _best(made: list[Encoded], signal: Signal[SignalCode], device: torch.device) -> Encoded:
    """Of a signal's files the one that errs least; the last of them where they err alike."""
    if len(made) == 1:
        return made[0]
    return min(reversed(made), key=lambda each: signal.error(each.data, each.config, device))


def payload_bits_for(signal: Signal[SignalCode], config: FitConfig, max_bytes: int) -> float:
    """Bits that latent and biases are to take for a file of `max_bytes`.

    Raises
    ------
    ConfigError
        If all the rest, with what the file says beside the signal, leaves them none.
    """
    rest = overhead_bytes(empty_code(config, signal))
    bits = 8 * (_AIMED_SHARE * max_bytes - rest)
    if bits <= 0:
        raise ConfigError(
            f"a file of {max_bytes} bytes has no room for the signal: all else takes {rest} bytes"
        )
    return bits


def _is_used(data: bytes, max_bytes: int) -> bool:
    return len(data) >= _USED_SHARE * max_bytes


def fit_to_quality(
    signal: Signal[SignalCode],
    wanted: float,
    config_for_latent: ConfigForLatent,
    *,
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
    scale = signal.scale
    measure_once = measured_once(lambda data: signal.quality(data, device), checkpoint)

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
            f"{scale.name} {wanted:g} was not reached: "
            f"{len(encoded.data)} bytes reach {reached:.4f}",
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
