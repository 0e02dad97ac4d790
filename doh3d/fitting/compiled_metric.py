"""The latents' conjugate gradients in compiled loops, on a CPU."""

from __future__ import annotations

import numpy as np
import torch

from doh3d.fitting.curvature import WeightCurvature
from doh3d.hypernetwork.projection import HadamardProjection
from doh3d.kernels import metric
from doh3d.kernels.hadamard import Tables
from doh3d.kernels.products import COLUMNS, ROWS, padded


class CompiledMetric:
    """Solves what `LatentDescent` solves in torch's operations, one signal after the other.

    Parameters
    ----------
    projection : HadamardProjection
    curvature : WeightCurvature
    """

    def __init__(self, projection: HadamardProjection, curvature: WeightCurvature) -> None:
        self._curvature = curvature
        layout = _Layout(curvature.shapes_of_one)
        floats = projection.of_one.floats()
        # Padding comes from any place, with the sign 0.
        gather = np.zeros(layout.size, np.int64)
        signs = np.zeros(layout.size, np.float32)
        gather[layout.places] = floats.gather.numpy()
        signs[layout.places] = floats.output_signs.numpy()
        tables = Tables(
            floats.input_signs.numpy(),
            gather,
            signs,
            layout.places[floats.inverse.numpy()],
            floats.inverse_signs.numpy(),
        )
        weights, roots, between = (np.zeros(layout.size, np.float32) for _ in range(3))
        self._metric = metric.Metric(
            tables,
            layout.groups,
            np.zeros(layout.bases, np.float32),
            roots,
            np.zeros((1, *floats.shape), np.float32),
            weights,
            between,
            np.zeros(layout.widest, np.float32),
        )

    def solve(
        self,
        direction: torch.Tensor,
        wanted: torch.Tensor,
        free: torch.Tensor,
        damping: torch.Tensor,
        rescales: torch.Tensor,
        iterations: int,
    ) -> None:
        """Bring (n,) or (S, n) directions closer to the solution, in place.

        Parameters
        ----------
        damping : () or (S, 1) float32
        The others are those of `LatentDescent`.
        """
        length = direction.shape[-1]
        each = (direction.view(-1, length), wanted.reshape(-1, length), damping.reshape(-1, 1))
        for signal, (own, right_side, damped) in enumerate(zip(*each, strict=True)):
            for group, (roots, left, right) in enumerate(self._curvature.of_signal(signal)):
                metric.pack(self._metric, group, roots.numpy(), left.numpy(), right.numpy())
            metric.solve(
                self._metric,
                own.numpy(),
                right_side.numpy(),
                free.numpy(),
                damped.numpy(),
                bool(rescales),
                iterations,
            )


class _Layout:
    """Where padded matrices lie, see `metric.Metric`.

    Parameters
    ----------
    shapes : sequence of (many, rows, columns)
        Of groups of matrices.

    Attributes
    ----------
    groups : (G, 5) int64
    places : (P,) int64
        Of each weight among the padded ones.
    size, bases : int
        Numbers of padded weights, and of all bases.
    widest : int
        Columns of the widest matrix.
    """

    def __init__(self, shapes: list[tuple[int, int, int]]) -> None:
        groups, places = [], []
        self.size = self.bases = 0
        for many, rows, columns in shapes:
            high, wide, side = padded(rows, ROWS), padded(columns, COLUMNS), padded(rows, COLUMNS)
            groups.append((many, rows, columns, self.size, self.bases))
            matrix, row, column = np.ogrid[:many, :rows, :columns]
            places.append((self.size + (matrix * high + row) * wide + column).reshape(-1))
            self.size += many * high * wide
            self.bases += many * (side * side + 2 * wide * wide)
        self.groups = np.array(groups)
        self.widest = max(padded(columns, COLUMNS) for *_, columns in shapes)
        self.places = np.concatenate(places)
