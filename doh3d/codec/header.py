"""The header of a `.doh` file: all that comes before the values. No torch here."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from doh3d.codec.entropy import Family, SymbolModel
from doh3d.codec.extras import NO_EXTRAS, pack_extras, read_extras
from doh3d.codec.frame import OWN_FEATURES, VERSION, ByteReader, Feature, pack_varint
from doh3d.codec.kinds import find_kind
from doh3d.codec.quantization import STEP_COUNT
from doh3d.codec.signal_code import ParameterGroup, SignalCode, check_dense_size
from doh3d.errors import FormatError
from doh3d.files import MAGIC
from doh3d.hypernetwork.architecture import Activation, Architecture
from doh3d.hypernetwork.partition import Box, Partition
from doh3d.limits import MAX_LATENTS, MAX_LEVELS, Limits

CodeT = TypeVar("CodeT", bound=SignalCode)

# A group's number of values, entropy model and step index.
GroupHeader: TypeAlias = tuple[int, SymbolModel, int]

_ACTIVATIONS: tuple[Activation, ...] = ("relu", "smooth", "sine")

# Of the standard models a byte tells the family, one of four from the first on, and the scale
# index, one of 64 from the first on. Biases have the standard step, 2^-6, and most are 0.
_LATENT_MODELS = Family.GRADED_GENERALIZED_GAUSSIAN_0_75, 24
_BIAS_MODELS = Family.GENERALIZED_GAUSSIAN_0_75, 0
_FAMILIES, _SCALE_BITS = 4, 6
STANDARD_BIAS_STEP = 144


def header_fields(code: SignalCode) -> list[tuple[str, bytes]]:
    """All fields of a file before the values, in their order, by their names in the format.

    Those that the file does without are not among them.

    Raises
    ------
    ConfigError
        Where the code is beyond what a file may carry.
    """
    code.check()
    architecture, partition = code.architecture, code.architecture.partition
    own_features, own_fields, transform = code.pack_fields()
    layers = (architecture.depth, architecture.octaves)
    models = _pack_standard_models(code.latent, code.biases)
    extras = pack_extras(code.extras)
    features = (
        own_features
        | Feature.CELLS * (partition.levels > 0)
        | Feature.LAYERS * (code.standard_layers not in (None, layers))
        | Feature.ACTIVATION * (architecture.activation != code.standard_activation)
        | Feature.SEED * (code.seed != 0)
        | Feature.DENSE * code.dense_projection
        | Feature.MODELS * (models is None)
        | Feature.EXTRAS * (extras != b"")
    )
    cuts = bytes(axis << 6 | position for axis, position in partition.cuts)
    fields = [
        ("magic", MAGIC),
        ("version", bytes([VERSION])),
        ("kind", pack_varint(2 * code.number + (features != 0))),
        ("features", pack_varint(features) if features else b""),
        ("n", pack_varint(len(code.latent.values))),
        ("width", bytes([architecture.width - 1])),
        ("layers", bytes([layers[0] | layers[1] << 4]) if layers != code.standard_layers else b""),
        ("activation", _pack_activation(architecture) if features & Feature.ACTIVATION else b""),
        ("seed", struct.pack("<H", code.seed) if code.seed else b""),
        ("models", _pack_models(code.latent, code.biases) if models is None else models),
        ("own fields", own_fields),
        ("transform", transform),
        ("cells", bytes([partition.levels]) + cuts if partition.levels else b""),
        ("extras", extras),
    ]
    return [(name, packed) for name, packed in fields if packed]


def read_header(
    reader: ByteReader, limits: Limits, kind: type[CodeT]
) -> tuple[type[CodeT], dict[str, Any], list[GroupHeader]]:
    """Read and check all fields from the kind on.

    Returns
    -------
    class
        The kind that was found.
    dict
        Its arguments by name, but for latent and biases.
    list of GroupHeader
        Of latent and biases.
    """
    number = reader.varint("the kind")
    found = find_kind(number >> 1)
    if not issubclass(found, kind):
        raise FormatError(f"holds {found.held}; use {found.decoded_by}")
    features = _features(reader, found) if number & 1 else 0
    n = reader.varint("the latent's length")
    if not 1 <= n <= MAX_LATENTS:
        raise FormatError(f"the latent has {n} numbers; 1 to {MAX_LATENTS} are allowed")
    architecture = _network(reader, features, found)
    (seed,) = reader.unpack("<H") if features & Feature.SEED else (0,)
    read_models = _models if features & Feature.MODELS else _standard_models
    (latent_model, latent_step), (bias_model, bias_step) = read_models(reader)
    fields, box = found.read_fields(reader, features, limits)
    if features & Feature.CELLS:
        architecture = replace(architecture, partition=_partition(reader, box))
    limits.check_header(n, architecture.weight_count)
    dense = bool(features & Feature.DENSE)
    check_dense_size(dense, n, architecture)
    fields |= {"architecture": architecture, "dense_projection": dense, "seed": seed}
    fields["extras"] = read_extras(reader) if features & Feature.EXTRAS else NO_EXTRAS
    return (
        found,
        fields,
        [(n, latent_model, latent_step), (architecture.bias_count, bias_model, bias_step)],
    )


def _features(reader: ByteReader, kind: type[SignalCode]) -> int:
    features = reader.varint("the features")
    if features == 0:
        raise FormatError("the features are 0; where there are none, the kind must be even")
    known = kind.own_features | sum(Feature)
    for bit in range(features.bit_length()):
        if features & ~known & 1 << bit:
            whose = f"of {kind.held}" if bit < OWN_FEATURES else "to this release"
            raise FormatError(f"feature {bit} is unknown {whose}; it must be 0")
    return features


def _pack_activation(architecture: Architecture) -> bytes:
    number = bytes([_ACTIVATIONS.index(architecture.activation)])
    return number + bytes([architecture.omega]) if architecture.activation == "sine" else number


def _network(reader: ByteReader, features: int, kind: type[SignalCode]) -> Architecture:
    width = reader.byte() + 1
    if kind.standard_layers is None and features & Feature.LAYERS:
        raise FormatError(f"feature 7 is unknown of {kind.held}; it must be 0")
    if kind.standard_layers is None or features & Feature.LAYERS:
        layers = reader.byte()
        depth, octaves = layers & 15, layers >> 4
    else:
        depth, octaves = kind.standard_layers
    activation, omega = kind.standard_activation, 0
    if features & Feature.ACTIVATION:
        number = reader.byte()
        if number >= len(_ACTIVATIONS):
            raise FormatError(f"activation {number} is unknown to this release")
        activation = _ACTIVATIONS[number]
        omega = reader.byte() if activation == "sine" else 0
    return Architecture(
        width=width,
        depth=depth,
        octaves=octaves,
        activation=activation,
        omega=omega,
        **kind.network_of_features(features),
    )


def _partition(reader: ByteReader, box: Box) -> Partition:
    levels = reader.byte()
    if not 1 <= levels <= MAX_LEVELS:
        raise FormatError(f"the cells have {levels} levels; 1 to {MAX_LEVELS} are allowed")
    cuts = reader.take(2**levels - 1)
    return Partition(*box, tuple((cut >> 6, cut & 63) for cut in cuts))


def _pack_standard_models(latent: ParameterGroup, biases: ParameterGroup) -> bytes | None:
    """Pack the latent's model and step and the biases' model; None where they are not standard."""
    packed = []
    for group, (first, least) in ((latent, _LATENT_MODELS), (biases, _BIAS_MODELS)):
        family, scale = group.model.family - first, group.model.parameter - least
        if not (0 <= family < _FAMILIES and 0 <= scale < 1 << _SCALE_BITS):
            return None
        packed.append(family << _SCALE_BITS | scale)
    if biases.step_index != STANDARD_BIAS_STEP:
        return None
    return bytes([packed[0], latent.step_index, packed[1]])


def _standard_models(reader: ByteReader) -> list[tuple[SymbolModel, int]]:
    latent, latent_step, biases = reader.take(3)
    models = [
        SymbolModel(
            Family(first + (packed >> _SCALE_BITS)), least + (packed & (1 << _SCALE_BITS) - 1)
        )
        for packed, (first, least) in ((latent, _LATENT_MODELS), (biases, _BIAS_MODELS))
    ]
    return [(models[0], latent_step), (models[1], STANDARD_BIAS_STEP)]


def _pack_models(latent: ParameterGroup, biases: ParameterGroup) -> bytes:
    return bytes(
        [
            latent.model.family | biases.model.family << 4,
            latent.model.parameter,
            latent.step_index,
            biases.model.parameter,
            biases.step_index,
        ]
    )


def _models(reader: ByteReader) -> list[tuple[SymbolModel, int]]:
    families, *numbers = reader.take(5)
    groups = []
    for family, parameter, step in ((families & 15, *numbers[:2]), (families >> 4, *numbers[2:])):
        try:
            known = Family(family)
        except ValueError as error:
            raise FormatError(f"entropy model family {family} is unknown") from error
        if known == Family.RAW_FLOAT32 and step != 0:
            raise FormatError(f"step index {step} beside raw float32 values must be 0")
        groups.append((SymbolModel(known, parameter), step))
    return groups


assert STEP_COUNT == 256, "a step index is one byte"
