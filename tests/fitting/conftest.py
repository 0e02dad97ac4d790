"""What tests of fits share."""

import pytest
import torch

from doh3d.api.compressed import CompressedShape
from doh3d.fitting.rate_control import encode
from doh3d.signals.shape import prepare


@pytest.fixture
def double():
    """Compute in float64, so that what differs is more than the order of sums."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def compress_with():
    """Compress a mesh under a full configuration: of cells it says how many, not where."""

    def compress(mesh, config, device="cpu", **options):
        shape = prepare(mesh)
        if config.levels:
            config = shape.adapt(config, mirror=bool(config.architecture.mirrored))
        encoded = encode(shape, config, device=torch.device(device), **options)
        return CompressedShape(encoded.data, encoded.config)

    return compress
