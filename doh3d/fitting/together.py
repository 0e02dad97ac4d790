"""Several signals fitted at once on one device."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch

from doh3d.codec.signal_code import SignalCode
from doh3d.errors import Doh3dError
from doh3d.fitting.config import FitConfig
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.rate_control import Encoded, encode_fit, payload_bits_for
from doh3d.fitting.results import FitResult, ProgressFunction
from doh3d.fitting.signal import Samples, Signal
from doh3d.fitting.strays import StraySearch, strays_of_file
from doh3d.options import CompressOptions
from doh3d.thread_team import team_of_all_threads

_log = logging.getLogger(__name__)

# Bytes of encoded samples that signals fitted at once may hold together: a shape's take 34 MB with
# the fast preset. Beyond a dozen shapes more of them bring little.
_POOL_BYTES = 2**29


def fit_together(
    signals: Sequence[Signal[SignalCode]],
    options: CompressOptions,
    *,
    device: torch.device,
    progress: ProgressFunction | None = None,
) -> list[Encoded | Doh3dError | None]:
    """Fit those of the signals that can be fitted together, as many at once as memory allows.

    They are those of one configuration: shapes with other mirror planes have another.

    Returns
    -------
    list of Encoded, Doh3dError or None
        An error for a signal that cannot be fitted. None for one that is to be fitted alone: it
        has cells, no other has its configuration, it has diverged, its file has strayed (see
        `Signal.strays`), or its size was missed.
    """
    found: dict[int, Encoded | Doh3dError] = {}
    groups: dict[FitConfig, list[int]] = {}
    sizes: dict[int, int | None] = {}
    for number, signal in enumerate(signals):
        try:
            size = sizes[number] = signal.bytes_asked(options)
            config = signal.config(options, None if size is None else signal.latent_for_bytes(size))
        except Doh3dError as error:
            found[number] = error
        else:
            # Cells are a shape's own, and networks enough for a step; here they have no place.
            if config.architecture.cells == 1:
                groups.setdefault(config, []).append(number)
    for config, members in groups.items():
        at_once = _signals_at_once(config)
        for first in range(0, len(members), at_once):
            group = [(n, signals[n], sizes[n]) for n in members[first : first + at_once]]
            found |= _fit_group(group, config, device, progress)
    return [found.get(number) for number in range(len(signals))]


def _fit_group(
    group: Sequence[tuple[int, Signal[SignalCode], int | None]],
    config: FitConfig,
    device: torch.device,
    progress: ProgressFunction | None,
) -> dict[int, Encoded | Doh3dError]:
    """Fit signals, told by number, each with the bytes it may take, if a size is asked for."""
    found: dict[int, Encoded | Doh3dError] = {}
    pools: dict[int, Samples] = {}
    bits: list[float] = []
    for number, signal, size in group:
        try:
            pools[number] = signal.sample(config)
        except Doh3dError as error:
            found[number] = error
        else:
            if size is not None:
                bits.append(payload_bits_for(signal, config, size))
    # One alone takes the way of `compress_signal`, to the same bytes.
    if len(pools) < 2:
        return found
    results = dict(
        zip(
            pools,
            fit_latents(
                list(pools.values()),
                config,
                device=device,
                payload_bits=bits or None,
                progress=progress,
                searches=[
                    StraySearch.of(signal, config, device)
                    for number, signal, _ in group
                    if number in pools
                ],
            ),
            strict=True,
        )
    )
    for number, signal, size in group:
        result = results.get(number)
        if result is not None:
            encoded = encode_fit(result, config, signal, size)
            strayed = encoded and strays_of_file(result, config, signal, device)
            if encoded is not None and strayed is None:
                found[number] = replace(encoded, together=len(pools))
        elif number in results:
            _log.warning("signal %d diverged; it is fitted alone", number)
    return found


def fit_latents(
    samples: Sequence[Samples],
    config: FitConfig,
    *,
    device: torch.device,
    payload_bits: Sequence[float] | None = None,
    progress: ProgressFunction | None = None,
    searches: Sequence[StraySearch] = (),
) -> list[FitResult | None]:
    """Optimise a latent and biases for each of S signals at once, as `fit_latent` does for one.

    Parameters
    ----------
    samples : sequence of Samples
        Each is cut to the shortest.
    config : FitConfig
        Of all signals.
    payload_bits : sequence of float, optional
        Bits that each signal's latent and biases are to take at most.
    searches : S StraySearch, optional
        As of `fit_latent`.

    Returns
    -------
    list of FitResult or None
        None for a signal that is to be fitted alone: it has become constant, is not finite, has
        had a burst, or ends far worse than it was on its way.
    """
    if not samples:
        return []
    with team_of_all_threads() as team:
        optimisation = Optimisation(
            samples, config, config.learning_rate, device, team=team, searches=searches
        )
        sound = optimisation.run(progress, payload_bits=payload_bits)
        ends = zip(optimisation.results(), sound, optimisation.worsened, strict=True)
        return [result if fine and not worse else None for result, fine, worse in ends]


def _signals_at_once(config: FitConfig) -> int:
    bytes_each = 4 * config.pool_size * config.architecture.encoded_dim
    return max(1, _POOL_BYTES // bytes_each)
