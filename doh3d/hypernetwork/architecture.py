"""The target network's shape: which layers it has, and how large. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from doh3d.errors import ConfigError
from doh3d.hypernetwork.partition import Partition
from doh3d.limits import MAX_DEPTH, MAX_OCTAVES, MAX_OMEGA, MAX_WEIGHTS, MAX_WIDTH

Activation = Literal["relu", "smooth", "sine"]

# What makes the weights; named here, because the projections themselves need torch.
ProjectionKind = Literal["hadamard", "dense"]

_SPACE = Partition.whole(3)


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
    activation : "relu", "smooth" or "sine"
        Of u = W x + b. Smooth is a ReLU whose corner is a parabola, (u + 1)^2 / 4 between -1 and
        1; sine is sin(omega * u) (SIREN, Sitzmann et al. 2020).
    omega : int
        SIREN's frequency, 1 to 255; 0 without sine.
    out_dim : int
        Numbers a value: 1 for occupancy.
    mirrored : tuple of int
        The mirrored axes, 0 to d - 1, ascending.
    partition : Partition
        Cells of space that have a network of these layers each. It sees a point by its
        coordinates in the cell, -1 to 1 along each axis; of mirrored axes |x| is what lies in the
        cells. The default is one cell of three axes.
    """

    width: int = 32
    depth: int = 3
    octaves: int = 3
    activation: Activation = "relu"
    omega: int = 0
    out_dim: int = 1
    mirrored: tuple[int, ...] = ()
    partition: Partition = _SPACE

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
        if self.weight_count > MAX_WEIGHTS:
            raise ConfigError(
                f"the cells' networks have {self.weight_count} weights; at most {MAX_WEIGHTS} are "
                "allowed"
            )
        if self.activation == "sine":
            if not 1 <= self.omega <= MAX_OMEGA:
                raise ConfigError(f"omega is {self.omega}; with sine it must be 1 to {MAX_OMEGA}")
        elif self.activation in ("relu", "smooth"):
            if self.omega != 0:
                raise ConfigError(f"omega is {self.omega}; it belongs to the sine activation only")
        else:
            raise ConfigError(
                f"activation is {self.activation!r}; it must be 'relu', 'smooth' or 'sine'"
            )

    @property
    def in_dim(self) -> int:
        """Numbers a point, d."""
        return self.partition.dims

    @property
    def cells(self) -> int:
        """Networks, one for each cell of the partition."""
        return self.partition.cells

    @property
    def of_a_cell(self) -> Architecture:
        """One cell's network alone, which takes places in the cell."""
        return replace(self, partition=Partition.whole(self.in_dim), mirrored=())

    @property
    def encoded_dim(self) -> int:
        """Numbers that the positional encoding makes of one point."""
        return self.in_dim * (1 + 2 * self.octaves)

    @property
    def layer_shapes(self) -> list[tuple[int, int]]:
        """(fan_out, fan_in) of each weight matrix of a network, first layer first."""
        hidden = [(self.width, self.width)] * (self.depth - 1)
        return [(self.width, self.encoded_dim), *hidden, (self.out_dim, self.width)]

    @property
    def layer_sizes(self) -> list[int]:
        """Weights in each layer, of all cells."""
        return [self.cells * rows * columns for rows, columns in self.layer_shapes]

    @property
    def weight_count(self) -> int:
        """Weights that the hypernetwork generates, P."""
        return sum(self.layer_sizes)

    @property
    def bias_count(self) -> int:
        """Biases, which are learned directly and travel in the file."""
        return self.cells * sum(rows for rows, _ in self.layer_shapes)

    @property
    def evaluation_cost(self) -> int:
        """Multiplications that the value at a point takes: weights of one network."""
        return self.weight_count // self.cells

    @property
    def layer_gains(self) -> list[float]:
        """Standard deviation s_l of layer l's usual initialisation.

        ReLU: He et al. 2015, sqrt(2 / fan_in), with the linear rule sqrt(1 / fan_in) in the
        output layer. Smooth: the same, and the first layer's mean square over its columns is that;
        its gain is that of columns of factor 1, see `feature_factors`. Sine: SIREN's uniform
        ranges, 1 / fan_in in the first layer and sqrt(6 / fan_in) / omega in the others, as
        standard deviations (range / sqrt 3).
        Square roots and quotients are correctly rounded by IEEE 754, so these are the same
        numbers everywhere.
        """
        shapes = self.layer_shapes
        if self.activation == "sine":
            first = 1.0 / (shapes[0][1] * math.sqrt(3.0))
            return [first, *(math.sqrt(2.0 / fan_in) / self.omega for _, fan_in in shapes[1:])]
        # Whole numbers, but for the first of smooth networks.
        fans = [sum(factor * factor for factor in self.feature_factors)]
        fans += [fan_in for _, fan_in in shapes[1:-1]]
        return [*(math.sqrt(2.0 / fan) for fan in fans), math.sqrt(1.0 / shapes[-1][1])]

    @property
    def feature_factors(self) -> list[float]:
        """Standard deviation of the first layer's weights by feature, in terms of its gain.

        Smooth: (3/4)^k for octave k from 0, and 1 for the coordinates: high frequencies less, and
        less of the quantiser's noise. Others: 1.
        """
        factors = [1.0] * self.in_dim
        for octave in range(self.octaves):
            factor = 3**octave / 4**octave if self.activation == "smooth" else 1.0
            factors += [factor] * (2 * self.in_dim)
        return factors
