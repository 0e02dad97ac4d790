"""Which samples of a pool a step sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch

from doh3d.fitting.config import FitConfig
from doh3d.fitting.pool import EncodedPools
from doh3d.thread_team import ThreadTeam

# Share of a draw that follows the samples' errors. The rest is uniform, so that no sample has an
# importance above five.
_FOLLOWING_SHARE = 0.8

# One draw serves this share of the steps, with the errors that were known when it was made.
_DRAW_SHARE = 0.05

# All errors are measured at every fifth draw. In between only those of the batches are known anew.
_MEASURE_INTERVAL = 5

# A mean error is taken to be no smaller, so that zero errors over their mean are zero.
_TINY = 1e-30


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


class SlicesInTurn:
    """Contiguous slices of pools that are in random order.

    Parameters
    ----------
    features : (K, M, encoded_dim) float32
        The pools.
    values : (K, M, out_dim) float32
    size : int
        N, samples of each network in a batch, at most M.
    """

    def __init__(self, features: torch.Tensor, values: torch.Tensor, size: int) -> None:
        self._features, self._values, self._size = features, values, size
        self._position = torch.zeros((), dtype=torch.int64)

    def take(self, step: int, measure: Callable[[torch.Tensor], object]) -> Batch:
        """Take the next slice; each pass over the pool cuts it elsewhere."""
        position, size, pool = int(self._position), self._size, self._values.shape[1]
        if position + size > pool:
            position = (position + size) % max(1, pool - size + 1)
        window = slice(position, position + size)
        self._position.fill_(position + size)
        return Batch(self._features[:, window], self._values[:, window])

    def learn(self, errors: torch.Tensor) -> None:
        """Learn nothing."""

    def renew(self, network: int, rows: torch.Tensor) -> None:
        """Know nothing of new samples."""

    def begins_at(self, step: int) -> bool:
        """Whether a fit can be taken up at this step: at every one."""
        return True

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name the place where the next slice begins."""
        return {"position": self._position}


class ImportanceSampling:
    """Batches in which a sample's probability follows its error.

    Most samples lie where the network is right and sure, and their gradients are next to nothing.
    Each sample of a batch is weighted by the inverse of its probability, so that the expected loss
    stays the mean over the pool, while the gradient's variance is smaller. If the whole draw
    followed the errors it would be smaller by the factor E[e^2] / E[e]^2 of the errors e, which is
    3 to 4.6 on shapes half-way through their fits. (Importance sampling by the gradient at the
    outputs: Katharopoulos, Fleuret, "Not all samples are created equal", ICML 2018.)

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
    team : ThreadTeam, optional
        The threads that gather what was drawn.
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
        team: ThreadTeam | None = None,
    ) -> None:
        self._size = size
        self._team = team or ThreadTeam()
        self._seed = seed
        self._steps_per_draw = interval * max(1, round(_DRAW_SHARE * steps / interval))
        # All samples are alike as long as nothing is known of them.
        self._errors = values.new_ones((*values.shape[:2], 1))
        self._importance = torch.empty_like(self._errors)
        self._drawn = self._rows = torch.empty(0, dtype=torch.int64)
        # Each pool, and a buffer for what is drawn from it, which the next batch overwrites.
        pools = (features, values, self._importance)
        buffers = [pool.new_empty((len(pool), size, pool.shape[2])) for pool in pools]
        self._batch = Batch(*buffers)
        self._gathered = [
            (pool.flatten(0, 1), buffer.flatten(0, 1))
            for pool, buffer in zip(pools, buffers, strict=True)
        ]

    def take(self, step: int, measure: Callable[[torch.Tensor], object]) -> Batch:
        """Take the batch that was drawn for this step.

        After a checkpoint the first step is one at which `begins_at` holds.

        Parameters
        ----------
        measure : callable
            Writes the errors of all samples into a (K, M, 1) tensor.
        """
        draw, step_of_draw = divmod(step, self._steps_per_draw)
        if step_of_draw == 0:
            if draw % _MEASURE_INTERVAL == 1:
                measure(self._errors)
            self._draw(draw)
        self._rows = self._drawn[step_of_draw]
        share = math.ceil(len(self._rows) / self._team.threads)

        def gather(_: int, number: int) -> None:
            part = slice(number * share, (number + 1) * share)
            for pool, buffer in self._gathered:
                torch.index_select(pool, 0, self._rows[part], out=buffer[part])

        self._team.run(gather, self._team.threads)
        return self._batch

    def learn(self, errors: torch.Tensor) -> None:
        """Learn the (K, N, 1) errors of the batch taken last."""
        self._errors.view(-1).index_copy_(0, self._rows, errors.flatten())

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
        generator = torch.Generator().manual_seed(self._seed * 2**20 + draw)
        # One of many signals may have diverged; its errors are no numbers.
        errors = self._errors.nan_to_num(nan=0.0)
        mean = errors.mean(dim=1, keepdim=True).clamp_min(_TINY)
        # The probability is relative to that of a uniform draw, and its mean is 1.
        probability = errors * (_FOLLOWING_SHARE / mean)
        probability += 1 - _FOLLOWING_SHARE
        torch.reciprocal(probability, out=self._importance)
        # Systematic sampling: a sample has the slots that lie between the last one's end and its
        # own. Which sample a slot has is how many end before it.
        ends = probability.view(count, pool).cumsum(dim=1, dtype=torch.float64)
        ends *= slots / ends[:, -1:].clone()
        ends += float(torch.rand(1, generator=generator))
        ended = torch.zeros((count, slots + 1), dtype=torch.int64, device=ends.device)
        ended.scatter_add_(
            1, ends.long().clamp_(max=slots), torch.ones_like(ended[:, :1]).expand(count, pool)
        )
        rows = ended[:, :slots].cumsum(dim=1).clamp_(max=pool - 1)
        rows += pool * torch.arange(count, device=rows.device)[:, None]
        # A sample's slots go to different steps, and neighbouring slots not to neighbouring ones.
        order = torch.randperm(self._steps_per_draw, generator=generator).to(rows.device)
        of_steps = rows.view(count, self._size, self._steps_per_draw).permute(2, 0, 1)
        self._drawn = of_steps[order].flatten(1)


Batches: TypeAlias = SlicesInTurn | ImportanceSampling


def batches_of(
    config: FitConfig, pools: EncodedPools, size: int, interval: int, team: ThreadTeam | None = None
) -> Batches:
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
        team=team,
    )
