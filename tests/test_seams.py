"""The measures of ``scripts/check_seams.py`` on surfaces whose seams are known."""

import math

import numpy as np
import pytest
import torch
import trimesh

import check_seams
from doh3d.codec.entropy import Family, SymbolModel
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import ParameterGroup
from doh3d.field import OccupancyField
from doh3d.geometry.transform import NormalizingTransform
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition
from doh3d.hypernetwork.target import TargetWeights

# The cube, cut in the middle across x; each cell has one neuron, in its linear part.
ARCHITECTURE = Architecture(
    width=1,
    depth=1,
    octaves=0,
    activation="relu",
    partition=Partition((-1.0,) * 3, (1.0,) * 3, ((0, 32),)),
)


def roof(fold, pieces=8):
    """Two square planes that meet along x = 0 at an angle in degrees."""
    x, y = np.meshgrid(np.linspace(-1, 1, 2 * pieces + 1), np.linspace(0, 1, pieces + 1))
    z = np.where(x > 0, np.tan(np.radians(fold)) * x, 0)
    rows, columns = x.shape
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    near, far = corner + 1, corner + columns
    faces = np.concatenate([np.stack([corner, near, far], 1), np.stack([near, far + 1, far], 1)])
    return trimesh.Trimesh(np.stack([x, y, z], -1).reshape(-1, 3), faces, process=False)


def two_planes(height, slope):
    """The field of what is below z = 0 where x < 0, and below z = height + slope x elsewhere."""
    # A cell's own coordinate along x is 2 x + 1 or 2 x - 1.
    planes = torch.tensor([[[0.0, 0.0, -1.0]], [[slope / 2, 0.0, -1.0]]])
    offsets = torch.tensor([[8.0], [8.0 + height + slope / 2]])
    weights = TargetWeights((planes, torch.ones(2, 1, 1)), (offsets, torch.full((2, 1), -8.0)))
    raw = SymbolModel(Family.RAW_FLOAT32, 0)
    code = ShapeCode(
        architecture=ARCHITECTURE,
        dense_projection=False,
        seed=0,
        transform=NormalizingTransform((0.0, 0.0, 0.0), 1.0),
        extents=(31, 31, 31),
        latent=ParameterGroup(np.zeros(4, np.float32), 0, raw),
        biases=ParameterGroup(np.zeros(ARCHITECTURE.bias_count, np.float32), 0, raw),
    )
    return OccupancyField(code, "cpu", weights=weights)


@pytest.mark.parametrize("fold", [0.0, 3.0, 40.0])
def test_the_fold_of_two_planes_is_the_angle_between_them(fold):
    mesh = roof(fold)
    cells = (mesh.vertices[:, 0] > 0).astype(int)
    across, within = check_seams.folds(mesh, cells)
    assert across == pytest.approx(fold, abs=1e-4)
    assert within == pytest.approx(0, abs=1e-4)


def test_a_fold_that_is_no_seam_is_within_a_cell():
    mesh = roof(40.0)
    across, within = check_seams.folds(mesh, np.zeros(len(mesh.vertices), dtype=int))
    assert across == 0
    assert within == pytest.approx(0, abs=1e-4)  # one edge in fifty is at the roof's ridge
    ridge = np.where(np.abs(mesh.vertices[:, 0]) < 0.13, 0, -1)
    assert check_seams.folds(mesh, ridge)[1] == pytest.approx(40, abs=1e-4)


def test_a_percentile_counts_weights():
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 90.0, 9.0])
    assert check_seams.percentile(values, weights) == 2
    assert check_seams.percentile(values, np.array([9.0, 90.0, 1.0])) == 3
    assert check_seams.percentile(values[:0], weights[:0]) == 0


def test_a_step_is_a_gap_and_no_angle(monkeypatch):
    monkeypatch.setattr(check_seams, "RESOLUTION", 32)
    found = check_seams.Surface.of(two_planes(height=0.015, slope=0.0)).measures()
    # A cell of the lattice is a sixteenth, and a little more: the lattice reaches beyond the box.
    assert found["gap"] == pytest.approx(0.015 * 16, rel=0.1)
    assert found["angle_across"] == pytest.approx(0, abs=1e-3)


def test_a_crease_is_an_angle_and_no_gap(monkeypatch):
    monkeypatch.setattr(check_seams, "RESOLUTION", 32)
    surface = check_seams.Surface.of(two_planes(height=0.0, slope=math.tan(math.radians(20))))
    top = np.abs(surface.mesh.vertices).max(axis=1) < 0.9
    edges = surface.mesh.edges_unique
    edges = edges[top[edges].all(axis=1)]
    across = edges[surface.cells[edges[:, 0]] != surface.cells[edges[:, 1]]]
    assert len(across) > 20
    assert surface.gaps(across).max() < 0.05
    assert surface.measures()["angle_across"] == pytest.approx(20, abs=1e-3)
    assert surface.measures()["angle_within"] == pytest.approx(0, abs=1e-3)
