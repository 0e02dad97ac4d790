"""What a `.doh` file of an image decodes to: a function of the plane, and from it pixels."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from doh3d.codec.container import read_signal
from doh3d.codec.image_code import ImageCode
from doh3d.devices import full_precision, resolve_device
from doh3d.errors import ConfigError
from doh3d.field import decode_weights
from doh3d.hypernetwork.target import TargetWeights, evaluate_points
from doh3d.limits import DEFAULT_LIMITS, Limits

# Pixels evaluated at a time: activations of this many stay within the cache.
_CPU_CHUNK = 2**12
_DEVICE_CHUNK = 2**18

# The network's -1 is black, its 1 full brightness.
_HALF_RANGE = 127.5


class ImageField:
    """One image as a function of the plane.

    Attributes
    ----------
    code : ImageCode
        What the file holds.
    weights : TargetWeights
        The target network's weights, float32.
    """

    def __init__(self, code: ImageCode, device: str | torch.device = "auto") -> None:
        self.code = code
        self._device = resolve_device(device)
        self._chunk = _CPU_CHUNK if self._device.type == "cpu" else _DEVICE_CHUNK
        self.weights: TargetWeights = decode_weights(code, self._device)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height and width in pixels, and the numbers of a pixel: 1 (grey) or 3 (RGB)."""
        return self.code.height, self.code.width, self.code.channels

    @torch.no_grad()
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(height, width, channels) uint8: every pixel, the first row at the top."""
        height, width, channels = self.shape
        # Cells are of many chunks each, so that few of these are cut short.
        chunk = self._chunk * self.code.architecture.cells
        flat = np.empty((height * width, channels), dtype=np.uint8)
        for start in range(0, len(flat), chunk):
            numbers = np.arange(start, min(start + chunk, len(flat)))
            flat[numbers] = values_to_pixels(self.values(pixel_points(width, height, numbers)))
        return flat.reshape(height, width, channels)

    @torch.no_grad()
    def values(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Values at any points of the plane, not only where the pixels are.

        Parameters
        ----------
        points : (N, 2) float
            To the right and downwards; the image's longer side is -1 to 1, its middle 0, 0.

        Returns
        -------
        (N, channels) float32
            -1 is black, 1 full brightness; beyond both where the network errs.

        Raises
        ------
        ConfigError
            For points of another shape.
        """
        points = np.asarray(points, dtype=np.float32)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ConfigError(f"points have shape {points.shape}; it must be (N, 2)")
        architecture = self.code.architecture
        on_device = torch.from_numpy(points).to(self._device)
        with full_precision:
            values = evaluate_points(architecture, self.weights, on_device, self._chunk)
        return cast(npt.NDArray[np.float32], values.cpu().numpy())


def pixel_points(
    width: int, height: int, numbers: npt.NDArray[np.integer]
) -> npt.NDArray[np.float32]:
    """(N, 2) middles of pixels by their (N,) numbers, row by row, as `ImageField.values` has them.

    A pixel's sides are 2 / max(width, height).
    """
    rows, columns = np.divmod(numbers, width)
    longest = max(width, height)
    across, down = (2 * columns + 1 - width) / longest, (2 * rows + 1 - height) / longest
    return np.stack([across, down], axis=1).astype(np.float32)


def values_to_pixels(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Round network values in [-1, 1] to 0 to 255; others are cut off, NaN becomes 0."""
    bounded = np.clip(np.nan_to_num(values.astype(np.float64), nan=-1.0), -1.0, 1.0)
    return np.rint(_HALF_RANGE + _HALF_RANGE * bounded).astype(np.uint8)


def pixels_to_values(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Network values in [-1, 1], float32, that stand for pixels 0 to 255."""
    return (pixels.astype(np.float32) - _HALF_RANGE) / _HALF_RANGE


def load_image(
    path: str | Path,
    device: str | torch.device = "auto",
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> ImageField:
    """Read and check a `.doh` file of an image.

    Parameters
    ----------
    path : path
    device : "auto", "cpu", "cuda" or "mps"
    limits : Limits
        What is taken from a file.

    Raises
    ------
    FormatError
        If the file is not a valid `.doh` file, holds no image, or is beyond `limits`.
    ConfigError
        If there is no such file, or it cannot be read.
    """
    return ImageField(read_signal(path, limits, ImageCode), device)
