"""Fits that are asked for one after the other, and what a checkpoint spares from being done twice.

What leads to a file may take several fits, each chosen by what the last one gave. It is written
once, as a generator of requests, for a signal that is fitted alone and for one whose fits are made
together with those of others.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import torch

from doh3d.codec.signal_code import SignalCode
from doh3d.fitting.checkpoint import Checkpoint
from doh3d.fitting.config import FitConfig
from doh3d.fitting.fit import fit_latent
from doh3d.fitting.results import FitResult, ProgressFunction
from doh3d.fitting.signal import Samples, Signal
from doh3d.fitting.strays import StraySearch, strays_of_file

_log = logging.getLogger(__name__)

_End = TypeVar("_End")


@dataclass(frozen=True)
class FitRequest:
    """A fit that is wanted.

    Attributes
    ----------
    config : FitConfig
    payload_bits : float, optional
        See `fit_latent`.
    known : Samples, optional
        Where a fit before has strayed.
    """

    config: FitConfig
    payload_bits: float | None = None
    known: Samples | None = None


# Yields the fits of one signal that are wanted, is sent their results, and returns what they are
# for.
Fits: TypeAlias = Generator[FitRequest, FitResult, _End]


def fits_of(
    signal: Signal[SignalCode], config: FitConfig, device: torch.device, payload_bits: float | None
) -> Fits[FitResult]:
    """Fit a signal.

    A fit whose file has strayed, see `Signal.strays`, is repeated once with samples there, and the
    one that strays less is kept.
    """
    first = yield FitRequest(config, payload_bits)
    strays = strays_of_file(first, config, signal, device)
    if strays is None:
        return first
    _log.info("the field strays far from the signal; fitting again with samples there")
    again = yield FitRequest(config, payload_bits, strays)
    left = strays_of_file(again, config, signal, device)
    return again if left is None or len(left) < len(strays) else first


def carried_out(
    fits: Fits[_End],
    signal: Signal[SignalCode],
    *,
    device: torch.device,
    progress: ProgressFunction | None = None,
    checkpoint: Checkpoint | None = None,
) -> _End:
    """Make the fits that are wanted of a signal, one after the other; return what they are for."""
    try:
        request = next(fits)
        while True:
            result = fit_alone(
                request, signal, device=device, progress=progress, checkpoint=checkpoint
            )
            request = fits.send(result)
    except StopIteration as end:
        returned: _End = end.value
        return returned


def fit_alone(
    request: FitRequest,
    signal: Signal[SignalCode],
    *,
    device: torch.device,
    progress: ProgressFunction | None = None,
    checkpoint: Checkpoint | None = None,
) -> FitResult:
    """Sample a signal and fit it, see `fit_latent`; or take the result from the checkpoint."""
    config, payload_bits = request.config, request.payload_bits
    name = f"fit {_digest(repr((config, payload_bits)).encode())}"
    if request.known is not None:
        name += " again"
    work = None if checkpoint is None else checkpoint.work(name)
    like = FitResult(
        latent=np.zeros(config.latent, dtype=np.float32),
        biases=np.zeros(config.architecture.bias_count, dtype=np.float32),
        latent_step_index=0,
        learning_rate=0.0,
    )
    found = None if work is None else work.finished(like.to_arrays())
    if found is not None:
        return FitResult.from_arrays(found)
    result = fit_latent(
        signal.sample(config),
        config,
        device=device,
        payload_bits=payload_bits,
        progress=progress,
        work=work,
        search=StraySearch.of(signal, config, device, request.known),
    )
    if work is not None:
        work.finish(result.to_arrays())
    return result


def fit_signal(
    signal: Signal[SignalCode],
    config: FitConfig,
    *,
    device: torch.device,
    payload_bits: float | None = None,
    progress: ProgressFunction | None = None,
    checkpoint: Checkpoint | None = None,
) -> FitResult:
    """Sample a signal and fit it alone, see `fits_of`."""
    return carried_out(
        fits_of(signal, config, device, payload_bits),
        signal,
        device=device,
        progress=progress,
        checkpoint=checkpoint,
    )


def measured_once(
    measure: Callable[[bytes], float], checkpoint: Checkpoint | None
) -> Callable[[bytes], float]:
    """Wrap a measurement of files so that the checkpoint keeps what it finds."""
    if checkpoint is None:
        return measure

    def once(data: bytes) -> float:
        work = checkpoint.work(f"measurement {_digest(data)}")
        found = work.finished({"value": np.array(0.0)})
        if found is not None:
            return float(found["value"])
        value = measure(data)
        work.finish({"value": np.array(value)})
        return value

    return once


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
