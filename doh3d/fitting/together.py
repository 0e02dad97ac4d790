"""Several signals fitted at once on one device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch

from doh3d.codec.signal_code import SignalCode
from doh3d.errors import Doh3dError
from doh3d.fitting.config import FitConfig
from doh3d.fitting.memory import signals_at_once
from doh3d.fitting.optimisation import Optimisation
from doh3d.fitting.rate_control import Encoded, fits_as_configured, fits_to_bytes
from doh3d.fitting.results import FitResult, ProgressFunction
from doh3d.fitting.resumable import FitRequest, Fits, fit_alone
from doh3d.fitting.signal import Samples, Signal
from doh3d.fitting.strays import StraySearch
from doh3d.options import CompressOptions
from doh3d.thread_team import team_of_all_threads

_log = logging.getLogger(__name__)


@dataclass
class _Work:
    """A signal on its way: the fits that lead to its file, and the one that is wanted now."""

    signal: Signal[SignalCode]
    fits: Fits[Encoded]
    request: FitRequest | None = None
    together: int = 1
    fits_made: int = 0
    end: Encoded | Doh3dError | None = None

    def go_on(self, result: FitResult | None = None) -> None:
        """Take the result of what was wanted, or begin."""
        try:
            # A generator that has not begun takes None.
            self.request = next(self.fits) if result is None else self.fits.send(result)
        except StopIteration as end:
            self.end = replace(end.value, together=self.together)
        except Doh3dError as error:
            self.end = error

    def sample(self) -> None:
        """Draw the samples of the fit that is wanted; a signal keeps those that it drew last."""
        if self.end is None:
            try:
                self.signal.sample(self.wanted.config)
            except Doh3dError as error:
                self.end = error

    @property
    def wanted(self) -> FitRequest:
        """The fit that is wanted."""
        assert self.request is not None
        return self.request

    @property
    def outline(self) -> tuple[FitConfig, int]:
        """What signals that are fitted together have in common.

        They may differ in where their cells lie and in which axes are mirrored, not in how many.
        """
        config = self.wanted.config
        network = config.architecture
        return replace(config, architecture=network.of_a_cell), len(network.mirrored)


def fit_together(
    signals: Sequence[Signal[SignalCode]],
    options: CompressOptions,
    *,
    device: torch.device,
    progress: ProgressFunction | None = None,
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> list[Encoded | Doh3dError]:
    """Fit signals, as many at once as are alike and memory allows, to the sizes asked for.

    Alike are those of one configuration: with as many cells and mirror planes. A fit that has to
    be repeated, because its size was missed or its file has strayed, is repeated together with
    those of others that have to be. One that diverges is made alone.

    Parameters
    ----------
    turn : callable
        Makes a context manager that is entered for each fit of a group, with its samples drawn:
        where several processes share a device, it waits until the device is theirs.

    Returns
    -------
    list of Encoded or Doh3dError
        An error for a signal that cannot be fitted; it costs the others nothing.
    """
    works = [_Work(signal, _fits_for(signal, options, device)) for signal in signals]
    for work in works:
        work.go_on()
    while any(work.end is None for work in works):
        for work in works:
            work.sample()
        # Those that are fitted again wait for all others, and so for each other.
        waiting = [work for work in works if work.end is None]
        waiting.sort(key=lambda work: work.fits_made)
        if not waiting:
            break
        with turn():
            alike = [work for work in waiting if work.outline == waiting[0].outline]
            group = alike[: signals_at_once(waiting[0].outline[0], device)]
            results = _fit_group(group, device, progress)
        for work, result in zip(group, results, strict=True):
            if isinstance(result, Doh3dError):
                work.end = result
            else:
                work.go_on(result)
    ends = [work.end for work in works]
    return [end for end in ends if end is not None]


def _fits_for(
    signal: Signal[SignalCode], options: CompressOptions, device: torch.device
) -> Fits[Encoded]:
    size = signal.bytes_asked(options)
    if size is None:
        return (yield from fits_as_configured(signal, signal.config(options), device))

    def config_for_latent(latent: int) -> FitConfig:
        return signal.config(options, latent)

    return (yield from fits_to_bytes(signal, size, config_for_latent, device))


def _fit_group(
    group: Sequence[_Work], device: torch.device, progress: ProgressFunction | None
) -> list[FitResult | Doh3dError]:
    """Make the fits that are wanted of alike signals."""
    wanted = [work.wanted for work in group]
    results: list[FitResult | None] = [None] * len(group)
    if len(group) > 1:
        bits = [each.payload_bits for each in wanted if each.payload_bits is not None]
        results = fit_latents(
            [work.signal.sample(each.config) for work, each in zip(group, wanted, strict=True)],
            [each.config for each in wanted],
            device=device,
            payload_bits=bits or None,
            progress=progress,
            searches=[
                StraySearch.of(work.signal, each.config, device, each.known)
                for work, each in zip(group, wanted, strict=True)
            ],
        )
    ends: list[FitResult | Doh3dError] = []
    for work, each, result in zip(group, wanted, results, strict=True):
        work.fits_made += 1
        if result is not None:
            work.together = len(group)
            ends.append(result)
            continue
        if len(group) > 1:
            _log.warning("one of %d signals diverged; it is fitted alone", len(group))
        try:
            ends.append(fit_alone(each, work.signal, device=device, progress=progress))
        except Doh3dError as error:
            ends.append(error)
    return ends


def fit_latents(
    samples: Sequence[Samples],
    config: FitConfig | Sequence[FitConfig],
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
    config : FitConfig, or S of them
        See `Optimisation`.
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
    one = config if isinstance(config, FitConfig) else config[0]
    with team_of_all_threads() as team:
        optimisation = Optimisation(
            samples, config, one.learning_rate, device, team=team, searches=searches
        )
        sound = optimisation.run(progress, payload_bits=payload_bits)
        ends = zip(optimisation.results(), sound, optimisation.worsened, strict=True)
        return [result if fine and not worse else None for result, fine, worse in ends]
