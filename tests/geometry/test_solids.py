import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.geometry.solids import difference


def box(low, high):
    mesh = trimesh.creation.box(bounds=[low, high])
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def volume(solid):
    return trimesh.Trimesh(*solid, process=False).volume


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.1, 0.9), min_size=6, max_size=6, unique=True), st.booleans(), st.booleans()
)
def test_a_box_out_of_a_box_leaves_the_rest_whichever_way_they_wind(numbers, first, second):
    low, high = np.sort(np.reshape(numbers, (2, 3)), axis=0)
    whole, hole = box([0, 0, 0], [1, 1, 1]), box(low, high)
    turned = [(v, f[:, ::-1] if t else f) for (v, f), t in ((whole, first), (hole, second))]
    rest = difference(turned[:1], turned[1:])
    assert volume(rest) == pytest.approx(1 - np.prod(high - low), abs=1e-9)


def test_solids_that_overlap_count_once():
    solids = [box([0, 0, 0], [2, 2, 2]), box([1, 0, 0], [3, 2, 2])]
    holes = [box([-1, -1, 1], [4, 4, 3]), box([-1, -1, 1.5], [4, 4, 4])]
    assert volume(difference(solids, holes)) == pytest.approx(6 * 2 - 6)


def test_coordinates_keep_the_digits_of_float64():
    # A 32-bit float has steps of 1/16 there.
    far = 1e6
    rest = difference(
        [box([far] * 3, [far + 2] * 3)], [box([far - 1, far - 1, far + 1.001], [far + 3] * 3)]
    )
    assert rest[0][:, 2].max() == pytest.approx(far + 1.001, abs=1e-8)


def test_corners_that_are_not_shared_are_joined():
    vertices, faces = box([0, 0, 0], [2, 2, 2])
    loose = vertices[faces.ravel()], np.arange(faces.size).reshape(-1, 3)
    assert volume(difference([loose], [box([-1, -1, 1], [3, 3, 3])])) == pytest.approx(4)


def test_open_surfaces_are_refused():
    vertices, faces = box([0, 0, 0], [2, 2, 2])
    with pytest.raises(ValueError, match="not a closed surface; subtract it in the slicer"):
        difference([(vertices, faces[1:])], [box([-1, -1, 1], [3, 3, 3])])
