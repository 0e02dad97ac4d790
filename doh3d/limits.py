"""What a `.doh` file can ask of whoever decodes it: the format's maxima, and what is taken.

docs/security.md says what each limit is there for, and what decoding costs at most.
"""

from __future__ import annotations

from dataclasses import dataclass

from doh3d.errors import ConfigError, FormatError

# The format's own maxima, as docs/format.md has them: no reader takes more.
MAX_LATENTS = 2**20
MAX_SEED = 2**16 - 1
MAX_WIDTH = 256
MAX_DEPTH = 15
MAX_OCTAVES = 15
MAX_OMEGA = 255

# Cuts between the whole domain and a cell with a network of its own.
MAX_LEVELS = 6
MAX_DENSE_FILE_ENTRIES = 2**27

# Pixels along a side of an image.
MAX_SIDE = 2**16

# Optional fields: all of them together, and two of them.
MAX_EXTRAS_BYTES = 2**16 - 1
MAX_NAME_BYTES = 255
# What a double holds, and every number below.
MAX_LABEL = 2**53 - 1

# P of the widest and deepest network with the longest encoding; networks of many cells have no more
# together.
MAX_WEIGHTS = (3 * (1 + 2 * MAX_OCTAVES) + (MAX_DEPTH - 1) * MAX_WIDTH + 1) * MAX_WIDTH

# A value takes at most 24 + 12 + 16 bits (table symbol, low bits, escape); no file is as large.
MAX_FILE_BYTES = 2**23

# Cells along the longest side of an extraction: the caller's choice, not the file's.
MIN_RESOLUTION = 8
MAX_RESOLUTION = 1024

# Of extraction, for each number of the latent, in units of the resolution squared.
_WORK_OF_LATENT = 2**11

_HOW_TO_RAISE = "more with --allow-large, or limits=Limits.of_format()"


@dataclass(frozen=True)
class Limits:
    """What is taken from a file before decoding it is refused.

    The defaults hold every file that doh3d makes when asked for a size or a quality. Values
    above the format's own maxima have no effect.

    Attributes
    ----------
    file_bytes : int
        Size of the file.
    latents : int
        Numbers in the latent, n.
    weights : int
        Weights of the target network, P: what one point costs to evaluate.
    surface_cells : int
        Cells that an extracted surface may cross, in units of the resolution squared. A sphere
        crosses about 4, a fine lattice 40, noise nearly all.
    extraction_work : int
        Multiplications that an extraction may take, in units of the resolution squared, beside
        2,048 for each of the latent's numbers. A shape takes 60 to 190 for each of them, and
        a small file must not cost as much as a large one.
    pixels : int
        Of an image. The network is asked for each.
    """

    file_bytes: int = 2**20
    latents: int = 2**17
    weights: int = 2**18
    surface_cells: int = 64
    extraction_work: int = 2**22
    pixels: int = 2**24

    @classmethod
    def of_format(cls) -> Limits:
        """Limits that refuse nothing which the format allows."""
        # Every node twice is more than any extraction evaluates.
        work = 2 * MAX_RESOLUTION * MAX_WEIGHTS
        return cls(MAX_FILE_BYTES, MAX_LATENTS, MAX_WEIGHTS, MAX_RESOLUTION, work, MAX_SIDE**2)

    def check_file_bytes(self, size: int) -> None:
        """Raise FormatError where the file is too large; `size` may stop counting above it."""
        largest = min(self.file_bytes, MAX_FILE_BYTES)
        if size > largest:
            raise FormatError(f"larger than {largest} bytes{_advice(largest, MAX_FILE_BYTES)}")

    def check_header(self, latents: int, weights: int) -> None:
        """Raise FormatError where a file's latent or network is too large."""
        for what, count, largest, most in (
            ("the latent has {} numbers", latents, self.latents, MAX_LATENTS),
            ("the network has {} weights", weights, self.weights, MAX_WEIGHTS),
        ):
            if count > largest:
                raise FormatError(
                    f"{what.format(count)}; at most {largest} are decoded{_advice(largest, most)}"
                )

    def check_pixels(self, width: int, height: int) -> None:
        """Raise FormatError where an image has too many pixels."""
        if width * height > self.pixels:
            raise FormatError(
                f"the image has {width} x {height} pixels; at most {self.pixels} are decoded"
                f"{_advice(self.pixels, MAX_SIDE**2)}"
            )

    def check_surface(self, cells: int, resolution: int) -> None:
        """Raise ConfigError where a surface crosses too many cells to be a shape's.

        `cells` may be those met until now.
        """
        largest = self.surface_cells * resolution**2
        if cells > largest:
            raise ConfigError(
                f"the surface crosses {cells} cells or more at resolution {resolution}; at most "
                f"{largest} are extracted ({_HOW_TO_RAISE}); lower the resolution"
            )

    def check_work(self, multiplications: int, latents: int, resolution: int) -> None:
        """Raise ConfigError where an extraction has come to take more than a shape's does."""
        largest = (self.extraction_work + _WORK_OF_LATENT * latents) * resolution**2
        if multiplications > largest:
            raise ConfigError(
                f"extraction at resolution {resolution} takes more than {largest:.1e} "
                f"multiplications ({_HOW_TO_RAISE}); lower the resolution"
            )


DEFAULT_LIMITS = Limits()


def _advice(limit: int, maximum: int) -> str:
    """How to raise a limit, unless it is the format's."""
    return f" ({_HOW_TO_RAISE})" if limit < maximum else ""
