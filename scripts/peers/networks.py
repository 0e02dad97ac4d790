"""Learned peers of the codec, each writing real bytes under the same training budget.

- `mlp`: the target network's weights are learned directly, with the codec's own optimiser,
  quantisation-aware training, rate term, entropy coder and container.
- `coin`: the same network learned directly by Adam and stored as 16-bit floats (after Dupont et
  al., "COIN: compression with implicit neural representations", 2021).
- `doh_published`: the hypernetwork as far as the paper fixes it: a dense projection, Adam,
  post-training quantisation, fixed-length codes.

Every peer gets the best of five or eight networks at each size, chosen by short trials. A weak
baseline is a false claim.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from doh3d.codec.container import parse, serialize
from doh3d.codec.entropy import Family, SymbolModel, choose_model
from doh3d.codec.quantization import best_step_index, nearest_step_index, quantize
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup
from doh3d.errors import Doh3dError
from doh3d.hypernetwork.architecture import Activation, Architecture
from doh3d.limits import MAX_WIDTH

if TYPE_CHECKING:
    import torch

    from doh3d.field import OccupancyField
    from doh3d.fitting.config import FitConfig
    from doh3d.fitting.results import FitResult
    from doh3d.signals.shape import PreparedShape

Peer = Literal["mlp", "coin", "doh_published"]
PEERS: tuple[Peer, ...] = get_args(Peer)

# Bytes of a file that are no parameters.
_OVERHEAD_BYTES = 28

# Bits of the quantiser's range for `mlp`, and the bits that a weight then takes in the file:
# fewer bits buy a wider network at the same size. The codec's own activation is better in small
# files, ReLUs are in large ones.
_MLP_BITS = ((6, 4.2), (7, 5.0), (8, 5.8), (9, 6.7))
_MLP_ACTIVATIONS: tuple[Activation, ...] = ("relu", "smooth")
_COIN_DEPTHS = (1, 2, 3, 4, 5)
_DOH_WIDTH_FACTORS = (0.6, 0.8, 1.0, 1.25, 1.6)
_DOH_BITS = 8

# A dense matrix beyond this many entries takes minutes a fit; the Hadamard projection, which
# is as good at the same n, then stands in for it, and the row says so.
_MAX_DENSE_ENTRIES = 2**24

# Learning rates at the schedule's peak, tuned for each peer: the best of a ladder, see
# docs/results.md, in standard deviations of a weight's initial value.
_MLP_LEARNING_RATE, _MLP_LEARNING_RATE_OF_MANY, _MANY_WEIGHTS = 0.15, 0.3, 6000
_MLP_ROUNDING_START = 0.6
_COIN_LEARNING_RATE = 0.4


def doh_learning_rate(latent: int) -> float:
    """Adam's rate for a latent of n numbers: it falls faster than their scale, 1 / sqrt(n)."""
    return min(0.0124 * math.pow(latent / 1100, -0.66), 0.012)


# Share of the steps that the trials get, and how many then get them all.
_TRIAL_SHARE = 0.25
_FITTED_IN_FULL = 2

_RETRIES = 3
_RETRY_FACTOR = 0.3


@dataclass(frozen=True)
class PeerFit:
    """One peer's network, as bytes and as the field that they decode to.

    Attributes
    ----------
    data : bytes
        What would be stored.
    field : OccupancyField
        Decoded from the stored values.
    variant : str
        Which network and quantiser.
    """

    data: bytes
    field: OccupancyField
    variant: str


class DirectWeights:
    """The projection that leaves the weights as they are.

    In the units of a latent of as many numbers: variance 1 / n means the usual initialisation.
    """

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Scale (n,) values to n weights of unit variance."""
        return latent * math.sqrt(len(latent))

    def transpose(self, values: torch.Tensor) -> torch.Tensor:
        """Scale a gradient's (n,) values likewise."""
        return values * math.sqrt(len(values))


