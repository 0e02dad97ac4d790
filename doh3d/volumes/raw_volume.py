"""What a reader finds in a volume's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class RawVolume:
    """Values of voxels as a file has them.

    Attributes
    ----------
    array : (I, J, K, ...) of any type
        In the file's own type where it says nothing else; checked by whoever looks at it.
    affine : (4, 4) float64 or None
        From indices to the centres of voxels, in the world of NIfTI: x to the right, y to the front
        and z up, in a scan of a patient. None where the format has none.
    names : mapping
        What labels are called.
    """

    array: npt.NDArray[Any]
    affine: npt.NDArray[np.float64] | None = None
    names: Mapping[int, str] = field(default_factory=dict)
