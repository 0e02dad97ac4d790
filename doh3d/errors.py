"""The errors that doh3d raises for bad input.

Each message is one line that names what was found, where, and what would be right.
The command line prints it and exits with status 2.
"""


class Doh3dError(Exception):
    """Base of every error that doh3d raises on purpose."""


class MeshError(Doh3dError):
    """A mesh cannot be read, or encloses no volume; the message names the file and the reason."""


class ImageError(Doh3dError):
    """An image cannot be read, or is not of 8 bits, grey or RGB; the message names the file."""


class VolumeError(Doh3dError):
    """A voxel grid cannot be read, or does not say what is inside; the message names the file."""


class ConfigError(Doh3dError, ValueError):
    """An option or an argument is out of its range, or contradicts another."""


class FormatError(Doh3dError):
    """Bytes are not a valid ``.doh`` file of a version that this release reads."""


class TargetError(Doh3dError):
    """A quality that no allowed size reaches; the message says what was reached.

    Attributes
    ----------
    data : bytes
        The best file.
    reached : float
        Its quality: IoU, or PSNR in dB.
    """

    def __init__(self, message: str, data: bytes, reached: float) -> None:
        super().__init__(message)
        self.data = data
        self.reached = reached
