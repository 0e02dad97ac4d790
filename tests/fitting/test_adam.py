import subprocess
import sys

import pytest
import torch

from doh3d.fitting.adam import Adam


def test_steps_are_those_of_torchs_adam():
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(5, generator=generator), torch.randn(2, 3, generator=generator)]
    theirs = [tensor.clone().requires_grad_() for tensor in ours]
    adam, reference = Adam(ours), torch.optim.Adam(theirs)
    for step in range(20):
        gradients = [torch.randn(tensor.shape, generator=generator) for tensor in ours]
        rate = 0.1 / (1 + step)
        adam.step(gradients, rate)
        reference.param_groups[0]["lr"] = rate
        for tensor, gradient in zip(theirs, gradients, strict=True):
            tensor.grad = gradient
        reference.step()
    for tensor, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(tensor, expected.detach())


def test_no_gradient_moves_nothing():
    tensor = torch.ones(3)
    Adam([tensor]).step([torch.zeros(3)], 0.1)
    assert tensor.tolist() == [1, 1, 1]


@pytest.mark.slow
def test_a_fit_loads_no_compiler():
    code = (
        "import sys, trimesh, doh3d\n"
        "doh3d.compress(trimesh.creation.icosphere(), preset='fast', latent=20, width=4)\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
