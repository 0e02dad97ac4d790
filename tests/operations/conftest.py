"""Fields whose surface is known: octahedra and plates, made of networks with given weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from doh3d.codec.entropy import choose_model
from doh3d.codec.quantization import nearest_step_index
from doh3d.codec.shape_code import ShapeCode, shape_box
from doh3d.codec.signal_code import ParameterGroup
from doh3d.field import OccupancyField
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.hypernetwork.target import TargetWeights

CENTRE, SCALE = np.array([10.0, -4.0, 0.5]), 2.5
FRAME = (-8209, 6256, -8606)
# Of the octahedron, in normalised units: its corners are this far from its middle.
RADIUS = 0.7
EXTENTS = (31, 27, 24)


def make_field(first, last, offset, *, shift=0.0, frame=(0, 0, 0), mirrored=(), levels=0):
    """The field offset + last . relu(first x + shift), the same in every cell."""
    architecture = Architecture(width=len(first), depth=1, octaves=0, mirrored=mirrored)
    if levels:
        cuts = tuple((node % 3, 20 + 3 * node) for node in range(2**levels - 1))
        partition = Partition(*shape_box(EXTENTS, mirrored), cuts)
        architecture = replace(architecture, partition=partition)
    partition = architecture.partition
    matrices = [first * half_sides for half_sides in partition.half_sides]
    biases = [first @ centre + shift for centre in partition.centres]
    cells = partition.cells
    weights = TargetWeights(
        (
            torch.tensor(np.array(matrices), dtype=torch.float32),
            torch.tensor(np.tile(last, (cells, 1, 1)), dtype=torch.float32),
        ),
        (
            torch.tensor(np.array(biases), dtype=torch.float32),
            torch.full((cells, 1), offset, dtype=torch.float32),
        ),
    )
    levels_of_latent = np.zeros(8, dtype=np.int64)
    bias_levels = np.zeros(architecture.bias_count, dtype=np.int64)
    step = nearest_step_index(0.01)
    code = ShapeCode(
        architecture=architecture,
        dense_projection=False,
        seed=0,
        transform=NormalizingTransform(tuple(CENTRE), SCALE, frame=frame),
        extents=EXTENTS,
        latent=ParameterGroup(levels_of_latent, step, choose_model(levels_of_latent)),
        biases=ParameterGroup(bias_levels, step, choose_model(bias_levels)),
    )
    return OccupancyField(code, "cpu", weights=weights)


def octahedron_field(radius=RADIUS, **options):
    both = np.concatenate([np.eye(3), -np.eye(3)])
    return make_field(both, -np.ones(6), radius, **options)


KINDS = {
    "one network": {},
    "frame": {"frame": FRAME},
    "mirror planes": {"mirrored": (0, 2)},
    "cells": {"levels": 3},
    "cells, mirror plane, frame": {"levels": 2, "mirrored": (1,), "frame": FRAME},
}


@pytest.fixture(params=KINDS)
def octahedron(request):
    """One octahedron by every kind of network, in its own units."""
    return octahedron_field(**KINDS[request.param])


@pytest.fixture
def single():
    return octahedron_field()


@pytest.fixture
def beyond():
    """An octahedron that its domain cuts off."""
    return octahedron_field(1.2)


@pytest.fixture
def exact():
    """The exact mesh of an octahedron's field, in its own units."""

    def of_field(field):
        corners = RADIUS * np.concatenate([np.eye(3), -np.eye(3)])
        mesh = trimesh.convex.convex_hull(corners)
        return trimesh.Trimesh(field.code.transform.to_world(mesh.vertices), mesh.faces)

    return of_field


@pytest.fixture
def plate():
    """Make the field of a plate across x, of a thickness and at a place in normalised units."""

    def of_thickness(thickness, place=0.0, **options):
        first = np.array([[1.0, 0, 0], [-1.0, 0, 0]])
        shift = np.array([-place, place])
        return make_field(first, -np.ones(2), thickness / 2, shift=shift, **options)

    return of_thickness


@pytest.fixture
def full():
    """The field that has all of its domain inside."""
    return make_field(np.zeros((2, 3)), np.zeros(2), 1.0)


@pytest.fixture
def empty():
    return make_field(np.zeros((2, 3)), np.zeros(2), -1.0)


@pytest.fixture
def around():
    """Points in and around the domain of a field."""

    def of_field(field, count=400, seed=0):
        low, high = field.bounds
        return np.random.default_rng(seed).uniform(low - 1, high + 1, (count, 3))

    return of_field


@pytest.fixture
def bunnylike():
    """Make a field with a smooth network and random latents, that nobody fitted, of cells."""

    def of_levels(levels):
        architecture = Architecture(width=16, depth=2, octaves=2, activation="smooth")
        if levels:
            cuts = tuple((node % 3, 26 + 4 * node) for node in range(2**levels - 1))
            partition = Partition(*shape_box(EXTENTS, ()), cuts)
            architecture = replace(architecture, partition=partition)
        rng = np.random.default_rng(levels)
        latent = np.rint(rng.normal(0, 8, 300)).astype(np.int64)
        biases = np.rint(rng.normal(0, 10, architecture.bias_count)).astype(np.int64)
        code = ShapeCode(
            architecture=architecture,
            dense_projection=False,
            seed=levels,
            transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
            extents=EXTENTS,
            latent=ParameterGroup(latent, nearest_step_index(0.01), choose_model(latent)),
            biases=ParameterGroup(biases, nearest_step_index(2**-6), choose_model(biases)),
        )
        return OccupancyField(code, "cpu")

    return of_levels
