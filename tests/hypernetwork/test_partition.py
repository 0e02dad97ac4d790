import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from doh3d.errors import ConfigError
from doh3d.hypernetwork import cells as torch_cells
from doh3d.hypernetwork.architecture import Architecture
from doh3d.hypernetwork.partition import Partition, balanced_partition

UNIT = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


@st.composite
def boxes(draw, dims=None):
    dims = dims or draw(st.integers(1, 3))
    sides = st.floats(1 / 32, 1)
    high = draw(st.tuples(*[sides] * dims))
    mirrored = draw(st.tuples(*[st.booleans()] * dims))
    return tuple(0.0 if m else -h for m, h in zip(mirrored, high, strict=True)), high


@st.composite
def partitions(draw, max_levels=6):
    low, high = draw(boxes())
    count = 2 ** draw(st.integers(1, max_levels)) - 1
    cut = st.tuples(st.integers(0, len(low) - 1), st.integers(1, 63))
    cuts = tuple(draw(st.lists(cut, min_size=count, max_size=count)))
    try:
        return Partition(low, high, cuts)
    except ConfigError as error:
        assume("too thin" not in str(error))
        raise


def cells_of(partition, points):
    return torch_cells.cells_of(partition, torch.from_numpy(points)).numpy()


def points_in(partition, seed, count=200):
    """Points all over the box, on cuts, and beside them by one unit in the last place."""
    rng = np.random.default_rng(seed)
    low, high = (np.array(corner, np.float32) for corner in (partition.low, partition.high))
    points = rng.uniform(low, high, (count, len(low))).astype(np.float32)
    for (axis, _), at in zip(partition.cuts, partition.thresholds, strict=True):
        rows = rng.integers(0, count, 3)
        points[rows, axis] = np.nextafter(at, np.float32(-9)), at, np.nextafter(at, np.float32(9))
    return np.clip(points, low, high)


@given(partition=partitions(), seed=st.integers(0, 2**32 - 1))
def test_every_point_is_in_one_cell_whose_corners_hold_it(partition, seed):
    points = points_in(partition, seed)
    cells = cells_of(partition, points)
    low, high = partition.corners
    # The box's own upper faces belong to the cells that they bound.
    closed = high == np.array(partition.high, np.float32)
    place = points[:, None]
    within = ((low <= place) & ((place < high) | (closed & (place == high)))).all(axis=2)
    assert (within.sum(axis=1) == 1).all()
    assert np.array_equal(within.argmax(axis=1), cells)


@given(partition=partitions())
def test_cells_fill_the_box(partition):
    low, high = partition.corners
    assert len(low) == partition.cells == 2**partition.levels == len(partition.cuts) + 1
    assert np.array_equal(low.min(axis=0), np.array(partition.low, np.float32))
    assert np.array_equal(high.max(axis=0), np.array(partition.high, np.float32))
    volume = (high.astype(float) - low).prod(axis=1)
    assert (volume > 0).all()
    whole = (np.array(partition.high) - partition.low).prod()
    assert volume.sum() == pytest.approx(whole, rel=1e-5)
    assert (partition.half_sides > 0).all()
    np.testing.assert_allclose(partition.centres - partition.half_sides, low, atol=1e-7)
    np.testing.assert_allclose(partition.centres + partition.half_sides, high, atol=1e-7)


@given(partition=partitions(), seed=st.integers(0, 2**32 - 1))
def test_points_beyond_the_box_are_in_the_cell_of_the_nearest_point_in_it(partition, seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-3, 3, (100, len(partition.low))).astype(np.float32)
    low, high = (np.array(corner, np.float32) for corner in (partition.low, partition.high))
    nearest = np.clip(points, low, high)
    assert np.array_equal(cells_of(partition, points), cells_of(partition, nearest))


def test_a_known_tree():
    # Along x at a quarter; the lower part along y in the middle, the upper along z at 1/64.
    partition = Partition(*UNIT, ((0, 16), (1, 32), (2, 1)))
    assert partition.thresholds.tolist() == [-0.5, 0.0, -1 + 2 / 64]
    low, high = partition.corners
    assert low.tolist() == [[-1, -1, -1], [-1, 0, -1], [-0.5, -1, -1], [-0.5, -1, -1 + 2 / 64]]
    assert high.tolist() == [[-0.5, 0, 1], [-0.5, 1, 1], [1, 1, -1 + 2 / 64], [1, 1, 1]]
    points = np.array(
        [[-0.6, -0.1, 0], [-0.6, 0, 0], [-0.5, 0, -1], [-0.5, 0, 0], [2, 2, -2], [-2, -2, 2]],
        np.float32,
    )
    assert cells_of(partition, points).tolist() == [0, 1, 2, 3, 2, 0]
    assert partition.centres[2].tolist() == [0.25, 0, -1 + 1 / 64]
    assert partition.half_sides[2].tolist() == [0.75, 1, 1 / 64]


