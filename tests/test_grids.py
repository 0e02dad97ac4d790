"""Voxel grids on the command line, from one to the other and back."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

import doh3d
from doh3d.codec.container import serialize

FAST = ("--latent", 200, "--preset", "fast", "--width", 16, "--depth", 2, "--device", "cpu")


@pytest.fixture(scope="module")
def labels(two_balls, affine, tmp_path_factory):
    path = tmp_path_factory.mktemp("grids") / "labels.nii.gz"
    nibabel.save(nibabel.Nifti1Image(two_balls, affine), path)
    return path


def test_a_label_goes_into_a_file_and_comes_back(run, labels, affine, tmp_path):
    (tmp_path / "names.csv").write_text("2,left ball\n")
    arguments = (labels, "--label", 2, "--names", tmp_path / "names.csv", *FAST, "--json")
    status, out, _ = run("compress", *arguments, "-o", tmp_path / "ball.doh")
    assert status == 0
    written = json.loads(out)
    assert written["protocol"] == "voxels"

    status, out, _ = run("info", tmp_path / "ball.doh", "--json")
    told = json.loads(out)["extras"]
    assert (told["name"], told["label"]) == ("left ball", 2)
    assert (told["lattice"], told["spacing"]) == ([24, 20, 16], [1.5, 2.0, 3.0])

    status, out, _ = run("decompress", tmp_path / "ball.doh", "-o", tmp_path / "mask.nii.gz")
    assert status == 0
    assert "24 x 20 x 16 voxels of 1.5 x 2 x 3" in out
    image = nibabel.load(tmp_path / "mask.nii.gz")
    assert image.affine.tobytes() == affine.tobytes()

    status, out, _ = run("eval", tmp_path / "ball.doh", "-r", labels, "--json")
    measured = json.loads(out)
    assert measured["dice"] == pytest.approx(written["dice"])
    assert measured["label"] == 2
    # What is written is what was measured before.
    wanted = doh3d.load_volume(labels, label=2).occupied
    found = np.asarray(image.dataobj) > 0
    assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) == measured["dice"]


def test_grids_lie_where_they_are_asked_to(run, ball_file, labels, tmp_path):
    grid, path = ball_file
    out = tmp_path / "mask.npz"
    assert run("decompress", path, "-o", out, "--like", labels)[0] == 0
    assert doh3d.load_volume(out).lattice == grid.lattice
    assert run("decompress", path, "-o", out, "--spacing", 0.75)[0] == 0
    fine = doh3d.load_volume(out)
    assert fine.lattice.spacing == (0.75, 0.75, 0.75)
    assert fine.volume == pytest.approx(grid.volume, rel=0.1)
    assert run("decompress", path, "-o", out, "--resolution", 20)[0] == 0
    assert max(doh3d.load_volume(out).lattice.shape) == 20


def test_several_files_are_one_label_map(run, ball_file, tmp_path):
    _, path = ball_file
    (tmp_path / "other.doh").write_bytes(path.read_bytes())
    out = tmp_path / "labels.nrrd"
    status, _, err = run("decompress", path, tmp_path / "other.doh", "-o", out)
    assert status == 2
    assert "two files are label 2; a label map has each once" in err
    code = doh3d.load(path).code
    other = tmp_path / "other.doh"
    other.write_bytes(serialize(replace(code, extras=replace(code.extras, label=9))))
    assert run("decompress", path, other, "-o", out)[0] == 0
    found = doh3d.load_volume(out, label=2)
    np.testing.assert_array_equal(found.occupied, doh3d.load(path).to_grid())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compress", "{labels}", "-o", "x.doh"), "is a label map; choose one with label"),
        (("compress", "{labels}", "--label", 3, "-o", "x.doh"), "no voxel has label 3"),
        (("compress", "{mesh}", "--label", 3, "-o", "x.doh"), "it is for voxel grids only"),
        (("compress", "missing.nii", "-o", "x.doh"), "missing.nii: no such file"),
        (("eval", "{doh}", "-r", "{mesh}", "--label", 1), "--label is for voxel grids"),
        (("decompress", "{doh}", "-o", "x.ply", "--spacing", 1), "are for a voxel grid"),
        (("decompress", "{doh}", "{doh}", "-o", "x.ply"), "several files are for a voxel grid"),
        (
            ("decompress", "{doh}", "-o", "x.nii", "--spacing", 1, "--resolution", 9),
            "--spacing and --resolution contradict each other",
        ),
        (("decompress", "{doh}", "-o", "x.nii", "--spacing", 0), "--spacing is 0"),
        (
            ("decompress", "{doh}", "-o", "x.nii", "--spacing", 0.001),
            "; a larger --spacing is needed",
        ),
        (("decompress", "{doh}", "-o", "x.nii", "--resolution", 1024), "; a smaller --resolution"),
        (
            ("decompress", "{doh}", "-o", "x.nii", "--spacing", 5e-324),
            "--spacing is 4.94066e-324; a",
        ),
        (("decompress", "{doh}", "-o", "x.nii", "--spacing", 900), "no voxel of that grid"),
        (("decompress", "{doh}", "-o", "x.binvox"), "volumes are written as"),
        (("decompress", "{doh}", "-o", "x.nii", "--normals"), "--normals is for a mesh"),
        (("decompress", "{doh}", "-o", "x.nii", "--method", "dual"), "--method is for a mesh"),
        (("eval", "{doh}", "-r", "{labels}", "--points", 99), "--points is for meshes"),
        (("eval", "{doh}", "-r", "{labels}", "--seed", 0), "--seed is for meshes"),
        (("eval", "{mesh}", "-r", "{mesh}", "--resolution", 64), "--resolution is for .doh files"),
        (("compress", "{empty}", "-o", "x.doh"), "empty.nii.gz: the file is empty; a volume"),
        (("batch", "{labels}", "-o", "out", "--names", "missing"), "missing: cannot be opened"),
    ],
)
def test_wrong_grids_are_refused_in_a_line_and_nothing_is_written(
    run, labels, ball_file, meshes_folder, tmp_path, monkeypatch, arguments, said
):
    monkeypatch.chdir(tmp_path)
    places = {"labels": labels, "doh": ball_file[1], "mesh": meshes_folder / "sphere.ply"}
    places["empty"] = tmp_path / "empty.nii.gz"
    places["empty"].touch()
    given = [str(argument).format(**places) for argument in arguments]
    status, out, err = run(*given)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [places["empty"]]


def test_a_scan_of_elsewhere_is_not_helped_by_finer_voxels(run, ball_file, affine, tmp_path):
    elsewhere = np.array(affine, dtype=float)
    elsewhere[:3, 3] += 1000
    scan, output = tmp_path / "scan.nii.gz", tmp_path / "x.nii"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), np.uint8), elsewhere), scan)
    status, out, err = run("decompress", ball_file[1], "-o", output, "--like", scan)
    assert (status, out) == (2, "")
    assert f"no voxel of {scan}'s grid is inside; name the scan that the shape is of" in err
    assert not output.exists()


def test_a_file_of_a_mesh_says_no_grid(run, torus_files, tmp_path):
    status, _, err = run("decompress", torus_files[1], "-o", tmp_path / "mask.nii.gz")
    assert status == 2
    assert "torus.doh: says no grid; choose one with --like, --spacing or --resolution" in err
    assert (
        run("decompress", torus_files[1], "-o", tmp_path / "mask.npy", "--resolution", 16)[0] == 0
    )
    assert doh3d.load_volume(tmp_path / "mask.npy").count > 100
