"""The one way from a signal to the bytes of a `.doh` file."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch

from doh3d.codec.signal_code import SignalCode
from doh3d.errors import TargetError
from doh3d.fitting.checkpoint import Checkpoint
from doh3d.fitting.config import FitConfig
from doh3d.fitting.rate_control import Encoded, encode, fit_to_bytes, fit_to_quality
from doh3d.fitting.results import ProgressFunction
from doh3d.fitting.signal import Signal
from doh3d.options import DEFAULT_LATENT, CompressOptions


def compress_signal(
    signal: Signal[SignalCode],
    options: CompressOptions,
    *,
    device: torch.device,
    progress: ProgressFunction | None = None,
    checkpoint: str | Path | None = None,
) -> Encoded:
    """Fit a signal to a size, to a quality or to a latent's length, and encode it.

    Parameters are those of `doh3d.compress`, and so are the errors.
    """
    kept = None
    if checkpoint is not None:
        follows_from = {name: version(name) for name in ("doh3d", "torch")}
        follows_from |= {"device": device.type} | signal.identity()
        # What no latent changes is told by its value: to ask for a default is to ask for nothing.
        network = signal.config(options, options.latent or DEFAULT_LATENT).architecture
        told = {"depth": network.depth, "activation": network.activation}
        kept = Checkpoint(checkpoint, follows_from | asdict(options) | told)

    def config_for_latent(latent: int) -> FitConfig:
        return signal.config(options, latent)

    max_bytes = signal.bytes_asked(options)
    if options.quality is not None:
        try:
            return fit_to_quality(
                signal,
                options.quality,
                config_for_latent,
                device=device,
                progress=progress,
                checkpoint=kept,
            )
        except TargetError:
            # The search has come to its end, if not to its goal.
            if kept is not None:
                kept.path.unlink(missing_ok=True)
            raise
    if max_bytes is not None:
        return fit_to_bytes(
            signal,
            max_bytes,
            config_for_latent,
            device=device,
            progress=progress,
            checkpoint=kept,
        )
    config = signal.config(options)
    return encode(signal, config, device=device, progress=progress, checkpoint=kept)
