"""Rays against surfaces that are known, thin ones too, and against an extracted mesh."""

import numpy as np
import pytest
import torch

from doh3d.operations import rays as ray_module


def convex_hits(corners_mesh, origins, directions):
    """Distances at which rays enter a convex mesh, or leave it from inside, by its planes."""
    normals = corners_mesh.face_normals
    offsets = (normals * corners_mesh.triangles[:, 0]).sum(axis=1)
    height = origins @ normals.T - offsets
    slope = directions @ normals.T
    with np.errstate(divide="ignore", invalid="ignore"):
        at = -height / slope
    enter = np.where(slope < 0, at, np.where((slope == 0) & (height > 0), np.inf, -np.inf))
    leave = np.where(slope > 0, at, np.where((slope == 0) & (height > 0), -np.inf, np.inf))
    enter, leave = enter.max(axis=1), leave.min(axis=1)
    first = np.where(enter > 0, enter, leave)
    return np.where((leave > enter) & (leave > 0), first, np.inf), leave - np.maximum(enter, 0)


def some_rays(field, count=3000, seed=0):
    rng = np.random.default_rng(seed)
    low, high = field.bounds
    middle, reach = (low + high) / 2, (high - low).max()
    origins = middle + rng.uniform(-1, 1, (count, 3)) * reach
    directions = middle + rng.uniform(-0.4, 0.4, (count, 3)) * reach - origins
    return origins, directions


def test_rays_meet_the_exact_surface(octahedron, exact):
    origins, directions = some_rays(octahedron)
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    expected, chord = convex_hits(exact(octahedron), origins, unit)
    hits = octahedron.ray_cast(origins, directions)
    assert octahedron.occupancy(origins).any()
    assert 0.2 < hits.hit.mean() < 0.95
    # Only what is shorter than is promised may be stepped over.
    wrong = hits.hit != np.isfinite(expected)
    assert (np.abs(chord[wrong]) < np.ptp(octahedron.bounds, axis=0).max() / 2000).all()
    both = hits.hit & ~wrong
    np.testing.assert_allclose(hits.distance[both], expected[both], atol=1e-4)
    np.testing.assert_allclose(
        hits.points[both], (origins + unit * expected[:, None])[both], atol=1e-4
    )
    local = octahedron.code.transform.to_normalized(hits.points[both])
    outwards = np.sign(local) @ octahedron.code.transform.rotation.T / np.sqrt(3)
    clear = (np.abs(local) > 1e-3).all(axis=1)
    np.testing.assert_allclose(hits.normals[both][clear], outwards[clear], atol=1e-4)
    missed = ~hits.hit
    assert np.isinf(hits.distance[missed]).all()
    assert np.isnan(hits.points[missed]).all()
    assert np.isnan(hits.normals[missed]).all()


def test_tensors_and_batches_give_the_same(single, monkeypatch):
    origins, directions = some_rays(single, 500)
    expected = single.ray_cast(origins, directions)
    monkeypatch.setattr(ray_module, "_CPU_RAYS", 37)
    found = single.ray_cast(torch.from_numpy(origins), torch.from_numpy(directions))
    for name in ("hit", "distance", "points", "normals"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5)
    short = single.ray_cast(torch.from_numpy(origins).float(), torch.from_numpy(directions).float())
    assert short.distance.dtype == torch.float32
    none = single.ray_cast(np.zeros((0, 3)), np.zeros((0, 3)))
    assert none.hit.shape == (0,)


@pytest.mark.parametrize("thickness", [0.01, 0.003, 0.00101])
@pytest.mark.parametrize("options", [{}, {"levels": 3}, {"mirrored": (0,)}])
def test_a_thin_wall_is_never_stepped_over(plate, thickness, options):
    # Within a block, not where two meet: there planes are exact.
    place = 0.0049
    field = plate(thickness, place, **options)
    transform = field.code.transform
    rng = np.random.default_rng(1)
    half = field.code.half_extents
    ends = np.stack([-half, half]) * [[1], [0.9]]
    origins = rng.uniform(-0.9, 0.9, (4000, 3)) * half
    targets = rng.uniform(-0.9, 0.9, (4000, 3)) * half
    origins[:, 0], targets[:, 0] = ends[0, 0], ends[1, 0]
    hits = field.ray_cast(
        transform.to_world(origins),
        transform.to_world(targets - origins) - transform.to_world(np.zeros((1, 3))),
    )
    assert hits.hit.all()
    local = transform.to_normalized(hits.points)
    # With a mirror plane there are two.
    first = -place if options.get("mirrored") else place
    np.testing.assert_allclose(local[:, 0], first - thickness / 2, atol=2e-6)
    np.testing.assert_allclose(hits.normals, np.tile([-1.0, 0, 0], (4000, 1)), atol=1e-5)


def test_rays_along_a_wall_hit_where_the_domain_closes_it(plate):
    field = plate(0.01)
    transform, half = field.code.transform, field.code.half_extents
    origins = transform.to_world(np.array([[0.0, -2, 0], [0.1, -2, 0], [0.0, 0, 0], [0, 0, 5]]))
    hits = field.ray_cast(origins, [[0, 1, 0], [0, 1, 0], [0, 0, -3], [0, 0, 1]])
    assert hits.hit.tolist() == [True, False, True, False]
    np.testing.assert_allclose(
        hits.distance[[0, 2]] / transform.scale, [2 - half[1], half[2]], atol=1e-6
    )
    assert hits.normals[[0, 2]].tolist() == [[0, -1, 0], [0, 0, -1]]


def test_a_domain_that_is_full_is_a_box(full):
    low, high = full.bounds
    middle = (low + high) / 2
    away = np.array([[1.0, 0, 0], [0, -2, 0], [0, 0, 0.5]])
    inside = full.ray_cast(np.tile(middle, (3, 1)), away)
    np.testing.assert_allclose(inside.distance, (high - low) / 2, rtol=1e-6)
    np.testing.assert_allclose(inside.normals, np.sign(away))
    outside = full.ray_cast(middle + 10 * away, -away)
    np.testing.assert_allclose(outside.normals, np.sign(away))


@pytest.mark.slow
def test_rays_of_cells_agree_with_the_mesh(bunnylike, require_open3d):
    import open3d

    field = bunnylike(2)
    origins, directions = some_rays(field, 2000)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mesh = field.to_mesh(256)
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    rays = np.concatenate([origins, directions], axis=1).astype(np.float32)
    expected = scene.cast_rays(open3d.core.Tensor(rays))["t_hit"].numpy()
    hits = field.ray_cast(origins, directions)
    assert 0.05 < hits.hit.mean() < 1
    agree = hits.hit == np.isfinite(expected)
    assert agree.mean() > 0.995
    # The mesh is closed half a cell before the domain's end, which is far along a flat ray.
    local = np.abs(field.code.transform.to_normalized(np.nan_to_num(hits.points)))
    both = hits.hit & agree & (local < field.code.half_extents - 0.05).all(axis=1)
    assert both.mean() > 0.05
    assert np.quantile(np.abs(hits.distance[both] - expected[both]), 0.99) < 2 * 2 / 256
