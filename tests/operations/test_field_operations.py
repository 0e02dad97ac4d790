"""Operations on fields whose answers are known, by numpy and torch, and what they refuse."""

import doctest

import numpy as np
import pytest
import torch

import doh3d
from doh3d.errors import ConfigError
from doh3d.field import OccupancyField
from doh3d.geometry.distance import SurfaceTree
from doh3d.operations import field_operations, slices


def test_gradients_and_normals_point_as_the_surface_does(octahedron, around):
    points = around(octahedron)
    transform = octahedron.code.transform
    local = transform.to_normalized(points)
    beyond = (np.abs(local) > octahedron.code.half_extents).any(axis=1)
    expected = -np.sign(local) @ transform.rotation.T / transform.scale
    expected[beyond] = 0
    assert 0.2 < beyond.mean() < 0.9
    np.testing.assert_allclose(octahedron.gradient(points), expected, atol=1e-5)
    normals = octahedron.normals(points)
    np.testing.assert_allclose(normals, -expected * transform.scale / np.sqrt(3), atol=1e-5)


@pytest.mark.parametrize("levels", [0, 2])
def test_logits_are_differentiable_as_finite_differences_say(bunnylike, levels):
    field = bunnylike(levels)
    points = np.random.default_rng(1).uniform(*field.bounds, (300, 3)) * 0.9
    at = torch.from_numpy(points).requires_grad_()
    logits = field.logits(at)
    (slopes,) = torch.autograd.grad(logits.sum(), at)
    np.testing.assert_array_equal(slopes.numpy(), field.gradient(points))
    step = 1e-3
    ends = [[field.logits(points + side * step * axis) for side in (1, -1)] for axis in np.eye(3)]
    differences = np.stack([(up - down) / (2 * step) for up, down in ends], axis=1)
    wrong = np.abs(differences - slopes.numpy()).max(axis=1) / np.abs(differences).max()
    # A cell's band begins with a kink, which differences across it do not see.
    assert np.quantile(wrong, 0.95) < 0.01


