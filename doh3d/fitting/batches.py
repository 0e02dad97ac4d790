"""Which samples of a pool a step sees."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch

from doh3d.devices import has_kernels
from doh3d.fitting.config import FitConfig
from doh3d.fitting.pool import EncodedPools

# Share of a draw that follows the samples' errors. The rest is uniform, so that no sample has an
# importance above five.
_FOLLOWING_SHARE = 0.8

# One draw serves this share of the steps, with the errors that were known when it was made.
_DRAW_SHARE = 0.05

# All errors are measured at every fifth draw. In between only those of the batches are known anew.
_MEASURE_INTERVAL = 5

# Errors are drawn by as integers, of units of 2^-30 up to 2^8: sums of 2^22 of them are exact in
# any order, so that every device draws the same.
_UNITS, _LARGEST_ERROR = 2.0**30, 2.0**8


_ALL = slice(None)


class Batch(NamedTuple):
    """Samples of K networks.

    Attributes
    ----------
    features : (K, N, encoded_dim) float32
    values : (K, N, out_dim) float32
    importance : (K, N, 1) float32, optional
        How much each sample counts in the loss; 1 where it is None.
    """

    features: torch.Tensor
    values: torch.Tensor
    importance: torch.Tensor | None = None


class Batches(ABC):
    """Batches gathered from pools into the same memory each time.

    Parameters
    ----------
    features : (K, M, encoded_dim) float32
        The pools.
    values : (K, M, out_dim) float32
    size : int
        N, samples of each network in a batch, at most M.
    importance : (K, M, 1) float32, optional
        Of each sample of the pools.

    Attributes
    ----------
    batch : Batch
        A buffer, which `gather` overwrites.
    """

    def __init__(
        self,
        features: torch.Tensor,
        values: torch.Tensor,
        size: int,
        importance: torch.Tensor | None = None,
    ) -> None:
        self._size = size
        pools = [features, values] if importance is None else [features, values, importance]
        self.batch = Batch(*(pool.new_empty((len(pool), size, pool.shape[2])) for pool in pools))
        self._pools = [pool.flatten(0, 1) for pool in pools]
        # Of all pools one after the other, those of each network's batch.
        self._rows = torch.zeros((len(values), size), dtype=torch.int64, device=values.device)
        self._gather_rows = _gatherer(values)

    def gather(self, networks: slice = _ALL, rows: slice = _ALL) -> Batch:
        """Gather what some networks see of the batch of the step that `prepare` was called for.

        Parameters
        ----------
        networks, rows : slice
            All rows of successive networks, or some of one's.
        """
        chosen = self._rows[networks, rows].reshape(-1)
        for pool, buffer in zip(self._pools, self.batch, strict=False):
            assert buffer is not None
            target = buffer[networks, rows].view(len(chosen), -1)
            self._gather_rows(chosen, pool, target)
        return self.batch

    @abstractmethod
    def prepare(self, step: int, measure: Callable[[torch.Tensor], object]) -> None:
        """Choose the rows of a step's batch.

        After a checkpoint the first step is one at which `begins_at` holds.

        Parameters
        ----------
        measure : callable
            Writes the errors of all samples into a (K, M, 1) tensor.
        """

    @abstractmethod
    def learn(self, errors: torch.Tensor) -> None:
        """Learn the (K, N, 1) errors of the batch gathered last."""

    @abstractmethod
    def renew(self, network: int, rows: torch.Tensor) -> None:
        """Take a network's samples in these rows, which are new, to be all wrong."""

    @abstractmethod
    def begins_at(self, step: int) -> bool:
        """Whether a fit can be taken up at this step with nothing but `tensors`."""

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """Name all that a checkpoint holds."""


def _gatherer(
    like: torch.Tensor,
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], object]:
    """Return what copies rows of a table, ``(rows, table, out)``, for tensors like this one."""
    if not has_kernels(like):
        return lambda rows, table, out: torch.index_select(table, 0, rows, out=out)
    from doh3d.kernels.gather import gather_rows

    return lambda rows, table, out: gather_rows(rows.numpy(), table.numpy(), out.numpy())


