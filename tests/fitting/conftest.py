"""What tests of fits share."""

import pytest
import torch


@pytest.fixture
def double():
    """Compute in float64, so that what differs is more than the order of sums."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
