"""The straightforward encoder that the codec's speed is measured against. Frozen: leave it alone.

    python scripts/reference_encoder.py MESH [--latent 1100] [--steps 3000] [-o FILE.doh]

What one writes down first in PyTorch: the paper's dense projection as a matrix, the encoding
computed anew in each step, autograd, eager mode, Adam for latent and biases. Schedule and sizes are
those that the codec had before work on its speed began: width 48, three hidden layers, three
octaves, a range of 8 bits, 3,000 steps of 8,192 points with hard labels, half of them near the
surface; noise in place of rounding for 70% of the steps, then rounding with the gradient passed
straight through. It uses the package for the mesh, the samples and the file only.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from doh3d.codec.container import serialize
from doh3d.codec.quantization import STEPS, nearest_step_index
from doh3d.fitting.config import FitConfig, SurfaceSampling
from doh3d.fitting.quantize_fit import quantize_fit
from doh3d.fitting.results import FitResult
from doh3d.geometry.sampling import OccupancySamples
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.philox import Stream, random_signs
from doh3d.signals.shape import PreparedShape, prepare

LATENT = 1100
STEPS_OF_SCHEDULE = 3000
NOISE_SHARE = 0.7
WARM_UP_SHARE = 0.1
RATE_WEIGHT = 1.5e-5
MAX_GRADIENT_NORM = 1.0


def reference_config(
    latent: int = LATENT, width: int = 48, steps: int = STEPS_OF_SCHEDULE, seed: int = 0
) -> FitConfig:
    """Sizes and schedule; what the codec has come to use since is switched off."""
    return FitConfig(
        latent=latent,
        bits=8,
        architecture=Architecture(width=width, depth=3, octaves=3),
        projection="dense",
        seed=seed,
        steps=steps,
        batch_size=8192,
        # Adam's must fall with the latent's length.
        learning_rate=min(0.0124 * math.pow(latent / 1100, -0.66), 0.012),
        rate_weight=RATE_WEIGHT,
        pool_size=600_000,
        surface_sampling=SurfaceSampling(near_fraction=0.5, near_std=0.02, softness=0.0),
        graded=False,
        importance_sampling=False,
        optimizer="adam",
    )


def dense_matrix(latent: int, layer_sizes: list[int], seed: int) -> torch.Tensor:
    """All layers' random signs, (P, n) float32."""
    layers = []
    for layer, size in enumerate(layer_sizes):
        signs = random_signs(seed, layer, Stream.DENSE_SIGNS, 0, size * latent)
        layers.append(torch.from_numpy(signs.reshape(size, latent)).float())
    return torch.cat(layers)


