import numpy as np
import pytest

from doh3d.geometry.strays import FarCells

HALF = np.array([0.95, 0.95, 0.6])
WHOLE = np.stack([-HALF, HALF])[None]
RADIUS = 0.5
generator = np.random.default_rng(0)
DIRECTIONS = generator.normal(size=(20_000, 3))
SURFACE = RADIUS * DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def ball(points, centre=(0, 0, 0), radius=RADIUS):
    """A field that is positive in a ball, as steep as fitted ones are."""
    return 100 * (radius - np.linalg.norm(points - np.array(centre), axis=1)).astype(np.float32)


@pytest.fixture(scope="module")
def far():
    return FarCells(SURFACE, HALF, lambda points: ball(points) > 0)


def test_a_field_that_follows_the_surface_has_no_strays(far):
    def larger(points):
        return ball(points, radius=RADIUS + 0.03)

    for thorough in (False, True):
        assert len(far.strays(ball, WHOLE, thorough=thorough)[0]) == 0
        # Nearer than a cell nothing has strayed.
        points, _ = far.strays(larger, WHOLE, thorough=thorough)
        assert len(points) == 0


@pytest.mark.parametrize("centre", [(0.8, 0.8, 0.5), (-0.9, 0.1, -0.1), (0.45, -0.45, 0.2)])
def test_a_speck_is_found_and_should_be_outside(far, centre):
    points, are_inside = far.strays(lambda p: np.maximum(ball(p), ball(p, centre, 0.03)), WHOLE)
    assert len(points) > 8
    assert np.linalg.norm(points - centre, axis=1).max() < 0.03
    assert not are_inside.any()


def test_a_void_is_found_and_should_be_inside(far):
    centre = (0.1, -0.2, 0.1)
    points, are_inside = far.strays(lambda p: np.minimum(ball(p), -ball(p, centre, 0.03)), WHOLE)
    assert len(points) > 8
    assert np.linalg.norm(points - centre, axis=1).max() < 0.03
    assert are_inside.all()


def test_a_thorough_search_finds_what_is_smaller(far):
    # Around the middle of an octant of the third cut, which the points of the second do not reach.
    cell = 2 * HALF.max() / 48
    centre = (np.array([15, -17, 7]) + 0.5 + 1 / 4 + 1 / 8 + 1 / 16) * cell

    def logits(points):
        return np.maximum(ball(points), ball(points, centre, 0.003))

    assert len(far.strays(logits, WHOLE)[0]) == 0
    points, _ = far.strays(logits, WHOLE, thorough=True)
    assert len(points) > 0
    assert np.linalg.norm(points - centre, axis=1).max() < 0.003


def test_what_is_no_number_is_outside(far):
    points, are_inside = far.strays(lambda p: np.full(len(p), np.nan, dtype=np.float32), WHOLE)
    assert are_inside.all()
    assert np.linalg.norm(points, axis=1).max() < RADIUS


def test_a_blob_that_a_face_cuts_off_is_found(far):
    # A flake a tenth of a millimetre thick, if the shape is a metre long, below a face at 0.73.
    boxes = np.stack([WHOLE[0], WHOLE[0]])
    boxes[0, 1, 0] = boxes[1, 0, 0] = 0.73

    def logits(points):
        flake = (np.abs(points[:, 1:] - [-0.6, 0.3]) < 0.02).all(axis=1)
        flake &= (points[:, 0] < 0.73) & (points[:, 0] > 0.7299)
        return np.where(flake, np.float32(1), ball(points))

    for thorough in (False, True):
        assert len(far.strays(logits, WHOLE, thorough=thorough)[0]) == 0
        assert len(far.strays(logits, boxes, thorough=thorough)[0]) > 0


def test_only_a_quick_search_tells_of_what_is_next_to_the_surface(far):
    def bumpy(points):
        return np.maximum(ball(points), ball(points, (0.4, 0, 0), 0.17))

    assert len(far.strays(bumpy, WHOLE)[0]) > 0
    assert len(far.strays(bumpy, WHOLE, thorough=True)[0]) == 0
