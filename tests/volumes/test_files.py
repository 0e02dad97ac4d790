import gzip

import nibabel
import nrrd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from doh3d.errors import ConfigError, VolumeError
from doh3d.geometry.voxels import VoxelLattice
from doh3d.volumes.files import (
    load_volume,
    read_label_map,
    read_lattice,
    split_label,
    volume_ending,
    with_label,
)
from doh3d.volumes.label_names import read_names
from doh3d.volumes.writing import WRITTEN, save_volume

TABLE = """<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0"><LabelTable>
<Label Key="2" Red="0" Green="1" Blue="0" Alpha="1"><![CDATA[left ball]]></Label>
<Label Key="x"><![CDATA[nothing]]></Label></LabelTable></VolumeInformation></CaretExtension>"""


@pytest.mark.parametrize("ending", WRITTEN)
def test_a_volume_comes_back_as_it_was_written(two_balls, affine, tmp_path, ending):
    path = tmp_path / f"labels{ending}"
    save_volume(two_balls, VoxelLattice.of(two_balls.shape, affine), path)
    grid = load_volume(path, label=7)
    np.testing.assert_array_equal(grid.occupied, two_balls == 7)
    assert read_label_map(path).labels == (2, 7)
    expected = np.eye(4) if ending == ".npy" else affine
    assert grid.lattice.matrix.tobytes() == expected.tobytes()
    # The same volume is the same file, whenever it is written.
    data = path.read_bytes()
    save_volume(two_balls, VoxelLattice.of(two_balls.shape, affine), path)
    assert path.read_bytes() == data or ending == ".npz"


float32s = st.floats(-300, 300, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)


@given(arrays(np.float64, (3, 4), elements=float32s))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_affine_comes_back_to_the_bit(tmp_path, rows):
    affine = np.vstack([rows, [0, 0, 0, 1]])
    affine += 0.0  # -0 is 0 in a file that turns axes
    mask = np.arange(24).reshape(2, 3, 4) % 5 == 0
    try:
        lattice = VoxelLattice.of(mask.shape, affine)
    except VolumeError:
        return
    for ending in (".nii", ".nrrd", ".npz"):
        path = tmp_path / f"mask{ending}"
        save_volume(mask, lattice, path)
        assert load_volume(path).lattice == lattice
        assert read_lattice(path).matrix.tobytes() == affine.tobytes()


def test_like_takes_over_an_orientation_that_is_a_quaternion(two_balls, tmp_path):
    header = nibabel.Nifti1Header()
    header["quatern_b"], header["quatern_c"], header["quatern_d"] = 0.1, -0.35, 0.2
    header["pixdim"][:4] = -1, 0.7, 0.9, 1.1
    header["qform_code"] = 1
    image = nibabel.Nifti1Image(two_balls, None, header)
    nibabel.save(image, tmp_path / "scan.nii.gz")
    lattice = read_lattice(tmp_path / "scan.nii.gz")
    # No float32 affine is that one.
    assert (lattice.matrix != lattice.matrix.astype(np.float32)).any()
    save_volume(two_balls, lattice, tmp_path / "mask.nii.gz", like=tmp_path / "scan.nii.gz")
    assert read_lattice(tmp_path / "mask.nii.gz") == lattice
    save_volume(two_balls, lattice, tmp_path / "mask.npz", like=tmp_path / "scan.nii.gz")
    assert read_lattice(tmp_path / "mask.npz") == lattice


def test_others_read_what_is_written(two_balls, affine, tmp_path):
    lattice = VoxelLattice.of(two_balls.shape, affine)
    save_volume(two_balls, lattice, tmp_path / "labels.nii.gz")
    image = nibabel.load(tmp_path / "labels.nii.gz")
    assert image.get_data_dtype() == np.uint8
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(image.affine, affine)
    save_volume(two_balls, lattice, tmp_path / "labels.nrrd")
    array, header = nrrd.read(str(tmp_path / "labels.nrrd"))
    np.testing.assert_array_equal(array, two_balls)
    assert header["space"] == "left-posterior-superior"
    np.testing.assert_array_equal(header["space origin"], affine[:3, 3] * [-1, -1, 1])
    wide = two_balls.astype(np.uint16) * 200
    save_volume(wide, lattice, tmp_path / "wide.nii")
    np.testing.assert_array_equal(nibabel.load(tmp_path / "wide.nii").dataobj, wide)


def test_names_come_from_the_file_or_from_a_table(two_balls, affine, tmp_path):
    image = nibabel.Nifti1Image(two_balls, affine)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, TABLE.encode()))
    nibabel.save(image, tmp_path / "labels.nii.gz")
    assert read_label_map(tmp_path / "labels.nii.gz").names == {2: "left ball"}
    grid = load_volume(tmp_path / "labels.nii.gz", label=2)
    assert (grid.label, grid.name) == (2, "left ball")
    assert load_volume(tmp_path / "labels.nii.gz", label=7, names={7: "other"}).name == "other"

    header = {
        "Segment0_LabelValue": "7",
        "Segment0_Name": "right ball",
        "space": "right-anterior-superior",
        "space directions": affine[:3, :3].T,
        "space origin": affine[:3, 3],
    }
    nrrd.write(str(tmp_path / "seg.nrrd"), two_balls, header)
    found = load_volume(tmp_path / "seg.nrrd", label=7)
    assert (found.name, found.lattice.matrix.tolist()) == ("right ball", affine.tolist())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("label,name\n5,liver\n-2 , 'left  lung'\n", {5: "liver", -2: "left lung"}),
        ("5\tliver\n", {5: "liver"}),
        ('{"5": "liver", "x": "y"}', {5: "liver"}),
    ],
)
def test_tables_of_names(tmp_path, text, names):
    (tmp_path / "names.txt").write_text(text)
    assert read_names(tmp_path / "names.txt") == names