class ReferenceEncoder:
    """A fit's state; `run` takes all of its steps."""

    def __init__(self, samples: OccupancySamples, config: FitConfig) -> None:
        architecture = config.architecture
        self.config = config
        self.points = torch.from_numpy(samples.points)
        self.labels = torch.from_numpy(samples.inside.astype(np.float32))[:, None]
        self.matrix = dense_matrix(config.latent, architecture.layer_sizes, config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        initial = torch.randn(config.latent, generator=self.generator)
        self.latent = (initial / math.sqrt(config.latent)).requires_grad_()
        self.biases = torch.zeros(architecture.bias_count, requires_grad=True)
        self.latent_step = float(STEPS[nearest_step_index(config.training_step)])
        self.bias_step = float(STEPS[nearest_step_index(config.bias_step)])
        self.optimizer = torch.optim.Adam([self.latent, self.biases], lr=config.learning_rate)

    def encode(self, points: torch.Tensor) -> torch.Tensor:
        """Encode (N, 3) points."""
        features = [points]
        for octave in range(self.config.architecture.octaves):
            angle = points * (math.pi * 2**octave)
            features += [torch.sin(angle), torch.cos(angle)]
        return torch.cat(features, dim=1)

    def logits(
        self, latent: torch.Tensor, biases: torch.Tensor, points: torch.Tensor
    ) -> torch.Tensor:
        """Make the weights and evaluate the network, (N, 1)."""
        architecture = self.config.architecture
        weights = (self.matrix @ latent).split(architecture.layer_sizes)
        shapes, gains = architecture.layer_shapes, architecture.layer_gains
        offsets = biases.split([rows for rows, _ in shapes])
        x = self.encode(points)
        for layer, shape in enumerate(shapes):
            x = x @ (weights[layer].view(shape) * gains[layer]).T + offsets[layer]
            if layer < len(shapes) - 1:
                x = torch.relu(x)
        return x

    def perturbed(self, values: torch.Tensor, step: float, bits: int, noisy: bool) -> torch.Tensor:
        """Levels as the quantiser leaves them, or with noise in place of rounding."""
        level = 2 ** (bits - 1) - 1
        scaled = values / step
        if noisy:
            noise = torch.rand(scaled.shape, generator=self.generator) - 0.5
            return (scaled + noise).clamp(-level, level)
        return (scaled + (scaled.round() - scaled).detach()).clamp(-level, level)

    def step(self, number: int, points: torch.Tensor, labels: torch.Tensor) -> None:
        """Take one step on (N, 3) points and (N, 1) labels."""
        progress = number / self.config.steps
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * one_cycle(progress)
        noisy = progress < NOISE_SHARE
        levels = self.perturbed(self.latent, self.latent_step, self.config.bits, noisy)
        bias_levels = self.perturbed(self.biases, self.bias_step, 16, noisy)
        logits = self.logits(levels * self.latent_step, bias_levels * self.bias_step, points)
        loss = binary_cross_entropy_with_logits(logits, labels)
        bits = laplace_bits(levels) + laplace_bits(bias_levels)
        self.optimizer.zero_grad()
        (loss + self.config.rate_weight * bits).backward()
        torch.nn.utils.clip_grad_norm_([self.latent], MAX_GRADIENT_NORM)
        self.optimizer.step()

    def run(self) -> FitResult:
        """Take every step."""
        count, batch = len(self.points), self.config.batch_size
        position = 0
        for number in range(self.config.steps):
            if position + batch > count:
                position = (position + batch) % (count - batch + 1)
            window = slice(position, position + batch)
            position += batch
            self.step(number, self.points[window], self.labels[window])
        return FitResult(
            latent=self.latent.detach().numpy().copy(),
            biases=self.biases.detach().numpy().copy(),
            latent_step_index=nearest_step_index(self.config.training_step),
            learning_rate=self.config.learning_rate,
        )


def one_cycle(progress: float) -> float:
    if progress < WARM_UP_SHARE:
        return max(progress / WARM_UP_SHARE, 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP_SHARE) / (1 - WARM_UP_SHARE)))


def laplace_bits(levels: torch.Tensor) -> torch.Tensor:
    magnitude = levels.abs()
    scale = magnitude.detach().mean().clamp_min(0.05)
    tail = torch.log(-torch.expm1(-1 / scale) / 2) - (magnitude - 0.5) / scale
    inner = magnitude.clamp_max(0.5)
    centre = torch.log1p(-torch.exp(-0.5 / scale) * torch.cosh(inner / scale))
    return -torch.where(magnitude >= 0.5, tail, centre).sum() / math.log(2)


def encode(shape: PreparedShape, config: FitConfig) -> bytes:
    """Sample and fit a prepared shape; the bytes of its file."""
    result = ReferenceEncoder(shape.sample(config), config).run()
    return serialize(quantize_fit(result, config, shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mesh", type=Path)
    parser.add_argument("--latent", type=int, default=LATENT)
    parser.add_argument("--steps", type=int, default=STEPS_OF_SCHEDULE)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    data = encode(
        prepare(arguments.mesh), reference_config(arguments.latent, steps=arguments.steps)
    )
    print(f"{arguments.mesh.name}: {len(data)} bytes in {time.perf_counter() - started:.1f} s")
    if arguments.output is not None:
        arguments.output.write_bytes(data)


if __name__ == "__main__":
    main()
