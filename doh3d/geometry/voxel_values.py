"""From what the voxels of a file hold to which of them are inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from doh3d.errors import VolumeError
from doh3d.geometry.voxels import check_voxel_count

# Labels that a message lists.
_LISTED = 40


class Selected(NamedTuple):
    """Voxels that were chosen.

    Attributes
    ----------
    occupied : (I, J, K) bool
    label : int or None
        Their number, where they are of a label map.
    """

    occupied: npt.NDArray[np.bool_]
    label: int | None


@dataclass(frozen=True)
class _Values:
    """Values of a volume that can be told apart: not complex, not NaN, three-dimensional."""

    array: npt.NDArray[Any]
    name: str

    @classmethod
    def of(cls, array: npt.NDArray[Any], name: str) -> _Values:
        shape = array.shape
        # Files often say of a volume that it is the only one.
        while array.ndim > 3 and array.shape[-1] == 1:
            array = array[..., 0]
        if array.ndim != 3:
            sides = " x ".join(map(str, shape)) or "one number"
            raise VolumeError(f"{name}: the grid is {sides}; it must have three dimensions")
        if not array.size:
            raise VolumeError(f"{name}: the grid has no voxels")
        check_voxel_count(array.shape)
        if array.dtype.kind not in "biuf":
            kind = "complex" if array.dtype.kind == "c" else str(array.dtype)
            raise VolumeError(
                f"{name}: voxels are {kind}; they must be bool, integers or real numbers"
            )
        if array.dtype.kind == "f":
            _check_finite(array, name)
        return cls(array, name)

    def are_labels(self) -> bool:
        """Whether all values are whole numbers."""
        if self.array.dtype.kind != "f":
            return True
        return all(bool((plane == np.rint(plane)).all()) for plane in self.array)

    def labels(self) -> list[int]:
        """All values but 0, ascending."""
        # Plane by plane, since sorting all voxels at once takes several times their memory.
        found: set[int] = set()
        for plane in self.array:
            found.update(int(value) for value in np.unique(plane))
        return sorted(found - {0})


def _check_finite(array: npt.NDArray[Any], name: str) -> None:
    for number, plane in enumerate(array):
        bad = np.isnan(plane)
        if bad.any():
            y, z = np.argwhere(bad)[0].tolist()
            raise VolumeError(f"{name}: voxel ({number}, {y}, {z}) is NaN; all must be numbers")


def occupied_of(
    array: npt.NDArray[Any],
    label: int | None,
    threshold: float | None,
    name: str,
    names: Mapping[int, str] | None = None,
    default_label: int | None = None,
) -> Selected:
    """Choose the voxels that are inside.

    Parameters
    ----------
    array : (I, J, K) bool, integers or floats
        Dimensions of length 1 at the end are dropped.
    label : int, optional
        Those of this value.
    threshold : float, optional
        Those above it.
    name : str
        What messages call the grid.
    names : mapping, optional
        What labels are called, for messages.
    default_label : int, optional
        The label that is taken of a label map where none is named.

    Returns
    -------
    Selected
        Without label and threshold, all that are not 0, where no more than one other value is
        there.

    Raises
    ------
    VolumeError
        If nothing says which voxels are inside, or all are on one side; or the array is none.
    """
    if label is not None and threshold is not None:
        raise VolumeError(f"label {label} and threshold {threshold:g} contradict each other")
    values = _Values.of(array, name)
    array = values.array
    if threshold is not None:
        if not np.isfinite(threshold):
            raise VolumeError(f"threshold is {threshold}; it must be a finite number")
        return _checked(array > threshold, None, name, f"above {threshold:g}")
    if array.dtype.kind == "b" and label is None:
        return _checked(array, None, name, "True")
    if not values.are_labels():
        low, high = float(array.min()), float(array.max())
        raise VolumeError(
            f"{name}: voxels are fractions from {low:g} to {high:g}; a threshold is needed, above "
            "which they are inside"
        )
    labels = values.labels()
    if label is None and len(labels) > 1:
        label = default_label
    if label is not None and label not in labels:
        raise VolumeError(f"{name}: no voxel has label {label}; {_held(labels, names)}")
    if label is None and len(labels) > 1:
        raise VolumeError(
            f"{name}: is a label map; choose one with label, or a threshold; {_held(labels, names)}"
        )
    chosen = array != 0 if label is None else array == label
    return _checked(chosen, label, name, "other than 0" if label is None else str(label))


def labels_of(array: npt.NDArray[Any], name: str) -> list[int]:
    """List a label map's labels but 0; VolumeError where it is none."""
    values = _Values.of(array, name)
    if not values.are_labels():
        raise VolumeError(f"{name}: voxels are fractions, so that it is no label map")
    return values.labels()


def _checked(occupied: npt.NDArray[np.bool_], label: int | None, name: str, what: str) -> Selected:
    count = int(np.count_nonzero(occupied))
    if count == 0:
        raise VolumeError(f"{name}: the grid is empty; some voxel must be {what}")
    if count == occupied.size:
        raise VolumeError(f"{name}: the grid is full; every voxel is {what}, and none is outside")
    return Selected(occupied, label)


def _held(labels: list[int], names: Mapping[int, str] | None) -> str:
    if not labels:
        return "it holds none"
    told = [f"{n} ({names[n]})" if names and n in names else str(n) for n in labels[:_LISTED]]
    more = len(labels) - len(told)
    return f"it holds {', '.join(told)}" + (f" and {more} more" if more else "")
