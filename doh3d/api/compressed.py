"""What a compression gives: the bytes of a `.doh` file, and what they decode to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from doh3d.codec.container import parse, parse_signal
from doh3d.codec.image_code import ImageCode
from doh3d.codec.inspection import describe
from doh3d.codec.shape_code import ShapeCode
from doh3d.field import OccupancyField
from doh3d.files import write_atomically
from doh3d.fitting.config import FitConfig
from doh3d.images.field import ImageField
from doh3d.interop.notebook import summary
from doh3d.limits import Limits


@dataclass(frozen=True)
class Compressed:
    """A signal as the bytes of a `.doh` file.

    Attributes
    ----------
    data : bytes
        The file; its length is the rate.
    config : FitConfig
        What the fit was told.
    checkpoint : Path or None
        What the compression could have been taken up from; no longer needed once saved.
    together : int
        How many signals were fitted at once, see `doh3d.fit_many`; 1 for one alone.
    warnings : tuple of str
        What whoever asked for the file should know, a line each: that triangles would be shorter,
        see `doh3d.compress`.
    """

    data: bytes
    config: FitConfig
    checkpoint: Path | None = None
    together: int = 1
    warnings: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the file, and not what has been read of it."""
        kept = self.data, self.config, self.checkpoint, self.together, self.warnings
        return type(self), kept

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all, and remove the checkpoint.

        Raises
        ------
        ConfigError
            If the file cannot be written; the checkpoint is then still there.
        """
        write_atomically(path, self.data)
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)


class CompressedShape(Compressed):
    """A shape as the bytes of a `.doh` file; see `Compressed` for its attributes."""

    @cached_property
    def code(self) -> ShapeCode:
        """What the file holds."""
        return parse(self.data, Limits.of_format())

    def field(self, device: str = "auto") -> OccupancyField:
        """Decode the bytes to the field that anyone who loads the file gets."""
        return OccupancyField(self.code, device)

    def __repr__(self) -> str:
        """Bytes, latent and network in one line."""
        return summary("CompressedShape", describe(self.code))

    def _repr_html_(self) -> str | None:
        """Show the decoded shape and its sizes in a notebook; text without the extra `view`."""
        return self.field()._repr_html_()


class CompressedImage(Compressed):
    """An image as the bytes of a `.doh` file; see `Compressed` for its attributes."""

    @cached_property
    def code(self) -> ImageCode:
        """What the file holds."""
        return parse_signal(self.data, Limits.of_format(), ImageCode)

    def field(self, device: str = "auto") -> ImageField:
        """Decode the bytes to the field that anyone who loads the file gets."""
        return ImageField(self.code, device)