def fit_peer(
    peer: Peer,
    shape: PreparedShape,
    config: FitConfig,
    target_bytes: int,
    rank: Callable[[OccupancyField], float],
    *,
    device: torch.device,
) -> Iterator[PeerFit]:
    """Fit a peer at about `target_bytes`: the best two of its five or eight networks.

    All are tried with a quarter of the steps; those that `rank` puts highest are then
    fitted with all of them.

    Parameters
    ----------
    config : FitConfig
        The codec's own at that size, whose steps, batches and samples the peer gets too.
    rank : callable
        Quality of a field.
    """
    fit, variants = _PEER_FITS[peer]
    trial = replace(config, steps=max(1, round(config.steps * _TRIAL_SHARE)))
    ranks = {
        variant: rank(fit(shape, trial, target_bytes, device, variant).field)
        for variant in variants
    }
    for variant in sorted(ranks, key=lambda v: -ranks[v])[:_FITTED_IN_FULL]:
        yield fit(shape, config, target_bytes, device, variant)


def _fit_mlp(
    shape: PreparedShape,
    config: FitConfig,
    target_bytes: int,
    device: torch.device,
    variant: tuple[Activation, tuple[int, float]],
) -> PeerFit:
    activation, (bits, bits_each) = variant
    # One network, as whoever stores it directly would have it.
    config = shape.adapt(replace(config, levels=0))
    weights = 8 * (target_bytes - _OVERHEAD_BYTES) / bits_each
    architecture = _network_of(weights, replace(config.architecture, activation=activation))
    # Its numbers are not alike, as a latent's are: which are rounded last is chance.
    direct = replace(
        config,
        architecture=architecture,
        latent=architecture.weight_count,
        bits=bits,
        clipped=True,
        graded=False,
        rounding_start=_MLP_ROUNDING_START,
    )
    many = architecture.weight_count > _MANY_WEIGHTS
    rate = _MLP_LEARNING_RATE_OF_MANY if many else _MLP_LEARNING_RATE
    result = _fit_directly(shape, replace(direct, learning_rate=rate), device)
    code = _shape_code(
        shape,
        architecture,
        _coded(result.latent, result.latent_step_index, bits),
        _coded(result.biases, nearest_step_index(direct.bias_step), 16),
    )
    data = serialize(code)
    stored = parse(data)
    levels = stored.latent.values * stored.latent.step
    biases = stored.biases.values * stored.biases.step
    field = _direct_field(code, levels, biases, device)
    return PeerFit(data, field, f"width {architecture.width}, {bits} bits, {activation}")


def _fit_coin(
    shape: PreparedShape, config: FitConfig, target_bytes: int, device: torch.device, depth: int
) -> PeerFit:
    numbers = (target_bytes - _OVERHEAD_BYTES) / 2
    base = replace(config.architecture, depth=depth, activation="relu")
    architecture = _network_of(numbers, base, with_biases=True)
    direct = replace(config, architecture=architecture, latent=architecture.weight_count, bits=32)
    rate = _COIN_LEARNING_RATE / math.sqrt(direct.latent)
    adam = replace(direct, optimizer="adam", learning_rate=rate)
    result = _fit_directly(shape, adam, device)
    halves = [values.astype("<f2") for values in (result.latent, result.biases)]
    header = serialize(_shape_code(shape, architecture, _empty(), _zero(architecture)))
    data = header[:_OVERHEAD_BYTES] + b"".join(half.tobytes() for half in halves)
    raw = [
        ParameterGroup(half.astype(np.float32), 0, SymbolModel(Family.RAW_FLOAT32, 0))
        for half in halves
    ]
    code = _shape_code(shape, architecture, *raw)
    field = _direct_field(code, raw[0].values, raw[1].values, device)
    return PeerFit(data, field, f"depth {depth}, width {architecture.width}")