def test_a_point_on_a_cut_is_on_the_upper_side_as_float32_has_it():
    partition = Partition((0.0,), (1 / 3,), ((0, 5),))
    cut = np.float32(1 / 3 * (5 / 64))
    # In double precision the point would be below it.
    assert float(cut) < 1 / 3 * (5 / 64)
    points = np.array([[np.nextafter(cut, np.float32(0))], [cut]])
    assert cells_of(partition, points).tolist() == [0, 1]


@given(
    box=boxes(),
    levels=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_cells_are_balanced(box, levels, seed):
    rng = np.random.default_rng(seed)
    low, high = (np.array(corner) for corner in box)
    # Denser near one corner.
    points = low + (high - low) * rng.random((4096, len(low))) ** 1.5
    partition = balanced_partition(*box, points, levels)
    assert (partition.low, partition.high, partition.levels) == (*box, levels)
    counts = np.bincount(cells_of(partition, points.astype(np.float32)), minlength=2**levels)
    mean = 4096 / 2**levels
    # A cut misses the median by up to half a step of 64, which of the densest part is a few percent
    # of the points, level after level.
    assert counts.min() > mean / 2.5
    assert counts.max() < 2.5 * mean


@given(box=boxes(), levels=st.integers(1, 6))
def test_without_points_cuts_are_in_the_middle_of_the_longest_side(box, levels):
    partition = balanced_partition(*box, None, levels)
    assert {position for _, position in partition.cuts} == {32}
    sides = 2 * partition.half_sides.astype(float)
    whole = np.array(box[1]) - box[0]
    np.testing.assert_allclose(sides.prod(axis=1), whole.prod() / 2**levels, rtol=1e-4)
    # No side that was cut is less than half as long as another one.
    was_cut = sides < 0.9 * whole
    assert (np.where(was_cut, sides, np.inf).min(axis=1) > 0.49 * sides.max(axis=1)).all()


def test_cells_at_a_crowd_keep_an_eighth_of_what_is_cut():
    points = np.full((100, 1), 0.99)
    partition = balanced_partition((-1.0,), (1.0,), points, 6)
    assert partition.cuts[0] == partition.cuts[2] == (0, 56)
    assert all(8 <= position <= 56 for _, position in partition.cuts)


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        (((0, 32),) * 2, r"has 2 cuts; it must have 2\^levels - 1, of 0 to 6 levels"),
        (((0, 32),) * 127, "has 127 cuts"),
        (((3, 32),), "a cut's axis is 3; it must be 0 to 2"),
        (((-1, 32),), "a cut's axis is -1"),
        (((0, 0),), "a cut's position is 0; it must be 1 to 63"),
        (((0, 64),), "a cut's position is 64"),
        (((0, 63),) * 31, "cell 31 is too thin: its corners meet in float32"),
    ],
)
def test_other_trees_are_refused(cuts, message):
    with pytest.raises(ConfigError, match=message):
        Partition(*UNIT, cuts)


def test_space_without_cuts_is_one_cell_and_places_in_it_are_points():
    for dims in (2, 3):
        whole = Partition.whole(dims)
        assert (whole.levels, whole.cells, whole.dims) == (0, 1, dims)
        points = np.random.default_rng(0).uniform(-3, 3, (100, dims)).astype(np.float32)
        points[:3] = [[-0.0], [1e-45], [-1e30]]
        places = torch_cells.to_cell_coordinates(whole, torch.from_numpy(points), 0).numpy()
        assert np.array_equal(places.view(np.uint32), points.view(np.uint32))
        assert not cells_of(whole, points).any()


@pytest.mark.parametrize("box", [((-1.0, -0.5), (1.0, 0.5)), ((0.0, -1.0), (1.0, 1.0))])
def test_cells_without_cuts_are_of_no_other_box(box):
    with pytest.raises(ConfigError, match=r"no cuts, and its box is .*; it must be -1 to 1"):
        Partition(*box, ())


def test_thin_cells_at_the_origin_are_told_apart():
    # There float32 is fine enough for 2^-36.
    cuts = [(0, 32)] * 63
    for level in range(6):
        cuts[2**level - 1] = (0, 1)
    partition = Partition((0.0,), (1.0,), tuple(cuts))
    assert partition.half_sides.min() == 0.5 * 2.0**-36


def test_an_architecture_with_cells():
    partition = balanced_partition(*UNIT, None, 3)
    one = Architecture(width=10, depth=2, octaves=1, mirrored=(1,))
    architecture = Architecture(width=10, depth=2, octaves=1, mirrored=(1,), partition=partition)
    assert architecture.cells == 8
    assert architecture.weight_count == 8 * one.weight_count
    assert architecture.bias_count == 8 * one.bias_count
    assert architecture.layer_shapes == one.layer_shapes
    assert architecture.layer_gains == one.layer_gains
    assert architecture.evaluation_cost == one.weight_count
    assert architecture.of_a_cell == Architecture(width=10, depth=2, octaves=1)
    with pytest.raises(ConfigError, match="have 3678208 weights; at most 941568 are allowed"):
        Architecture(width=256, depth=8, octaves=0, partition=partition)
