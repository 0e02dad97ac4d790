"""Where a field is sampled for extraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.limits import MAX_RESOLUTION, MIN_RESOLUTION


@dataclass(frozen=True)
class Lattice:
    """Nodes ``origin + spacing * (i, j, k)``, and the cells between them.

    Attributes
    ----------
    origin : (3,) float64
    spacing : float
    shape : three integers
        Nodes along each axis.
    """

    origin: npt.NDArray[np.float64]
    spacing: float
    shape: tuple[int, int, int]

    @classmethod
    def over_box(cls, half_extents: npt.NDArray[np.float64], resolution: int) -> Lattice:
        """Cubic cells over the box of these half sides, `resolution` along its longest side."""
        spacing = 2 * float(half_extents.max()) / resolution
        x, y, z = (np.ceil(2 * half_extents / spacing - 1e-9).astype(int) + 1).tolist()
        return cls(-half_extents, spacing, (x, y, z))

    def coordinates(self, axis: int, index: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(N,) coordinates along an axis of (N,) node indices, as `points` has them."""
        table = (self.origin[axis] + self.spacing * np.arange(self.shape[axis])).astype(np.float32)
        return cast(npt.NDArray[np.float32], table[index])

    def points(self, nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(N, 3) coordinates of (N, 3) node indices."""
        return (self.origin + self.spacing * nodes).astype(np.float32)

    def positions(self, vertices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(N, 3) coordinates of (N, 3) places given in units of nodes."""
        return self.origin + self.spacing * vertices


def index_grid(shape: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N, 3) integer coordinates of a box of that shape, from 0; the last runs fastest."""
    return np.stack(np.meshgrid(*(np.arange(s) for s in shape), indexing="ij"), axis=-1).reshape(
        -1, 3
    )


def unravelled(where: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """(N, 3) indices of flat ones, as `numpy.unravel_index`; narrow integers divide faster."""
    _, y, z = shape
    index = np.empty((len(where), 3), dtype=np.int64)
    flat = where.astype(np.int32)
    rows = flat // np.int32(z)
    planes = rows // np.int32(y)
    index[:, 0] = planes
    index[:, 1] = rows - planes * np.int32(y)
    index[:, 2] = flat - rows * np.int32(z)
    return index


MeshMethod: TypeAlias = Literal["marching-cubes", "dual"]


def as_method(method: str) -> MeshMethod:
    """Return how to extract a mesh; ConfigError unless it is one of the ways."""
    if method not in get_args(MeshMethod):
        raise ConfigError(
            f"method is {method!r}; it must be one of {', '.join(get_args(MeshMethod))}"
        )
    return cast(MeshMethod, method)


def check_resolution(resolution: int) -> None:
    """Raise ConfigError, or TypeError, unless a lattice of this resolution may be built."""
    if not isinstance(resolution, int | np.integer):
        raise TypeError(f"resolution is {resolution!r}; it must be a whole number")
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise ConfigError(
            f"resolution is {resolution}; it must be {MIN_RESOLUTION} to {MAX_RESOLUTION}"
        )
