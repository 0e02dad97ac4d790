from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import trimesh

import doh3d
from doh3d.evaluation import triangles
from doh3d.evaluation.draco import decode_draco, encode_draco
from doh3d.evaluation.evaluate import mesh_iou
from doh3d.evaluation.simplification import simplify
from doh3d.evaluation.triangles import MeshJudge, Triangles, cheaper_triangles
from doh3d.geometry.occupancy import inside_test
from doh3d.signals import shape_plan


def as_good_as(mesh, iou):
    """A field of a known IoU with a mesh: the mesh itself, smaller about its centre."""
    smaller = mesh.copy()
    centre = mesh.bounds.mean(axis=0)
    smaller.vertices = centre + (mesh.vertices - centre) * iou ** (1 / 3)
    return inside_test(smaller)


@pytest.fixture
def peers():
    for package in ("DracoPy", "fast_simplification"):
        pytest.importorskip(package)


def test_of_a_box_its_own_faces_are_shorter(peers, box):
    found = cheaper_triangles(box, as_good_as(box, 0.99), 600)
    assert (found.faces, found.of_faces) == (12, 12)
    data = encode_draco(box, found.quantization_bits)
    assert found.bytes == len(data) < 150
    assert mesh_iou(box, decode_draco(data), points=2**15).iou > 0.99
    assert str(found) == (
        f"Draco, of the mesh's own 12 faces, would have this IoU in about {len(data)} bytes, "
        "this file has 600"
    )


def test_what_is_found_has_the_quality_at_that_size(peers, sphere):
    # In millimetres, off the origin.
    mesh = sphere.copy().apply_scale(55).apply_translation([1000, 0, -50])
    found = cheaper_triangles(mesh, as_good_as(mesh, 0.95), 1500)
    # A ball with that many equal faces inscribed loses 5% of its volume.
    assert 90 <= found.faces <= 190
    assert found.of_faces == 5120
    simple = simplify(sphere, found.faces, "fast_simplification")
    data = encode_draco(simple, found.quantization_bits)
    assert found.bytes == pytest.approx(len(data), rel=0.1)
    assert mesh_iou(sphere, decode_draco(data), points=2**18).iou == pytest.approx(0.95, abs=0.015)
    assert f"decimation to {found.faces} faces + Draco would" in str(found)
    assert str(found).endswith("this file has 1,500")
    # A tenth is too little to be sure of.
    assert cheaper_triangles(mesh, as_good_as(mesh, 0.95), found.bytes + 10) is None


@pytest.mark.slow
def test_the_same_file_is_told_the_same(peers, torus):
    first, second = (cheaper_triangles(torus, as_good_as(torus, 0.9), 1500) for _ in range(2))
    assert first is not None
    assert first == second


def test_nothing_is_said_of_what_triangles_are_longer_for(peers, sphere):
    assert cheaper_triangles(sphere, inside_test(sphere), 1000) is None


@pytest.mark.slow
def test_nothing_is_said_of_a_bunny_at_1000_bytes(peers, bunny_files, usual_fits):
    shape = doh3d.compress(bunny_files[0], max_bytes=1000, preset="fast", device="cpu")
    assert 950 <= len(shape.data) <= 1000
    assert shape.warnings == ()


def test_compress_keeps_what_it_says(peers, box, caplog, monkeypatch):
    preset = shape_plan.Preset(steps=300, batch_size=1024, pool_size=20_000)
    monkeypatch.setitem(shape_plan.PRESETS, "fast", preset)
    options = {"latent": 300, "width": 16, "depth": 2, "preset": "fast", "device": "cpu"}
    shape = doh3d.compress(box, **options)
    (words,) = shape.warnings
    assert words.startswith("Draco, of the mesh's own 12 faces, would have this IoU in about ")
    assert words.endswith(f"this file has {len(shape.data)}")
    assert words in caplog.messages
    assert pickle.loads(pickle.dumps(shape)).warnings == shape.warnings
    # They have no word to say it to.
    (together,) = doh3d.fit_many([box], **options)
    assert together.warnings == ()


def test_nothing_is_said_of_an_empty_field(peers, sphere):
    assert cheaper_triangles(sphere, lambda points: np.zeros(len(points), np.bool_), 1000) is None


@pytest.mark.parametrize("package", ["DracoPy", "fast_simplification"])
def test_without_the_peers_nothing_is_said(sphere, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert cheaper_triangles(sphere, as_good_as(sphere, 0.9), 1500) is None


@pytest.mark.slow
@pytest.mark.parametrize("package", ["open3d", "meshoptimizer"])
def test_flat_parts_of_slivers_need_only_one_of_two(peers, require_open3d, monkeypatch, package):
    pytest.importorskip("meshoptimizer")
    monkeypatch.setitem(sys.modules, package, None)
    # fast-simplification gives up on a disc of 3,000 slivers.
    disc = trimesh.creation.cylinder(0.9, 0.3, sections=3000)
    found = cheaper_triangles(disc, as_good_as(disc, 0.95), 1000)
    assert found is not None
    assert found.bytes < 500


def test_a_mesh_of_very_many_faces_is_left_alone(peers, sphere, monkeypatch):
    monkeypatch.setattr(triangles, "_MOST_FACES", 5119)
    monkeypatch.setattr(triangles, "simplify", None)
    assert cheaper_triangles(sphere, as_good_as(sphere, 0.9), 1500) is None


def test_the_judge_measures_as_evaluation_does(sphere):
    smaller = trimesh.creation.icosphere(subdivisions=2, radius=0.8)
    judge = MeshJudge(sphere, 2**15, seed=0)
    assert judge.points == 2**15
    expected = mesh_iou(sphere, smaller, points=2**15).iou
    assert judge.iou(smaller) == pytest.approx(expected, abs=2e-4)
    assert judge.iou_in_box(inside_test(smaller)) == pytest.approx(expected, abs=2e-4)


def test_faces_are_named_as_decimated_where_some_are_gone():
    words = str(Triangles(212, 12_946, 10, 640, 1180))
    assert words == (
        "decimation to 212 faces + Draco would have this IoU in about 640 bytes, "
        "this file has 1,180"
    )
