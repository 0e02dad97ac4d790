"""Windings: kept where they agree, mended where that makes the inside clearer."""

import igl
import numpy as np
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from doh3d.errors import MeshError
from doh3d.geometry.mesh import repair_mesh
from doh3d.geometry.occupancy import inside_test

JITTER = 1e-6


def hollow_ball():
    inner = trimesh.creation.icosphere(subdivisions=2, radius=0.4)
    inner.invert()
    return trimesh.creation.icosphere(subdivisions=3, radius=0.9) + inner


SHAPES = {
    "torus": lambda: trimesh.creation.torus(0.65, 0.25, major_sections=24, minor_sections=12),
    "box": lambda: trimesh.creation.box((2, 1, 0.3)).subdivide(),
    "ring": lambda: trimesh.creation.annulus(0.5, 1.0, 0.4, sections=20),
    "hollow ball": hollow_ball,
    "balls": lambda: (
        trimesh.creation.icosphere(subdivisions=2)
        + trimesh.creation.icosphere(subdivisions=2).apply_translation((3, 0, 0))
    ),
}
_PROBES = np.random.default_rng(1).uniform(-0.5, 0.5, (1500, 3))


def patches_of(mesh, count, generator):
    """Label faces by the patch they are cut into: grown from random faces."""
    label = np.full(len(mesh.faces), -1)
    seeds = generator.permutation(len(mesh.faces))[:count]
    label[seeds] = np.arange(len(seeds))
    adjacent = mesh.face_adjacency
    while (label < 0).any():
        before = label.copy()
        for a, b in (adjacent.T, adjacent.T[::-1]):
            grown = (label[a] >= 0) & (label[b] < 0)
            label[b[grown]] = label[a[grown]]
        if (label == before).all():
            label[label < 0] = count
    return label


def cut_apart(mesh, count, flipped_share, seed):
    """Patches with vertices of their own, jittered, some sides split, some wound backwards."""
    generator = np.random.default_rng(seed)
    label = patches_of(mesh, count, generator)
    size = float(mesh.extents.max())
    parts = []
    for patch in np.unique(label):
        corners = mesh.triangles[label == patch]
        # Some faces are halved at a random point of a side: a T-junction where that is a rim.
        split = generator.random(len(corners)) < 0.3
        a, b, c = np.roll(corners[split], generator.integers(3), axis=1).transpose(1, 0, 2)
        m = a + generator.uniform(0.2, 0.8, (len(a), 1)) * (b - a)
        corners = np.concatenate(
            [corners[~split], np.stack([a, m, c], axis=1), np.stack([m, b, c], axis=1)]
        )
        own, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
        own = own + generator.uniform(-1, 1, own.shape) * JITTER * size
        faces = index.reshape(-1, 3)
        if generator.random() < flipped_share:
            faces = faces[:, ::-1]
        parts.append(trimesh.Trimesh(own, faces, process=False))
    whole = trimesh.util.concatenate(parts)
    faces = generator.permutation(whole.faces)
    return trimesh.Trimesh(whole.vertices, faces, process=False, validate=False)


def differing(mesh, other):
    """Of points that are farther from the surface than ten times the jitter, who differ."""
    points = mesh.bounds.mean(axis=0) + 1.1 * _PROBES * mesh.extents
    squared, _, _ = igl.point_mesh_squared_distance(points, mesh.vertices, mesh.faces)
    points = points[np.sqrt(squared) > 10 * JITTER * mesh.extents.max()]
    return int((inside_test(mesh)(points) != inside_test(other)(points)).sum())


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(SHAPES)), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_cutting_a_surface_apart_changes_nothing(shape, count, seed):
    mesh = SHAPES[shape]()
    repaired = repair_mesh(cut_apart(mesh, count, 0.0, seed), shape)
    assert repaired.turned_faces == 0
    assert differing(mesh, repaired.mesh) == 0


def test_patches_wound_backwards_are_mended_or_refused():
    # Whether a closed surface in another is a cavity is told by nothing but its winding.
    shapes = [make for name, make in SHAPES.items() if name != "hollow ball"]
    refused = 0
    for seed in range(60):
        mesh = shapes[seed % len(shapes)]()
        try:
            repaired = repair_mesh(cut_apart(mesh, 2 + seed, 0.3, seed), "patches")
        except MeshError:
            refused += 1
            continue
        assert differing(mesh, repaired.mesh) == 0, seed
    assert refused <= 3
