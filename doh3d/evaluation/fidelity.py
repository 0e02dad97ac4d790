"""What a written file has kept of the mesh that it was made from, and what it has lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from doh3d.evaluation.evaluate import achieved_iou
from doh3d.evaluation.inputs import ReferenceInput, read_reference
from doh3d.evaluation.metrics import BoolArray, IouResult
from doh3d.evaluation.protocols import FloatArray
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.reading import Reading
from doh3d.geometry.topology import Topology, mesh_topology
from doh3d.geometry.voxel_surface import GridReading

if TYPE_CHECKING:
    from doh3d.field import OccupancyField

# Points for the field's IoU: enough for three digits in a second or two.
_POINTS = 2**18

# Cells along the domain's longest side of the mesh whose bodies and holes are counted.
_RESOLUTION = 128

# Below this a shape is hardly the same.
LOW_IOU = 0.8

# Counts differ grossly where they differ by more than this share of the reference's.
_GROSS_SHARE = 0.1


@dataclass(frozen=True)
class Fidelity:
    """How a file compares with its reference mesh.

    Attributes
    ----------
    iou : IouResult
        By the bbox protocol.
    iou_of : "field" or "mesh"
        What was measured: the field itself, or the mesh extracted at resolution 256.
    topology, reference_topology : Topology
        Of the mesh extracted at resolution 128, and of the reference.
    reading : Reading
        The reference as it was read.
    min_iou : float or None
        What was asked for.
    """

    iou: IouResult
    iou_of: Literal["field", "mesh"]
    topology: Topology
    reference_topology: Topology
    reading: Reading
    min_iou: float | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each thing that whoever made the file should know."""
        found, expected = self.topology, self.reference_topology
        lines = []
        if self.min_iou is not None and self.iou.iou < self.min_iou:
            lines.append(f"IoU {self.iou.iou:.4f} is below the {self.min_iou} asked for")
        elif self.iou.iou < LOW_IOU:
            lines.append(f"IoU {self.iou.iou:.4f} is below {LOW_IOU}; more bytes would keep more")
        if _differ_grossly(found.components, expected.components):
            lines.append(
                f"the {self._of} has {_bodies(expected.components)}, the file {found.components}"
            )
        if found.specks > expected.specks:
            lines.append(
                f"the file has {_specks(found.specks)}, bodies of less than 0.1% of the volume; "
                "more bytes or another seed may have none"
            )
        if (
            found.genus is not None
            and expected.genus is not None
            and _differ_grossly(found.genus, expected.genus)
        ):
            lines.append(f"the {self._of} has genus {expected.genus}, the file {found.genus}")
        return (*lines, *self.reading.warnings)

    @property
    def _of(self) -> str:
        return "grid" if isinstance(self.reading, GridReading) else "mesh"

    def to_dict(self) -> dict[str, Any]:
        """Everything as a JSON object."""
        survey = self.reading.survey
        return {
            **({"dice": self.iou.dice} if self.iou.protocol == "voxels" else {}),
            "iou": self.iou.iou,
            "iou_of": self.iou_of,
            "protocol": self.iou.protocol,
            "points": self.iou.points,
            "undecided": self.iou.undecided,
            "unclear": survey.unclear,
            "repair_difference": survey.difference,
            "components": self.topology.components,
            "specks": self.topology.specks,
            "genus": self.topology.genus,
            "reference_components": self.reference_topology.components,
            "reference_genus": self.reference_topology.genus,
            "warnings": list(self.warnings),
        }

    def describe(self) -> str:
        """Bodies and holes in a few words."""
        found = self.topology
        words = [_bodies(found.components)]
        if found.genus is not None:
            words.append(f"genus {found.genus}")
        if found.specks:
            words.append(_specks(found.specks))
        return ", ".join(words)


def measure_fidelity(
    reference: ReferenceInput, field: OccupancyField, *, min_iou: float | None = None
) -> Fidelity:
    """Compare a field with the mesh or the grid that it was made from.

    Parameters
    ----------
    reference : path, mesh, (vertices, faces), VoxelGrid, PreparedShape or Reading
        As `compress` takes it; a mesh's own faces judge, and a grid's voxels.
    field : OccupancyField
        Read from the file that is to be judged.
    min_iou : float, optional
        What was asked for. IoU is then measured as the search for it does, on the extracted
        mesh; otherwise on the field itself, which is quicker.
    """
    reading = read_reference(reference)
    is_grid = isinstance(reading, GridReading)
    iou, iou_of = achieved_iou(reading, field, min_iou=min_iou, points=_POINTS)

    def inside(points: FloatArray) -> BoolArray:
        # Prepared only if it is asked, which it is where a mesh is in several pieces.
        return inside_test(reading.mesh, reproducible=False)(points)

    return Fidelity(
        iou=iou,
        iou_of=iou_of,
        topology=mesh_topology(field.to_mesh(_RESOLUTION)),
        # The surface of a grid is closed, and free of overlaps.
        reference_topology=mesh_topology(reading.mesh, None if is_grid else inside),
        reading=reading,
        min_iou=min_iou,
    )


def _differ_grossly(found: int, expected: int) -> bool:
    return abs(found - expected) > _GROSS_SHARE * expected


def _bodies(count: int) -> str:
    return f"{count} component{'' if count == 1 else 's'}"


def _specks(count: int) -> str:
    return f"{count} speck{'' if count == 1 else 's'}"
