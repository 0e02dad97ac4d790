"""The labels of a scan as one data set."""

import nibabel
import numpy as np
import pytest

import doh3d
from doh3d.dataset.batch import run_batch
from doh3d.dataset.evaluation import EvaluateTask, EvaluationJob
from doh3d.dataset.plan import Finished
from doh3d.dataset.shape_set import ShapeSet
from doh3d.dataset.sources import Source, list_sources
from doh3d.dataset.tasks import CompressTask, changed_sources
from doh3d.errors import VolumeError
from doh3d.geometry.voxels import VoxelLattice
from doh3d.options import CompressOptions

OPTIONS = CompressOptions(preset="fast", latent=100, width=8, depth=1)
NAMES = {7: "other ball"}

pytestmark = pytest.mark.usefixtures("quick_module")


@pytest.fixture(scope="module")
def label_file(two_balls, affine, tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.nii.gz"
    nibabel.save(nibabel.Nifti1Image(two_balls, affine), path)
    return path


@pytest.fixture(scope="module")
def organs(label_file, tmp_path_factory, quick_module, this_process):
    """A data set of a label map, whose label 7 has a name."""
    output = tmp_path_factory.mktemp("organs") / "out"
    task = CompressTask(OPTIONS, "cpu", names=NAMES)
    run_batch(str(label_file), output, task, OPTIONS, this_process, names=NAMES)
    return ShapeSet(output)


def test_each_label_is_a_row_with_its_number_and_its_name(organs, label_file, two_balls):
    assert sorted(organs.ids()) == ["2", "7 other ball"]
    row = organs["7 other ball"].row
    assert (row["label"], row["label_name"]) == (7, "other ball")
    assert (organs["2"].row["label"], organs["2"].row["label_name"]) == (2, None)
    assert row["source"] == f"{label_file}#label=7"
    assert (row["protocol"], row["points"], row["iou_of"]) == ("voxels", two_balls.size, "field")
    found = organs["7 other ball"].field("cpu").to_grid()
    wanted = two_balls == 7
    assert row["iou"] == pytest.approx((found & wanted).sum() / (found | wanted).sum())


def test_labels_are_a_data_set_of_hugging_face_in_two_lines(organs, tmp_path):
    shapes = doh3d.ShapeSet(organs.path)
    dataset = shapes.to_datasets(cache_dir=tmp_path)
    assert dataset.num_rows == len(shapes) == 2
    by_id = {row["id"]: row for row in dataset}
    assert by_id["7 other ball"]["doh"] == shapes["7 other ball"].data
    assert by_id["7 other ball"]["label"] == 7


def test_the_source_of_a_label_is_its_file(organs, label_file):
    row = organs["2"].row
    source = Source("2", f"{label_file}#label=2")
    same, changed = (Finished("2", sha, None) for sha in (row["source_sha256"], "0" * 64))
    assert changed_sources(((source, same), (source, changed))) == ("2",)
    assert row["source_bytes"] == label_file.stat().st_size


def test_a_label_is_measured_at_its_voxels(organs):
    row = organs["2"].row
    job = EvaluationJob("2", "", organs["2"].data, row["source"], row["source_sha256"])
    measured = EvaluateTask(resolution=32, device="cpu")(job)
    assert measured.error is None
    assert (measured.protocol, measured.iou) == ("voxels", row["iou"])


def test_a_folder_of_masks_is_a_collection(two_balls, affine, tmp_path):
    lattice = VoxelLattice.of(two_balls.shape, affine)
    for name, label in (("left.nii.gz", 2), ("right.nrrd", 7)):
        doh3d.save_volume(two_balls == label, lattice, tmp_path / name)
    # Arrays may be anything, and are taken where they are asked for.
    np.save(tmp_path / "points.npy", np.zeros(3))
    assert [source.id for source in list_sources(str(tmp_path))] == ["left.nii.gz", "right.nrrd"]
    found = list_sources(str(tmp_path), pattern="*.npy")
    assert [source.id for source in found] == ["points.npy"]
    alone = list(list_sources(str(tmp_path / "left.nii.gz")))
    assert alone == [Source("left.nii.gz", str(tmp_path / "left.nii.gz"))]


def test_a_label_map_in_a_folder_fails_by_itself(label_file):
    task = CompressTask(OPTIONS, "cpu")
    (row,) = task((Source("labels.nii.gz", str(label_file)),))
    assert row.error_kind == "volume"
    assert row.error == (
        "labels.nii.gz: is a label map; choose one with label, or a threshold; it holds 2, 7"
    )


def test_fractions_are_no_label_map(tmp_path):
    np.save(tmp_path / "p.npy", np.full((2, 2, 2), 0.5))
    with pytest.raises(VolumeError, match="voxels are fractions, so that it is no label map"):
        list(list_sources(str(tmp_path / "p.npy")))
