"""How the shapes of a dataset are compressed: one configuration for all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from doh3d.errors import ConfigError
from doh3d.fitting.config import Quantizer
from doh3d.hypernetwork.architecture import Activation, ProjectionKind

# A worker holds the meshes of so many shapes at once; beyond a dozen more bring little.
MOST_TOGETHER = 64


@dataclass(frozen=True)
class CompressOptions:
    """The options of `doh3d.compress` that its bytes follow from; None stands for its default."""

    max_bytes: int | None = None
    min_iou: float | None = None
    preset: str = "default"
    latent: int | None = None
    bits: int | None = None
    quantizer: Quantizer = "qat"
    width: int | None = None
    depth: int = 3
    octaves: int | None = None
    activation: Activation = "smooth"
    projection: ProjectionKind = "hadamard"
    mirror: bool = True
    seed: int = 0

    def check(self, batch_fit: int = 1) -> None:
        """Raise ConfigError where an option is out of range or contradicts another.

        `batch_fit` is how many shapes are to be fitted together.
        """
        from doh3d.fitting.compress import make_config
        from doh3d.fitting.rate_control import check_target

        values = self.to_dict()
        max_bytes, min_iou = values.pop("max_bytes"), values.pop("min_iou")
        values.pop("mirror")
        make_config(**values)
        if max_bytes is not None or min_iou is not None:
            check_target(max_bytes, min_iou, self.latent, self.bits, self.quantizer)
        if not 1 <= batch_fit <= MOST_TOGETHER:
            raise ConfigError(f"batch_fit is {batch_fit}; it must be 1 to {MOST_TOGETHER}")
        if batch_fit > 1 and min_iou is not None:
            raise ConfigError(
                f"batch_fit {batch_fit} and min_iou contradict each other: the search for a "
                "quality takes other sizes for each shape; leave out one of them"
            )

    def to_dict(self) -> dict[str, Any]:
        """Keyword arguments for `doh3d.compress`, ready for JSON."""
        return asdict(self)

    @property
    def json(self) -> str:
        """As text that is the same for the same options."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @property
    def id(self) -> str:
        """What tells configurations apart: 16 hexadecimal digits."""
        return hashlib.sha256(self.json.encode()).hexdigest()[:16]