@pytest.mark.parametrize(("text", "said"), [("liver\n", "names no label"), (b"\xff", "UTF-8")])
def test_what_is_no_table_of_names_is_refused(tmp_path, text, said):
    (tmp_path / "names").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(VolumeError, match=said):
        read_names(tmp_path / "names")
    with pytest.raises(VolumeError, match="cannot be opened"):
        read_names(tmp_path / "missing")


def test_a_binvox_file_is_where_trimesh_has_it(tmp_path):
    import trimesh

    mask = np.zeros((8, 8, 8), dtype=np.bool_)
    mask[2:5, 3:6, 1:7] = True
    voxels = trimesh.voxel.VoxelGrid(mask)
    voxels.apply_scale(0.5)
    (tmp_path / "mask.binvox").write_bytes(voxels.export(file_type="binvox"))
    grid = load_volume(tmp_path / "mask.binvox")
    np.testing.assert_array_equal(grid.occupied, mask)
    np.testing.assert_allclose(grid.lattice.matrix, voxels.transform)


def test_scaled_values_are_scaled(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(0.1, -1.0)
    nibabel.save(image, tmp_path / "scaled.nii")
    loaded = np.asarray(nibabel.load(tmp_path / "scaled.nii").dataobj)
    grid = load_volume(tmp_path / "scaled.nii", threshold=0.25)
    np.testing.assert_array_equal(grid.occupied, loaded > 0.25)


def damaged(folder):
    """Files that are no volumes, by name."""
    np.save(folder / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    np.savez(folder / "two.npz", a=np.zeros(3), b=np.zeros(3))
    np.savez(folder / "flat.npz", mask=np.eye(3)[None] > 0, affine=np.zeros((4, 4)))
    (folder / "large.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '|b1', 'fortran_order': False, 'shape': (99999, 99999, 9), }".ljust(117)
        + b"\n"
    )
    (folder / "text.nii").write_text("no volume")
    (folder / "cut.nii.gz").write_bytes(gzip.compress(b"x" * 400))
    (folder / "text.nrrd").write_text("no volume")
    (folder / "text.binvox").write_text("no volume")
    (folder / "folder.nii").mkdir()
    (folder / "runs.binvox").write_bytes(b"#binvox 1\ndim 2 2 2\ndata\n" + b"\1\xff" * 9999)
    nrrd.write(str(folder / "small.nrrd"), np.zeros((2, 2, 2), np.uint8))
    head = (folder / "small.nrrd").read_bytes().partition(b"\n\n")[0]
    (folder / "bomb.nrrd").write_bytes(head + b"\n\n" + gzip.compress(bytes(1 << 24)))
    (folder / "apart.nrrd").write_bytes(head + b"\ndata file: small.nrrd\n\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("objects.npy", "cannot be read as NumPy .*Python objects"),
        ("two.npz", "it holds the arrays a, b; one beside 'affine' is needed"),
        ("flat.npz", "flat.npz: the affine must be 4 x 4 numbers"),
        ("large.npy", "are 89998200009 voxels; at most 268435456 are taken"),
        ("text.nii", "cannot be read as NIfTI"),
        ("cut.nii.gz", "cannot be read as NIfTI"),
        ("text.nrrd", "cannot be read as NRRD"),
        ("text.binvox", "cannot be read as binvox"),
        ("runs.binvox", "cannot be read as binvox .*more than its voxels"),
        ("bomb.nrrd", "cannot be read as NRRD .*unfold to more than 64 bytes"),
        ("apart.nrrd", "cannot be read as NRRD .*data are in another file"),
        ("folder.nii", "is a directory; a volume is needed"),
        ("missing.nii", "no such file"),
        ("mesh.ply", "is no volume; supported are"),
    ],
)
def test_what_is_no_volume_is_refused_in_a_line(tmp_path, name, said):
    damaged(tmp_path)
    with pytest.raises(VolumeError, match=said) as raised:
        load_volume(tmp_path / name)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / name))


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    (tmp_path / "mask.nrrd").write_text("NRRD0004")
    monkeypatch.setitem(__import__("sys").modules, "nrrd", None)
    with pytest.raises(VolumeError, match=r"NRRD needs nrrd; install .*'doh3d\[volumes\]'"):
        load_volume(tmp_path / "mask.nrrd")


def test_a_label_may_be_part_of_a_path(two_balls, tmp_path):
    np.save(tmp_path / "labels.npy", two_balls)
    path = with_label(str(tmp_path / "labels.npy"), 7)
    assert split_label(path) == (str(tmp_path / "labels.npy"), 7)
    assert volume_ending(path) == ".npy"
    assert load_volume(path).count == int((two_balls == 7).sum())
    with pytest.raises(VolumeError, match="names label 7, but label is 2"):
        load_volume(path, label=2)


def test_other_endings_are_not_written(two_balls, tmp_path):
    with pytest.raises(ConfigError, match=r"volumes are written as \.nii\.gz"):
        save_volume(two_balls, VoxelLattice.of(two_balls.shape), tmp_path / "a.binvox")
