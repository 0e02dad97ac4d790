"""Where pictures are looked at from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from doh3d.errors import ConfigError

FloatArray: TypeAlias = npt.NDArray[np.float64]
Axis: TypeAlias = Literal["x", "y", "z"]


@dataclass(frozen=True)
class Camera:
    """The direction of a parallel projection.

    Attributes
    ----------
    azimuth_deg : float
        Angle of the camera around the vertical axis, degrees; 0 looks against the axis that
        follows the vertical one in the order x, y, z, x (along -z where y is up).
    elevation_deg : float
        Angle of the camera above the horizon, degrees in [-90, 90].
    up : {"x", "y", "z"}
        The vertical axis.

    Raises
    ------
    ConfigError
        An angle or the axis is out of its range.
    """

    azimuth_deg: float = 20.0
    elevation_deg: float = 15.0
    up: Axis = "y"

    def __post_init__(self) -> None:
        """Reject what is out of range."""
        if not np.isfinite(self.azimuth_deg):
            raise ConfigError(f"azimuth is {self.azimuth_deg}; it must be an angle in degrees")
        if not -90 <= self.elevation_deg <= 90:
            raise ConfigError(f"elevation is {self.elevation_deg}; it must be -90 to 90 degrees")
        if self.up not in get_args(Axis):
            raise ConfigError(f"up is {self.up!r}; it must be one of x, y, z")

    @property
    def axes(self) -> FloatArray:
        """(3, 3) rows right, upward and backward, as the viewer has them."""
        axis = get_args(Axis).index(self.up)
        vertical, front, side = (np.eye(3)[(axis + step) % 3] for step in range(3))
        azimuth, elevation = np.radians([self.azimuth_deg, self.elevation_deg])
        backward = np.cos(elevation) * (np.cos(azimuth) * front + np.sin(azimuth) * side)
        backward = backward + np.sin(elevation) * vertical
        # Not a cross product with the vertical, which vanishes for a view straight from above.
        right = np.cos(azimuth) * side - np.sin(azimuth) * front
        axes: FloatArray = np.stack([right, np.cross(backward, right), backward])
        return axes
