"""The target network's shape: which layers it has, and how large. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from doh3d.errors import ConfigError
from doh3d.limits import MAX_DEPTH, MAX_OCTAVES, MAX_OMEGA, MAX_WIDTH

Activation = Literal["relu", "sine"]


@dataclass(frozen=True)
class Architecture:
    """A small multilayer perceptron over an optional positional encoding.

    The encoding of a point x in [-1, 1]^d with L octaves is
    (x, sin(pi x), cos(pi x), ..., sin(2^(L-1) pi x), cos(2^(L-1) pi x)), d (1 + 2 L) numbers.
    Of mirrored axes it takes |x| for x: the value is the same on both sides of the plane through
    the middle, and half the space is all that there is to learn.

    Attributes
    ----------
    width : int
        Neurons in each hidden layer, 1 to 256.
    depth : int
        Hidden layers, 1 to 15.
    octaves : int
        Octaves L of the encoding, 0 to 15.
    activation : "relu" or "sine"
        Sine layers compute sin(omega * (W x + b)) (SIREN, Sitzmann et al. 2020).
    omega : int
        SIREN's frequency, 1 to 255; 0 with ReLU.
    in_dim, out_dim : int
        Numbers a point and a value: 3 and 1 for occupancy.
    mirrored : tuple of int
        The mirrored axes, 0 to d - 1, ascending.
    """

    width: int = 32
    depth: int = 3
    octaves: int = 3
    activation: Activation = "relu"
    omega: int = 0
    in_dim: int = 3
    out_dim: int = 1
    mirrored: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check every range, so that whoever holds an architecture can trust it."""
        for name, value, low, high in (
            ("width", self.width, 1, MAX_WIDTH),
            ("depth", self.depth, 1, MAX_DEPTH),
            ("octaves", self.octaves, 0, MAX_OCTAVES),
        ):
            if not low <= value <= high:
                raise ConfigError(f"{name} is {value}; it must be {low} to {high}")
        if self.mirrored != tuple(axis for axis in range(self.in_dim) if axis in self.mirrored):
            raise ConfigError(
                f"mirrored axes are {self.mirrored}; they must be ascending, of 0 to "
                f"{self.in_dim - 1}"
            )
        if self.activation == "sine":
            if not 1 <= self.omega <= MAX_OMEGA:
                raise ConfigError(f"omega is {self.omega}; with sine it must be 1 to {MAX_OMEGA}")
        elif self.activation == "relu":
            if self.omega != 0:
                raise ConfigError(f"omega is {self.omega}; it belongs to the sine activation only")
        else:
            raise ConfigError(f"activation is {self.activation!r}; it must be 'relu' or 'sine'")

    @property
    def encoded_dim(self) -> int:
        """Numbers that the positional encoding makes of one point."""
        return self.in_dim * (1 + 2 * self.octaves)

    @property
    def layer_shapes(self) -> list[tuple[int, int]]:
        """(fan_out, fan_in) of each weight matrix, first layer first."""
        hidden = [(self.width, self.width)] * (self.depth - 1)
        return [(self.width, self.encoded_dim), *hidden, (self.out_dim, self.width)]

    @property
    def layer_sizes(self) -> list[int]:
        """Weights in each layer."""
        return [rows * columns for rows, columns in self.layer_shapes]

    @property
    def weight_count(self) -> int:
        """Weights that the hypernetwork generates, P."""
        return sum(self.layer_sizes)

    @property
    def bias_count(self) -> int:
        """Biases, which are learned directly and travel in the file."""
        return sum(rows for rows, _ in self.layer_shapes)

    @property
    def layer_gains(self) -> list[float]:
        """Standard deviation s_l of layer l's usual initialisation.

        ReLU: He et al. 2015, sqrt(2 / fan_in), with the linear rule sqrt(1 / fan_in) in the
        output layer. Sine: SIREN's uniform ranges, 1 / fan_in in the first layer and
        sqrt(6 / fan_in) / omega in the others, as standard deviations (range / sqrt 3).
        Square roots and quotients are correctly rounded by IEEE 754, so these are the same
        numbers everywhere.
        """
        shapes = self.layer_shapes
        if self.activation == "sine":
            first = 1.0 / (shapes[0][1] * math.sqrt(3.0))
            return [first, *(math.sqrt(2.0 / fan_in) / self.omega for _, fan_in in shapes[1:])]
        hidden = [math.sqrt(2.0 / fan_in) for _, fan_in in shapes[:-1]]
        return [*hidden, math.sqrt(1.0 / shapes[-1][1])]