def _fit_doh_published(
    shape: PreparedShape, config: FitConfig, target_bytes: int, device: torch.device, factor: float
) -> PeerFit:
    from doh3d.field import OccupancyField
    from doh3d.fitting.fit import fit_latent

    width = min(MAX_WIDTH, 4 * max(1, round(config.architecture.width * factor / 4)))
    architecture = replace(config.architecture, width=width, activation="relu")
    numbers = 8 * (target_bytes - _OVERHEAD_BYTES) // _DOH_BITS
    latent = max(1, numbers - architecture.bias_count)
    dense = latent * architecture.weight_count <= _MAX_DENSE_ENTRIES
    published = replace(
        config,
        architecture=architecture,
        latent=latent,
        quantizer="ptq",
        projection="dense" if dense else "hadamard",
        optimizer="adam",
        learning_rate=doh_learning_rate(latent),
    )
    result = fit_latent(shape.sample(config), published, device=device)
    groups = [
        _fixed(values, best_step_index(values, _DOH_BITS), _DOH_BITS)
        for values in (result.latent, result.biases)
    ]
    code = replace(
        _shape_code(shape, architecture, *groups), dense_projection=dense, seed=config.seed
    )
    data = serialize(code)
    return PeerFit(
        data,
        OccupancyField(parse(data), device),
        f"width {width}, n {latent}, {published.projection}",
    )


# How each peer is fitted, and its networks.
_PEER_FITS: dict[Peer, tuple[Callable[..., PeerFit], Sequence[Any]]] = {
    "mlp": (_fit_mlp, tuple(itertools.product(_MLP_ACTIVATIONS, _MLP_BITS))),
    "coin": (_fit_coin, _COIN_DEPTHS),
    "doh_published": (_fit_doh_published, _DOH_WIDTH_FACTORS),
}


def _fit_directly(shape: PreparedShape, config: FitConfig, device: torch.device) -> FitResult:
    from doh3d.fitting.descent import WeightDescent
    from doh3d.fitting.optimisation import Optimisation
    from doh3d.thread_team import team_of_all_threads

    learning_rate = config.learning_rate
    for _ in range(1 + _RETRIES):
        with team_of_all_threads() as team:
            optimisation = Optimisation(
                [shape.sample(config)],
                config,
                learning_rate,
                device,
                DirectWeights(),
                WeightDescent,
                team,
            )
            if optimisation.run(None) == [True]:
                return optimisation.results()[0]
        learning_rate *= _RETRY_FACTOR
    raise Doh3dError("the direct network became empty or full at every learning rate tried")


def _direct_field(
    code: ShapeCode,
    weights: npt.NDArray[np.floating],
    biases: npt.NDArray[np.floating],
    device: torch.device,
) -> OccupancyField:
    import torch

    from doh3d.field import OccupancyField
    from doh3d.hypernetwork.decoder import generate_weights

    target = generate_weights(
        code.architecture,
        DirectWeights(),
        torch.from_numpy(weights.astype(np.float32)).to(device),
        torch.from_numpy(biases.astype(np.float32)).to(device),
    )
    return OccupancyField(code, device, weights=target)


def _network_of(
    parameters: float, base: Architecture, *, with_biases: bool = False
) -> Architecture:
    """Find the widest network like `base` with at most so many weights (and biases)."""

    def size(architecture: Architecture) -> int:
        return architecture.weight_count + with_biases * architecture.bias_count

    width = 1
    while width < MAX_WIDTH and size(replace(base, width=width + 1)) <= parameters:
        width += 1
    return replace(base, width=width)


def _shape_code(
    shape: PreparedShape, architecture: Architecture, latent: ParameterGroup, biases: ParameterGroup
) -> ShapeCode:
    return ShapeCode(
        architecture=architecture,
        dense_projection=False,
        seed=0,
        transform=shape.transform,
        extents=shape.extents,
        latent=latent,
        biases=biases,
    )


def _coded(values: npt.NDArray[np.float32], step_index: int, bits: int) -> ParameterGroup:
    levels = quantize(values, step_index, bits)
    return ParameterGroup(levels, step_index, choose_model(levels))


def _fixed(values: npt.NDArray[np.float32], step_index: int, bits: int) -> ParameterGroup:
    levels = quantize(values, step_index, bits)
    return ParameterGroup(levels, step_index, SymbolModel(Family.FIXED_LENGTH, bits))


def _empty() -> ParameterGroup:
    return _coded(np.zeros(1, dtype=np.float32), 0, 2)


def _zero(architecture: Architecture) -> ParameterGroup:
    return _coded(np.zeros(architecture.bias_count, dtype=np.float32), 0, 2)
