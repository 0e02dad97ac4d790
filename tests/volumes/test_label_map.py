import itertools

import numpy as np
import pytest

import doh3d
from doh3d.errors import ConfigError
from doh3d.geometry.voxels import VoxelLattice
from doh3d.volumes.label_map import label_map, labels_of_fields


class Slab:
    """A field that is inside where x is within bounds, as sure as it is told to be."""

    def __init__(self, low, high, sure):
        self.low, self.high, self.sure = low, high, sure

    def logits(self, points):
        within = (points[:, 0] >= self.low) & (points[:, 0] < self.high)
        return np.where(within, self.sure, -1.0).astype(np.float32)

    def to_grid(self, shape, affine):
        index = np.argwhere(np.ones(shape))
        return (self.logits(VoxelLattice.of(shape, affine).to_world(index)) > 0).reshape(shape)


def test_the_surer_field_has_a_voxel_that_two_claim():
    fields = {3: Slab(0, 5, 1.0), 9: Slab(3, 8, 2.0), 40: Slab(4, 10, 2.0)}
    expected = [3, 3, 3, 9, 9, 9, 9, 9, 40, 40, 0]
    lattice = VoxelLattice.of((11, 2, 1))
    for order in itertools.permutations(fields):
        labels = label_map({number: fields[number] for number in order}, lattice)
        np.testing.assert_array_equal(labels[:, 0, 0], expected)
        np.testing.assert_array_equal(labels[:, 1, 0], expected)
    assert labels.dtype == np.uint16


@pytest.mark.parametrize("number", [0, -3, 65536])
def test_labels_that_no_map_holds_are_refused(number):
    with pytest.raises(ConfigError, match=f"label is {number}; in a label map it must be 1 to"):
        label_map({number: Slab(0, 1, 1)}, VoxelLattice.of((2, 2, 2)))


def test_fields_have_the_labels_that_their_files_say(ball_file):
    field = doh3d.load(ball_file[1])
    assert labels_of_fields([field]) == [2]
    with pytest.raises(ConfigError, match="two files are label 2"):
        labels_of_fields([field, field])
