import pytest
import trimesh

from doh3d.evaluation import fidelity as fidelity_module
from doh3d.evaluation.fidelity import Fidelity, measure_fidelity
from doh3d.evaluation.metrics import IouResult
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.reading import read_shape
from doh3d.geometry.topology import Topology


class MeshField:
    """What `measure_fidelity` asks of a field, answered by a mesh."""

    def __init__(self, mesh):
        self._mesh = mesh
        self.bounds = mesh.bounds * 1.05
        self.occupancy = inside_test(mesh)

    def to_mesh(self, resolution=256):
        return self._mesh


def fidelity(iou=0.95, found=(1, 0, 0), expected=(1, 0, 0), min_iou=None):
    result = IouResult(iou, "bbox", 1000)
    # Made anew: what a parameter of a test holds stays until the process ends, when libigl
    # complains of the trees that are left.
    reading = read_shape(trimesh.creation.box())
    return Fidelity(result, "field", Topology(*found), Topology(*expected), reading, min_iou)


@pytest.mark.parametrize(
    ("given", "warnings"),
    [
        ({}, []),
        (dict(iou=0.8), []),
        (dict(iou=0.79), ["IoU 0.7900 is below 0.8; more bytes would keep more"]),
        (dict(iou=0.95, min_iou=0.95), []),
        (dict(iou=0.949, min_iou=0.95), ["IoU 0.9490 is below the 0.95 asked for"]),
        (dict(iou=0.6, min_iou=0.7), ["IoU 0.6000 is below the 0.7 asked for"]),
        (
            dict(found=(1, 9, 0)),
            [
                "the file has 9 specks, bodies of less than 0.1% of the volume; more bytes or "
                "another seed may have none"
            ],
        ),
        (dict(found=(1, 1, 0), expected=(1, 1, 0)), []),
        (dict(found=(2, 0, 0)), ["the mesh has 1 component, the file 2"]),
        (dict(found=(0, 0, 0)), ["the mesh has 1 component, the file 0"]),
        (dict(found=(18, 0, 0), expected=(20, 0, 0)), []),
        (
            dict(found=(17, 0, 0), expected=(20, 0, 0)),
            ["the mesh has 20 components, the file 17"],
        ),
        (dict(found=(1, 0, 0), expected=(1, 0, 1)), ["the mesh has genus 1, the file 0"]),
        (dict(found=(1, 0, 12), expected=(1, 0, 13)), []),
        (dict(found=(1, 0, 5), expected=(1, 0, None)), []),
        (dict(found=(1, 0, None), expected=(1, 0, 5)), []),
        (
            dict(iou=0.5, found=(3, 0, 2)),
            [
                "IoU 0.5000 is below 0.8; more bytes would keep more",
                "the mesh has 1 component, the file 3",
                "the mesh has genus 0, the file 2",
            ],
        ),
    ],
)
def test_what_is_warned_of(given, warnings):
    told = fidelity(**given)
    assert list(told.warnings) == warnings
    assert told.to_dict()["warnings"] == warnings


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        ((1, 0, 0), "1 component, genus 0"),
        ((2, 1, 3), "2 components, genus 3, 1 speck"),
        ((1, 4, None), "1 component, 4 specks"),
    ],
)
def test_bodies_and_holes_in_words(topology, words):
    assert fidelity(found=topology).describe() == words


def test_a_file_that_lost_a_hole_and_grew_a_body(torus):
    full = trimesh.creation.cylinder(0.9, 0.5) + trimesh.creation.icosphere(
        subdivisions=2, radius=0.2
    ).apply_translation((0, 0, 0.7))
    told = measure_fidelity(torus, MeshField(full))
    assert 0.4 < told.iou.iou < 0.9
    assert (told.iou_of, told.iou.protocol) == ("field", "bbox")
    assert told.topology == Topology(2, 0, 0)
    assert told.reference_topology == Topology(1, 0, 1)
    assert [line.split(",")[0] for line in told.warnings][-2:] == [
        "the mesh has 1 component",
        "the mesh has genus 1",
    ]


def test_a_quality_that_was_asked_for_is_measured_as_it_is_searched_for(torus, monkeypatch):
    from doh3d.evaluation import evaluate as module

    asked = []

    def mesh_iou(reference, mesh):
        asked.append((reference, mesh))
        return IouResult(0.9, "bbox", 7)

    monkeypatch.setattr(module, "mesh_iou", mesh_iou)
    field, reading = MeshField(torus), read_shape(torus)
    told = measure_fidelity(reading, field, min_iou=0.95)
    assert asked == [(reading, field.to_mesh())]
    assert told.iou_of == "mesh"
    assert told.warnings == ("IoU 0.9000 is below the 0.95 asked for",)
    assert measure_fidelity(torus, field).warnings == ()


@pytest.mark.parametrize("pieces", [1, 2])
def test_an_inside_test_is_prepared_for_a_mesh_in_pieces_only(pieces, monkeypatch):
    boxes = [trimesh.creation.box() for _ in range(pieces)]
    for number, box in enumerate(boxes):
        box.apply_translation((2 * number, 0, 0))
    mesh = trimesh.util.concatenate(boxes)
    prepared = []
    monkeypatch.setattr(
        fidelity_module,
        "inside_test",
        lambda *given, **options: prepared.append(1) or inside_test(*given, **options),
    )
    assert measure_fidelity(mesh, MeshField(mesh)).reference_topology.components == pieces
    assert len(prepared) == pieces - 1
