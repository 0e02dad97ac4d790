"""Points and directions as they are given, numpy arrays or tensors, and results of their kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from doh3d.errors import ConfigError

# (N, 3) numbers; whatever numpy makes an array of will do.
Rows: TypeAlias = npt.ArrayLike | torch.Tensor

_KINDS = "numbers in a numpy array, a torch tensor or nested lists"


@dataclass(frozen=True)
class Kind:
    """What was given, so that results are the same.

    Attributes
    ----------
    dtype : torch.dtype
        float32 or float64.
    device : torch.device or None
        None for numpy.
    """

    dtype: torch.dtype
    device: torch.device | None

    def give(self, values: torch.Tensor) -> Any:
        """Turn a result into an array, or into a tensor on the device that was given."""
        if values.is_floating_point():
            values = values.to(self.dtype)
        return values.cpu().numpy() if self.device is None else values.to(self.device)


def read_rows(rows: Rows, what: str) -> tuple[torch.Tensor, Kind]:
    """Check (N, 3) numbers that a caller gave.

    Returns
    -------
    rows : (N, 3) float64
        On their device, or on the CPU where the device has no float64.
    kind : Kind
        Single precision stays single; everything else becomes double.

    Raises
    ------
    TypeError
        These are no numbers.
    ConfigError
        They have another shape, or one of them is not finite.
    """
    found, device = _tensor(rows, what)
    if found.dtype == torch.bool or found.is_complex():
        raise TypeError(f"{what} are {_name(found.dtype)}; they must be {_KINDS}")
    if found.dim() != 2 or found.shape[1] != 3:
        raise ConfigError(f"{what} have shape {tuple(found.shape)}; it must be (N, 3)")
    single = found.dtype in (torch.float32, torch.float16, torch.bfloat16)
    dtype = torch.float32 if single or found.device.type == "mps" else torch.float64
    if found.device.type == "mps":
        found = found.cpu()
    found = found.double()
    odd = (~torch.isfinite(found)).any(dim=1).nonzero()
    if len(odd):
        number = int(odd[0])
        raise ConfigError(
            f"{what}: row {number} is {found[number].tolist()}; its numbers must be finite"
        )
    return found, Kind(dtype, device)


def read_pairs(first: Rows, second: Rows, names: tuple[str, str]) -> tuple[torch.Tensor, ...]:
    """Check two lists of rows that belong together; `Kind` is the first's, by `read_rows`."""
    ones, _ = read_rows(first, names[0])
    others, _ = read_rows(second, names[1])
    if len(ones) != len(others):
        raise ConfigError(
            f"there are {len(ones)} {names[0]} and {len(others)} {names[1]}; "
            "there must be as many of both"
        )
    return ones, others.to(ones.device)


def read_vector(vector: Sequence[float] | npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    """Check three numbers: (3,) float64."""
    try:
        found = np.asarray(vector, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"the {what} is {vector!r}; it must be three numbers") from error
    if found.shape != (3,):
        raise ConfigError(f"the {what} has shape {found.shape}; it must be three numbers")
    if not np.isfinite(found).all():
        raise ConfigError(f"the {what} is {found.tolist()}; its numbers must be finite")
    return found


def check_count(count: int, what: str, least: int, most: int) -> None:
    """Raise unless a count is a whole number within its range."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer):
        raise TypeError(f"{what} is {count!r}; it must be a whole number")
    if not least <= count <= most:
        raise ConfigError(f"{what} is {count}; it must be {least} to {most}")


def _tensor(rows: Rows, what: str) -> tuple[torch.Tensor, torch.device | None]:
    if isinstance(rows, torch.Tensor):
        return rows.detach(), rows.device
    try:
        array = np.asarray(rows)
    except ValueError as error:
        raise ConfigError(f"{what} are rows of different lengths; they must be (N, 3)") from error
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{what} are {array.dtype}; they must be {_KINDS}")
    if array.dtype.itemsize > 8 or array.dtype.kind == "u":
        array = array.astype(np.float64)
    return torch.from_numpy(np.array(array, order="C", dtype=array.dtype.newbyteorder("="))), None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