class SlicesInTurn(Batches):
    """Contiguous slices of pools that are in random order."""

    def __init__(self, features: torch.Tensor, values: torch.Tensor, size: int) -> None:
        super().__init__(features, values, size)
        count, self._pool, _ = values.shape
        starts = self._pool * torch.arange(count, device=values.device)
        self._first = starts[:, None] + torch.arange(size, device=values.device)
        self._positions = [0]

    def prepare(self, step: int, measure: Callable[[torch.Tensor], object]) -> None:
        """Choose the next slice; each pass over the pool cuts it elsewhere."""
        while len(self._positions) <= step:
            position = self._positions[-1] + self._size
            if position + self._size > self._pool:
                position = (position + self._size) % max(1, self._pool - self._size + 1)
            self._positions.append(position)
        torch.add(self._first, self._positions[step], out=self._rows)

    def learn(self, errors: torch.Tensor) -> None:
        """Learn nothing."""

    def renew(self, network: int, rows: torch.Tensor) -> None:
        """Know nothing of new samples."""

    def begins_at(self, step: int) -> bool:
        """Whether a fit can be taken up at this step: at every one."""
        return True

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name nothing: the step says it all."""
        return {}


class ImportanceSampling(Batches):
    """Batches in which a sample's probability follows its error.

    Most samples lie where the network is right and sure, and their gradients are next to nothing.
    Each sample of a batch is weighted by the inverse of its probability, so that the expected loss
    stays the mean over the pool, while the gradient's variance is smaller. If the whole draw
    followed the errors it would be smaller by the factor E[e^2] / E[e]^2 of the errors e, which is
    3 to 4.6 on shapes half-way through their fits. (Importance sampling by the gradient at the
    outputs: Katharopoulos, Fleuret, "Not all samples are created equal", ICML 2018.)

    The same errors give the same batches on every device: sums are of integers, and what else is
    computed is rounded number by number.

    Parameters
    ----------
    features : (K, M, encoded_dim) float32
        The pools.
    values : (K, M, out_dim) float32
    size : int
        N, samples of each network in a batch, at most M.
    steps : int
        Of the whole fit.
    interval : int
        A draw is for a multiple of so many steps.
    seed : int
    """

    def __init__(
        self,
        features: torch.Tensor,
        values: torch.Tensor,
        size: int,
        *,
        steps: int,
        interval: int,
        seed: int,
    ) -> None:
        # All samples are alike as long as nothing is known of them.
        self._errors = values.new_ones((*values.shape[:2], 1))
        self._importance = torch.empty_like(self._errors)
        super().__init__(features, values, size, self._importance)
        self._steps_per_draw = interval * max(1, round(_DRAW_SHARE * steps / interval))
        self._draw_number = -1
        self._drawn = self._rows[None]
        self._make_chances(math.ceil(steps / self._steps_per_draw), seed)

    def _make_chances(self, draws: int, seed: int) -> None:
        """Draw on the CPU all that is left to chance, so that it is the same on every device."""
        self._offsets, orders = [], []
        for draw in range(draws):
            generator = torch.Generator().manual_seed(seed * 2**20 + draw)
            self._offsets.append(float(torch.rand(1, generator=generator)))
            orders.append(torch.randperm(self._steps_per_draw, generator=generator))
        self._orders = torch.stack(orders).to(self._errors.device)

    def prepare(self, step: int, measure: Callable[[torch.Tensor], object]) -> None:
        """Choose the rows that were drawn for this step, see `Batches.prepare`."""
        draw, step_of_draw = divmod(step, self._steps_per_draw)
        # A fit may have gone back to the beginning of the draw that it is in.
        if step_of_draw == 0 or draw != self._draw_number:
            if draw % _MEASURE_INTERVAL == 1:
                measure(self._errors)
            self._draw(draw)
        self._rows.copy_(self._drawn[step_of_draw])

    def learn(self, errors: torch.Tensor) -> None:
        """Learn the (K, N, 1) errors of the batch gathered last."""
        # A row that came twice has the same error twice: which of them is kept does not matter.
        self._errors.view(-1).index_copy_(0, self._rows.view(-1), errors.flatten())

    def renew(self, network: int, rows: torch.Tensor) -> None:
        """Take a network's samples in these rows, which are new, to be all wrong."""
        self._errors[network, rows] = 1.0

    def begins_at(self, step: int) -> bool:
        """Whether a fit can be taken up at this step with nothing but `tensors`."""
        return step % self._steps_per_draw == 0

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name all samples' errors as last known."""
        return {"errors": self._errors}

    def _draw(self, draw: int) -> None:
        """Draw the rows of the next steps' batches, without reading a value from the device."""
        count, pool, _ = self._errors.shape
        slots = self._steps_per_draw * self._size
        # One of many signals may have diverged; its errors are no numbers. An error of 0 is one
        # unit, so that there is something to draw by.
        errors = self._errors.view(count, pool).nan_to_num(nan=0.0).clamp(0, _LARGEST_ERROR)
        units = (errors * _UNITS).to(torch.int64).clamp_(min=1)
        ends = units.cumsum(dim=1)
        share = _FOLLOWING_SHARE / ends[:, -1:].to(torch.float64)
        # The probability is relative to that of a uniform draw, and its mean is 1.
        probability = (units * (pool * share)).add_(1 - _FOLLOWING_SHARE)
        self._importance.view(count, pool).copy_(probability.reciprocal_())
        # Systematic sampling: a sample has the slots that lie between the last one's end and its
        # own. Which sample a slot has is how many end before it.
        numbers = torch.arange(1, pool + 1, dtype=torch.float64, device=ends.device)
        places = ends * (slots * share)
        places += numbers * (slots * (1 - _FOLLOWING_SHARE) / pool)
        places += self._offsets[draw]
        ended = torch.zeros((count, slots + 1), dtype=torch.int64, device=ends.device)
        ended.scatter_add_(
            1, places.long().clamp_(max=slots), torch.ones_like(ended[:, :1]).expand(count, pool)
        )
        rows = ended[:, :slots].cumsum(dim=1).clamp_(max=pool - 1)
        rows += pool * torch.arange(count, device=rows.device)[:, None]
        # A sample's slots go to different steps, and neighbouring slots not to neighbouring ones.
        of_steps = rows.view(count, self._size, self._steps_per_draw).permute(2, 0, 1)
        self._drawn = of_steps[self._orders[draw]]
        self._draw_number = draw


def batches_of(config: FitConfig, pools: EncodedPools, size: int, interval: int) -> Batches:
    """Make batches of `size` samples from each of K pools, as the configuration says.

    Parameters
    ----------
    interval : int
        A draw of importance sampling is for a multiple of so many steps.
    """
    if not config.importance_sampling:
        return SlicesInTurn(pools.features, pools.values, size)
    return ImportanceSampling(
        pools.features,
        pools.values,
        size,
        steps=config.steps,
        interval=interval,
        seed=config.seed,
    )
