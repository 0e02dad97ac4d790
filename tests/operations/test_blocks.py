import numpy as np
import pytest
import torch

from doh3d.field_lattice import OccupancyLattice
from doh3d.geometry.search import LEAF_BLOCK
from doh3d.operations import blocks as module
from doh3d.operations.blocks import FINEST, BlockSigns, SignedBlocks, blocks_lattice

HALF = np.array([0.9, 0.7, 0.5])


@pytest.mark.parametrize("levels", [0, 2])
def test_blocks_have_the_signs_of_the_logits(bunnylike, levels):
    field = bunnylike(levels)
    network = field.network
    blocks = SignedBlocks(network)
    half = field.code.half_extents
    points = np.random.default_rng(0).uniform(-half, half, (50_000, 3)).astype(np.float32)
    points = torch.from_numpy(points)
    logits = network.logits(points)
    leaves = blocks.leaves_at(points.T)
    at = (leaves * blocks.strides).sum(dim=0)
    codes = blocks.codes[at]
    assert ((logits > 0)[codes > 0]).all()
    assert ((logits <= 0)[codes < 0]).all()
    open_ = codes == 0
    assert 0 < open_.float().mean() < 0.5
    planes = blocks.planes[blocks.rows[at[open_]].long()]
    centres = blocks.low + (leaves[:, open_] + 0.5) * blocks.side
    local = ((points[open_].T - centres) / (blocks.side / 2)).T
    lowest = planes[:, :, 0] + (planes[:, :, 1:] * local[:, None]).sum(dim=2)
    slack = 1e-4
    assert (lowest[:, 0] <= logits[open_] + slack).all()
    assert (lowest[:, 1] <= -logits[open_] + slack).all()
    assert blocks.finest == pytest.approx(2 * half.max() / 128 / 2**FINEST)


@pytest.mark.parametrize(("levels", "least"), [(0, 0.7), (2, 0.3)])
def test_blocks_of_a_lattice_have_the_signs_of_the_logits(bunnylike, levels, least):
    field = bunnylike(levels)
    half = field.code.half_extents
    lattice = blocks_lattice(half, 0.02, 256)
    signs = BlockSigns.of(OccupancyLattice(field, lattice), lattice)
    points = np.random.default_rng(1).uniform(-half, half, (50_000, 3))
    logits = field.network.logits(torch.from_numpy(points.astype(np.float32))).numpy()
    found = signs.at(points)
    assert (logits[found > 0] > 0).all()
    assert (logits[found < 0] <= 0).all()
    assert least < (found != 0).mean() < 1


@pytest.mark.slow
def test_blocks_bounded_a_few_at_a_time_are_the_same(bunnylike, monkeypatch):
    network = bunnylike(2).network
    whole = SignedBlocks(network)
    monkeypatch.setattr(module, "_BLOCKS", 999)
    parts = SignedBlocks(network)
    # Products of other sizes round otherwise: a sign that is barely proved may not be.
    same = parts.codes == whole.codes
    assert same.float().mean() > 0.9999
    open_ = same & (whole.codes == 0)
    parts_planes = parts.planes[parts.rows[open_].long()]
    whole_planes = whole.planes[whole.rows[open_].long()]
    assert torch.isclose(parts_planes, whole_planes, atol=1e-3).float().mean() > 0.999


class Full:
    """A field that is proved to be inside everywhere."""

    def planes(self, corners, size):
        planes = np.zeros((2, len(corners), 4), dtype=np.float32)
        planes[:, :, 0] = [[1], [-1]]
        return planes


def test_places_on_the_faces_of_blocks_are_not_taken_for_proved():
    lattice = blocks_lattice(HALF, 0.02, 1024)
    signs = BlockSigns.of(Full(), lattice)
    assert (signs.signs == 1).all()
    assert signs.side == LEAF_BLOCK * lattice.spacing
    middle = np.floor((np.zeros(3) - signs.origin) / signs.side)
    on_face = signs.origin + signs.side * (middle + [0, 0.5, 0.5])
    assert signs.at(on_face[None] + [[signs.side / 2, 0, 0]])[0] == 1
    assert signs.at(on_face[None])[0] == 0


def test_planes_that_overflowed_prove_nothing():
    class Overflowed:
        def planes(self, corners, size):
            return np.full((2, len(corners), 4), np.nan, dtype=np.float32)

    signs = BlockSigns.of(Overflowed(), blocks_lattice(HALF, 0.02, 64))
    points = np.random.default_rng(2).uniform(-HALF, HALF, (1000, 3))
    assert (signs.at(points) == 0).all()
