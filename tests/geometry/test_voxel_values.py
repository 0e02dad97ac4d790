import numpy as np
import pytest

from doh3d.errors import VolumeError
from doh3d.geometry.voxel_values import labels_of, occupied_of

MASK = np.zeros((3, 4, 5), dtype=np.bool_)
MASK[1, 1:3, 2] = True
MAP = MASK * 3 + np.roll(MASK, 1, axis=2) * 8


@pytest.mark.parametrize("kind", ["bool", "uint8", "int16", "float32", "float64"])
def test_a_mask_is_what_is_not_zero_whatever_its_type(kind):
    found = occupied_of((MASK * 255).astype(kind), None, None, "mask")
    np.testing.assert_array_equal(found.occupied, MASK)
    assert found.label is None


def test_one_of_several_labels_has_to_be_named():
    with pytest.raises(VolumeError, match=r"map\.nii: is a label map.* 3 \(liver\), 8$"):
        occupied_of(MAP, None, None, "map.nii", {3: "liver"})
    np.testing.assert_array_equal(occupied_of(MAP, 3, None, "map").occupied, MASK)
    assert occupied_of(MAP, 3, None, "map").label == 3
    assert occupied_of(MAP, None, None, "map", default_label=8).label == 8
    # A mask has no label to be told from others.
    assert occupied_of(MASK * 1, None, None, "mask", default_label=8).label is None
    assert labels_of(MAP, "map") == [3, 8]


def test_a_threshold_is_exclusive():
    probabilities = MASK * 0.5 + 0.25
    np.testing.assert_array_equal(occupied_of(probabilities, None, 0.25, "p").occupied, MASK)
    with pytest.raises(VolumeError, match=r"p: the grid is empty; some voxel must be above 0\.75"):
        occupied_of(probabilities, None, 0.75, "p")


def test_dimensions_of_one_at_the_end_are_dropped():
    assert occupied_of(MASK[..., None, None], None, None, "mask").occupied.shape == MASK.shape


@pytest.mark.parametrize(
    ("array", "options", "said"),
    [
        (MASK[0], {}, "the grid is 4 x 5; it must have three dimensions"),
        (np.zeros((2, 3, 4, 5)), {}, "the grid is 2 x 3 x 4 x 5; it must have three dimensions"),
        (np.zeros((2, 0, 4)), {}, "has no voxels"),
        (np.zeros((3, 3, 3)), {}, "the grid is empty; some voxel must be other than 0"),
        (np.ones((3, 3, 3)), {}, "the grid is full; every voxel is other than 0"),
        (MASK * 1j, {}, "voxels are complex; they must be bool"),
        (MASK.astype("U1"), {}, "they must be bool, integers or real numbers"),
        (np.where(MASK, np.nan, 0), {}, r"voxel \(1, 1, 2\) is NaN"),
        (MASK * 0.5, {}, "voxels are fractions from 0 to 0.5; a threshold is needed"),
        (MASK * 1, {"label": 5}, "no voxel has label 5; it holds 1"),
        (MASK, {"threshold": np.inf}, "it must be a finite number"),
        (MASK, {"label": 1, "threshold": 2.0}, "label 1 and threshold 2 contradict each other"),
    ],
)
def test_what_does_not_say_what_is_inside_is_refused_in_a_line(array, options, said):
    chosen = {"label": None, "threshold": None} | options
    with pytest.raises(VolumeError, match=said) as raised:
        occupied_of(array, chosen["label"], chosen["threshold"], "grid")
    assert "\n" not in str(raised.value)


def test_many_labels_are_listed_in_part():
    with pytest.raises(VolumeError, match=r" 40 and 59 more$"):
        occupied_of(np.arange(100).reshape(5, 5, 4), None, None, "map")
