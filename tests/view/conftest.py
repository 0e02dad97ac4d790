"""Folders that reports are made of, some with names that would do harm as markup."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
import trimesh

import doh3d
from browser import started
from doh3d.dataset.parts import PartFolder
from doh3d.dataset.rows import ShapeRow
from doh3d.signals import shape_plan
from doh3d.sweep.table import SweepFolder, SweepIdentity, SweepRow

LATENTS = (60, 150, 300)
# Taken for markup, this would run: an image that fails to load, and the end of a script.
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def make_sweep_row(latent, size, iou, **others):
    values = {
        "mesh": "torus.ply",
        "latent": latent,
        "bits": 7,
        "quantizer": "qat",
        "seed": 0,
        "preset": "fast",
        "width": 12,
        "depth": 2,
        "octaves": 3,
        "projection": "hadamard",
        "bytes": size,
        "iou": iou,
        "iou_of": "field",
        "protocol": "bbox",
        "points": 4096,
        "seconds": 1.0,
        "latent_bytes": size - 60,
        "bias_bytes": 22,
        "header_bytes": 38,
        "version": "0.1.0",
        "date": "2026-01-01",
    }
    return SweepRow(**(values | others))


def make_shape_row(id_, data, iou, **others):
    values = {
        "id": id_,
        "error_kind": None,
        "error": None,
        "source": "/nowhere/mesh.ply",
        "source_sha256": None,
        "source_bytes": 1000,
        "doh": data,
        "bytes": None if data is None else len(data),
        "iou": iou,
        "iou_of": "field",
        "protocol": "bbox",
        "points": 4096,
        "undecided": None if iou is None else 0.0,
        "repair_difference": None if iou is None else 0.0,
        "surface_chamfer_l1": None if iou is None else (1 - iou) / 10,
        "chamfer_resolution": 64,
        "seconds": 2.0,
        "measure_seconds": 1.0,
        "attempts": 1,
        "batch_fit": 1,
        "latent": 60,
        "device": "cpu",
        "warnings": None,
        "config": "{}",
        "config_id": "0" * 16,
        "doh3d_version": "0.1.0",
        "torch_version": "2.13.0",
        "finished": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return ShapeRow(**(values | others))


def write_shapes(folder, rows):
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text("{}")
    PartFolder(folder / ShapeRow.FOLDER, ShapeRow).write("part-0-000000", rows)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, started."""
    # Here, since what is imported when tests are collected is imported in every process.
    pytest.importorskip("playwright.sync_api")
    with started(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture(scope="session")
def hostile():
    """A name that does harm where it is taken for markup."""
    return HOSTILE


@pytest.fixture(scope="session")
def shape_row():
    """Make a row of a dataset, of an id, bytes and IoU."""
    return make_shape_row


@pytest.fixture(scope="session")
def write_dataset():
    """Write rows to the folder of a dataset."""
    return write_shapes


@pytest.fixture(scope="session")
def torus_folder(tmp_path_factory):
    """A folder with torus.ply, and a file of it for each latent length."""
    folder = tmp_path_factory.mktemp("torus")
    mesh = trimesh.creation.torus(65.0, 25.0, major_sections=48, minor_sections=24)
    mesh.apply_translation([1000, 0, -50])
    mesh.export(folder / "torus.ply")
    quick = shape_plan.Preset(steps=150, batch_size=1024, pool_size=20_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(shape_plan.PRESETS, "fast", quick)
        for latent in LATENTS:
            shape = doh3d.compress(
                folder / "torus.ply", preset="fast", latent=latent, width=12, depth=2, device="cpu"
            )
            shape.save(folder / f"{latent}.doh")
    return folder


@pytest.fixture
def results(tmp_path, torus_folder):
    """A folder with a sweep, two collections, and evaluations."""
    return write_results(tmp_path / "results", torus_folder)


@pytest.fixture(scope="session")
def kept_results(tmp_path_factory, torus_folder):
    """The same, for what changes nothing."""
    return write_results(tmp_path_factory.mktemp("kept") / "results", torus_folder)


def write_results(folder, torus_folder):
    mesh = torus_folder / "torus.ply"
    digest = hashlib.sha256(mesh.read_bytes()).hexdigest()
    sweep = SweepFolder(folder / "sweep")
    sweep.create(SweepIdentity(digest, "fast", "qat", "bbox", 4096), mesh)
    files = {latent: (torus_folder / f"{latent}.doh").read_bytes() for latent in LATENTS}
    for place, (latent, data) in enumerate(files.items()):
        sweep.file_path(latent, 7, 0).write_bytes(data)
        sweep.append(make_sweep_row(latent, len(data), 0.8 + place / 10, mesh=f"{HOSTILE}.ply"))
    for name, latent in (("large", 300), ("small", 60)):
        found = {"source": str(mesh), "source_sha256": digest}
        rows = [make_shape_row(HOSTILE, files[latent], 0.9, **found)]
        rows += [make_shape_row(f"{i}.ply", files[latent], 0.8 + i / 100) for i in range(3)]
        failed = {"error_kind": "mesh", "error": f"bad.ply: {HOSTILE}", "source": HOSTILE}
        rows.append(make_shape_row("bad.ply", None, None, **failed))
        write_shapes(folder / name, rows)
    evaluated = {"protocol": "bbox", "points": 4096, "surface_f_score": 0.5}
    for latent, data in files.items():
        named = {"file": str(torus_folder / f"{latent}.doh"), "reference": str(mesh)}
        values = evaluated | named | {"bytes": len(data), "iou": 0.9, "ratio": 100.0}
        (folder / f"{latent}.json").write_text(json.dumps(values))
    (folder / "other.json").write_text('{"nothing": "of ours"}')
    return folder
