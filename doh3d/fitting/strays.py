"""Samples where a signal's field has strayed, put among those that a fit is drawn from.

A blob far from a shape's surface costs next to nothing in the mean over all samples, since few are
there. A search of the field as it stands finds it, and samples there make it cost enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from doh3d.codec.container import serialize
from doh3d.codec.signal_code import SignalCode
from doh3d.fitting.checkpoint import State
from doh3d.fitting.config import FLOAT_BITS, FitConfig
from doh3d.fitting.pool import EncodedPools, encoded_by_cell
from doh3d.fitting.quantize_fit import quantize_fit
from doh3d.fitting.results import FitResult
from doh3d.fitting.signal import Samples, Signal
from doh3d.thread_team import team_of_all_threads

# A fit is searched at every draw of samples, from this share of its steps on. Before, blobs come
# and go; from here on, where rounding begins and the rate falls, they stay.
_FIRST_SEARCH = 0.6

# Rows at the end of each network's pool that samples are put into, and the most of all rows.
_ROWS, _MOST_SHARE = 512, 0.05

# Few samples are put there more than once, until they are so many: one alone is a 300,000th of the
# mean, and a pool that has one there has not kept the field from straying.
_LEAST_PUT = 64


@dataclass(frozen=True)
class StraySearch:
    """How a fit learns where its field has strayed.

    Attributes
    ----------
    search : callable
        From where a fit stands to samples where it has strayed; None where it has not.
    known : Samples, optional
        Where a fit of the same signal has strayed before.
    """

    search: Callable[[FitResult], Samples | None]
    known: Samples | None = None

    @classmethod
    def of(
        cls,
        signal: Signal[SignalCode],
        config: FitConfig,
        device: torch.device,
        known: Samples | None = None,
    ) -> StraySearch:
        """Search a signal's field as a fit has it, not yet quantised; see `Signal.strays`."""
        exact = replace(config, bits=FLOAT_BITS)

        def search(result: FitResult) -> Samples | None:
            data = serialize(quantize_fit(result, exact, signal))
            return signal.strays(data, config, device, thorough=False)

        return cls(search, known)


def strays_of_file(
    result: FitResult, config: FitConfig, signal: Signal[SignalCode], device: torch.device
) -> Samples | None:
    """Search what the file of a fit decodes to."""
    data = serialize(quantize_fit(result, config, signal))
    # In one thread whoever asks: sums in another order are other numbers.
    with team_of_all_threads():
        return signal.strays(data, config, device, thorough=True)


class StrayRows:
    """The last rows of K pools, which samples are put into one after the other, and over again.

    Samples are in random order, so that those at the end are like any others.

    Parameters
    ----------
    pools : EncodedPools
        Written to.
    configs : S FitConfig
        Of the signals whose networks have the pools.
    """

    def __init__(self, pools: EncodedPools, configs: Sequence[FitConfig]) -> None:
        self._configs = configs
        rows = pools.values.shape[1]
        self._first = rows - max(1, min(_ROWS, int(_MOST_SHARE * rows)))
        self._features = pools.features[:, self._first :]
        self._values = pools.values[:, self._first :]
        self._next = np.zeros(len(self._values), dtype=np.int64)

    def due(self, step: int) -> bool:
        """Whether the fields should be searched before this step."""
        steps = self._configs[0].steps
        return _FIRST_SEARCH * steps <= step < steps

    def put(self, found: Sequence[Samples | None]) -> list[tuple[int, torch.Tensor]]:
        """Put each signal's samples into the pools of their cells; the networks and rows written.

        As many as there are rows at most.
        """
        written = []
        for signal, (config, samples) in enumerate(zip(self._configs, found, strict=True)):
            if samples is None:
                continue
            architecture = config.architecture
            times = math.ceil(_LEAST_PUT / len(samples))
            for cell, parts in enumerate(encoded_by_cell(architecture, samples, config.overlap)):
                network = signal * architecture.cells + cell
                rows = self._write(network, *(part.repeat(times, 1) for part in parts))
                if len(rows):
                    written.append((network, rows))
        return written

    def _write(self, network: int, features: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Write samples into one network's pool; the rows written."""
        capacity = self._values.shape[1]
        count = min(len(values), capacity)
        rows = (torch.arange(count) + int(self._next[network])) % capacity
        rows = rows.to(self._values.device)
        self._features[network, rows] = features[:count].to(self._features)
        self._values[network, rows] = values[:count].to(self._values)
        self._next[network] = (self._next[network] + count) % capacity
        return self._first + rows

    def state(self) -> State:
        """Return what is carried on beside `tensors`, as arrays for a checkpoint."""
        return {"stray rows": self._next.copy()}

    def restore(self, state: State) -> None:
        """Go back to where `state` was taken."""
        self._next = state["stray rows"].copy()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name the rows."""
        return {"last features": self._features, "last values": self._values}
