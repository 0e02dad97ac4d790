"""Several fields on one lattice: a label for each voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError
from doh3d.geometry.voxels import VoxelLattice

if TYPE_CHECKING:
    from doh3d.field import OccupancyField

_MOST_LABEL = 2**16 - 1


def labels_of_fields(fields: Sequence[OccupancyField]) -> list[int]:
    """Numbers for fields: those that their files say, or 1, 2, 3, ... where not all say one.

    Raises
    ------
    ConfigError
        If two files say the same.
    """
    own = [field.code.extras.label for field in fields]
    numbers = [label for label in own if label is not None]
    if len(numbers) < len(own):
        return list(range(1, len(fields) + 1))
    repeated = next((label for label in numbers if numbers.count(label) > 1), None)
    if repeated is not None:
        raise ConfigError(f"two files are label {repeated}; a label map has each once")
    return numbers


def label_map(
    fields: Mapping[int, OccupancyField], lattice: VoxelLattice
) -> npt.NDArray[np.uint16]:
    """Put fields into one label map.

    A voxel that several have inside goes to the field whose logit is the largest there, and among
    equals to the lowest number: the order of the fields does not matter.

    Parameters
    ----------
    fields : mapping
        From labels, 1 to 65535, to fields in the lattice's units.
    lattice : VoxelLattice

    Returns
    -------
    (I, J, K) uint16
        0 where no field is.
    """
    labels = np.zeros(lattice.shape, dtype=np.uint16)
    for number in sorted(fields):
        if not 1 <= number <= _MOST_LABEL:
            raise ConfigError(f"label is {number}; in a label map it must be 1 to {_MOST_LABEL}")
        inside = fields[number].to_grid(lattice.shape, lattice.matrix)
        claimed = inside & (labels > 0)
        inside &= labels == 0
        labels[inside] = number
        if claimed.any():
            _settle(labels, np.argwhere(claimed), fields, number, lattice)
    return labels


def _settle(
    labels: npt.NDArray[np.uint16],
    index: npt.NDArray[np.int64],
    fields: Mapping[int, OccupancyField],
    number: int,
    lattice: VoxelLattice,
) -> None:
    """Give voxels that a field claims beside another to the surer of the two."""
    points = lattice.to_world(index)
    place: tuple[Any, ...] = tuple(index.T)
    holders = labels[place]
    own = fields[number].logits(points)
    for holder in np.unique(holders).tolist():
        of_holder = holders == holder
        theirs = fields[holder].logits(points[of_holder])
        taken = index[of_holder][own[of_holder] > theirs]
        labels[tuple(taken.T)] = number
