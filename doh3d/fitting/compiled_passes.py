"""The passes through networks in compiled loops, on a CPU."""

from __future__ import annotations

import numpy as np
import torch

from doh3d.fitting.batches import Batch
from doh3d.fitting.losses import Loss
from doh3d.fitting.workspace import Passes
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.target import TargetWeights
from doh3d.kernels import perceptron
from doh3d.kernels.products import Floats

_NO_IMPORTANCE = np.zeros((0, 0, 0), np.float32)


class CompiledPasses(Passes):
    """In compiled loops, for smooth units and ReLUs.

    A block of points goes forward and back while its activations are in a core's cache, and threads
    do not wait for Python's lock.
    """

    def __init__(
        self,
        architecture: Architecture,
        loss: Loss,
        scales: torch.Tensor,
        tile: tuple[int, int],
        threads: int,
    ) -> None:
        self._is_logistic = loss.takes_logits
        self._scales = scales.flatten().numpy()
        widths = [architecture.encoded_dim, *(rows for rows, _ in architecture.layer_shapes)]
        self._networks = perceptron.make_networks(
            widths, len(self._scales), architecture.activation == "smooth"
        )
        self._memory = [perceptron.make_memory(self._networks) for _ in range(threads)]
        shape = tile[0], self._networks.backward.shape[1]
        self._sums = [np.zeros(shape, np.float32) for _ in range(threads)]

    def prepare(self, weights: TargetWeights) -> None:
        """Take the networks' parameters."""
        perceptron.pack(self._networks, *_whole(weights))

    def evaluate(
        self,
        thread: int,
        networks: slice,
        rows: slice,
        features: torch.Tensor,
        outputs: torch.Tensor,
    ) -> None:
        """Write a tile's outputs, see `Passes.evaluate`."""
        perceptron.evaluate(
            self._networks,
            networks.start,
            features.contiguous().numpy(),
            outputs.numpy(),
            self._memory[thread],
        )

    def differentiate(
        self,
        thread: int,
        networks: slice,
        rows: slice,
        batch: Batch,
        outputs: torch.Tensor,
        errors: torch.Tensor,
        gradient: TargetWeights,
    ) -> None:
        """Write a tile's outputs, errors and gradient, see `Passes.differentiate`."""
        features, values, importance = batch
        sums = self._sums[thread][: networks.stop - networks.start]
        perceptron.differentiate(
            self._networks,
            networks.start,
            features.numpy(),
            values.numpy(),
            _NO_IMPORTANCE if importance is None else importance.numpy(),
            self._scales[networks],
            self._is_logistic,
            outputs.numpy(),
            errors.numpy(),
            sums,
            self._memory[thread],
        )
        perceptron.unpack(
            self._networks,
            networks.start,
            sums,
            len(self._scales),
            *_whole(gradient),
        )


def _whole(weights: TargetWeights) -> tuple[Floats, Floats]:
    assert weights.whole is not None
    matrices, biases = weights.whole
    return matrices.numpy(), biases.numpy()