def test_gradients_flow_through_a_function_of_logits(single):
    middle = single.code.transform.centre
    points = torch.tensor([[0.1, 0.2, 0.3]]).add(torch.tensor(middle)).float().requires_grad_()
    loss = torch.sigmoid(single.logits(points)).sum()
    loss.backward()
    share = torch.sigmoid(single.logits(points)).item()
    expected = share * (1 - share) * single.gradient(points.detach().numpy())
    np.testing.assert_allclose(points.grad.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_need_no_mode_of_torch(single, around, mode):
    points = around(single)
    with mode():
        found = single.gradient(points)
    assert np.array_equal(found, single.gradient(points))


def test_distances_are_those_to_the_exact_surface(octahedron, exact, around):
    mesh, points = exact(octahedron), around(octahedron)
    squared, _ = SurfaceTree(mesh.vertices, mesh.faces).nearest(points)
    expected = np.where(octahedron.occupancy(points), -1, 1) * np.sqrt(squared)
    found = octahedron.signed_distance(points, resolution=64)
    assert (expected < 0).any()
    # A sharp edge is a cell away at most.
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert np.median(np.abs(found - expected)) < 1e-5
    closest = octahedron.closest_points(points, resolution=64)
    np.testing.assert_allclose(np.linalg.norm(closest - points, axis=1), np.abs(found), atol=1e-9)
    assert np.quantile(np.abs(octahedron.logits(closest)), 0.9) < 1e-5


def test_the_domains_end_closes_what_is_inside(full):
    low, high = full.bounds
    middle = (low + high) / 2
    outside = np.array([[high[0] + 1.5, middle[1], middle[2]]])
    assert full.signed_distance(outside, resolution=16) == pytest.approx(1.5, abs=1e-5)
    within = np.array([[low[0] + 0.25, middle[1], middle[2]]])
    assert full.signed_distance(within, resolution=16) == pytest.approx(-0.25, abs=1e-5)


def test_samples_are_on_the_surface_and_uniform(octahedron):
    points, normals = octahedron.sample_surface(4000, seed=3, resolution=64)
    again, _ = octahedron.sample_surface(4000, seed=3, resolution=64)
    assert np.array_equal(points, again)
    assert not np.array_equal(points, octahedron.sample_surface(4000, 4, resolution=64)[0])
    assert np.abs(octahedron.logits(points)).max() < 1e-2
    local = octahedron.code.transform.to_normalized(points)
    counts = np.bincount((local > 0) @ [1, 2, 4], minlength=8)
    assert counts.min() > 420
    assert counts.max() < 580
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert ((local * (normals @ octahedron.code.transform.rotation)).sum(axis=1) > 0).all()
    assert octahedron.sample_surface(0, resolution=64)[0].shape == (0, 3)


@pytest.mark.parametrize("levels", [0, 2])
def test_samples_of_a_curved_surface_are_on_it(bunnylike, levels):
    field = bunnylike(levels)
    points, _ = field.sample_surface(500, resolution=24)
    left = np.abs(field.logits(points)) / np.linalg.norm(field.gradient(points), axis=1)
    inner = (np.abs(points) < field.code.half_extents - 0.1).all(axis=1)
    assert inner.sum() > 50
    # In units of which a cell is 0.08.
    assert np.quantile(left[inner], 0.9) < 1e-4


def test_the_volume_is_known(octahedron, exact, empty):
    assert octahedron.volume(resolution=64) == pytest.approx(exact(octahedron).volume, rel=2e-3)
    assert empty.volume(resolution=16) == 0


@pytest.mark.parametrize("name", ["gradient", "normals", "closest_points", "signed_distance"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_are_of_the_kind_that_was_given(single, around, name, dtype):
    points = around(single, 20)
    options = {} if name in ("gradient", "normals") else {"resolution": 16}
    operation = getattr(single, name)
    from_torch = operation(torch.tensor(points, dtype=dtype), **options)
    from_numpy = operation(points.astype(str(dtype).removeprefix("torch.")), **options)
    assert from_torch.dtype == dtype
    assert isinstance(from_numpy, np.ndarray)
    assert np.array_equal(from_torch.numpy(), from_numpy)
    np.testing.assert_allclose(operation(points.tolist(), **options), from_numpy, atol=1e-4)
    assert len(operation(np.zeros((0, 3)), **options)) == 0


def test_what_is_wrong_with_points_is_said(single):
    operations = [
        single.gradient,
        single.normals,
        single.closest_points,
        single.signed_distance,
        lambda points: single.ray_cast(points, [[1, 0, 0]]),
        lambda points: single.ray_cast([[1, 0, 0]], points),
    ]
    for operation in operations:
        for points, kind, message in (
            ([1.0, 2, 3], ValueError, r"have shape \(3,\); it must be \(N, 3\)$"),
            (torch.zeros(2, 2), ConfigError, r"have shape \(2, 2\); it must be \(N, 3\)$"),
            ([[0, np.nan, 1]], ValueError, r"row 0 is \[0\.0, nan, 1\.0\]; .* finite$"),
            ([["a", "b", "c"]], TypeError, "they must be numbers"),
            (torch.zeros(1, 3, dtype=torch.complex64), TypeError, "complex64"),
            ([[1, 2, 3], [1]], ValueError, "rows of different lengths"),
        ):
            with pytest.raises(kind, match=message) as caught:
                operation(points)
            assert "\n" not in str(caught.value)


def test_what_is_wrong_with_rays_is_said(single):
    with pytest.raises(ConfigError, match=r"directions: row 1 is 0, 0, 0"):
        single.ray_cast(np.zeros((2, 3)), [[1, 0, 0], [0, 0, 0]])
    with pytest.raises(ConfigError, match="there are 2 origins and 1 directions"):
        single.ray_cast(np.zeros((2, 3)), [[1, 0, 0]])


def test_what_has_no_surface_says_so(empty):
    for operation in (
        lambda: empty.signed_distance([[0, 0, 0]], resolution=16),
        lambda: empty.sample_surface(3, resolution=16),
    ):
        with pytest.raises(ConfigError, match=r"^the field has no surface at resolution 16$"):
            operation()
    assert not empty.ray_cast([[0, 0, 0]], [[1, 0, 0]]).hit.any()
    assert empty.slice((0, 0, 1), resolution=16).polygons == []


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((-1,), ConfigError, "n is -1; it must be 0"),
        ((1.5,), TypeError, "n is 1.5; it must be a whole number"),
        ((1, -1), ConfigError, "seed is -1"),
    ],
)
def test_what_is_wrong_with_counts_is_said(single, arguments, kind, message):
    with pytest.raises(kind, match=message):
        single.sample_surface(*arguments)


@pytest.mark.parametrize("module", [field_operations, slices])
def test_examples_run(single, module):
    finder = doctest.DocTestFinder(exclude_empty=True)
    globs = {"field": single, "np": np, "doh3d": doh3d}
    tests = [test for test in finder.find(module, globs=globs) if test.examples]
    assert tests
    for test in tests:
        said = []
        doctest.DocTestRunner().run(test, out=said.append)
        assert not said, "".join(said)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_does(single, around):
    on_cuda = OccupancyField(
        single.code,
        "cuda",
        weights=type(single.weights)(
            tuple(m.cuda() for m in single.weights.matrices),
            tuple(b.cuda() for b in single.weights.biases),
        ),
    )
    points = around(single)
    np.testing.assert_allclose(on_cuda.gradient(points), single.gradient(points), atol=1e-4)
    found = on_cuda.signed_distance(torch.from_numpy(points).cuda(), resolution=32)
    assert found.device.type == "cuda"
    np.testing.assert_allclose(
        found.cpu(), single.signed_distance(points, resolution=32), atol=1e-4
    )
    directions = np.roll(points, 1, axis=0) - points
    hits, expected = (f.ray_cast(points, directions) for f in (on_cuda, single))
    assert np.array_equal(hits.hit, expected.hit)
    np.testing.assert_allclose(hits.distance, expected.distance, atol=1e-4)
