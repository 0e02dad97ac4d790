"""What a written file has kept of the mesh that it was made from, and what it has lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from doh3d.evaluation.evaluate import field_iou, mesh_iou
from doh3d.evaluation.metrics import IouResult
from doh3d.geometry.occupancy import inside_test
from doh3d.geometry.reading import Reading
from doh3d.geometry.topology import Topology, mesh_topology

if TYPE_CHECKING:
    from doh3d.evaluation.evaluate import Solid
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
    min_iou : float or None
        What was asked for.
    reading : Reading or None
        The mesh as it was read; None where the reference is a mesh that is known to be sound.
    """

    iou: IouResult
    iou_of: Literal["field", "mesh"]
    topology: Topology
    reference_topology: Topology
    min_iou: float | None = None
    reading: Reading | None = None

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
                f"the mesh has {_bodies(expected.components)}, the file {found.components}"
            )
        if (
            found.genus is not None
            and expected.genus is not None
            and _differ_grossly(found.genus, expected.genus)
        ):
            lines.append(f"the mesh has genus {expected.genus}, the file {found.genus}")
        if self.reading is not None:
            lines += self.reading.warnings
        return tuple(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything as a JSON object."""
        survey = None if self.reading is None else self.reading.survey
        return {
            "iou": self.iou.iou,
            "iou_of": self.iou_of,
            "protocol": self.iou.protocol,
            "points": self.iou.points,
            "undecided": self.iou.undecided,
            "unclear": None if survey is None else survey.unclear,
            "repair_difference": None if survey is None else survey.difference,
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
            words.append(f"{found.specks} speck{'s' if found.specks > 1 else ''}")
        return ", ".join(words)


def measure_fidelity(
    reference: Solid, field: OccupancyField, *, min_iou: float | None = None
) -> Fidelity:
    """Compare a field with the mesh that it was made from.

    Parameters
    ----------
    reference : Reading or trimesh.Trimesh
        As `read_shape` gives it, so that the file's own faces judge; or a mesh that is sound.
    field : OccupancyField
        Read from the file that is to be judged.
    min_iou : float, optional
        What was asked for. IoU is then measured as the search for it does, on the extracted
        mesh; otherwise on the field itself, which is quicker.
    """
    reading = reference if isinstance(reference, Reading) else None
    mesh = reference.mesh if isinstance(reference, Reading) else reference
    if min_iou is not None:
        iou = mesh_iou(reference, field.to_mesh())
    else:
        iou = field_iou(reference, field, points=_POINTS)
    return Fidelity(
        iou=iou,
        iou_of="field" if min_iou is None else "mesh",
        topology=mesh_topology(field.to_mesh(_RESOLUTION)),
        reference_topology=mesh_topology(mesh, inside_test(mesh, reproducible=False)),
        min_iou=min_iou,
        reading=reading,
    )


def _differ_grossly(found: int, expected: int) -> bool:
    return abs(found - expected) > _GROSS_SHARE * expected


def _bodies(count: int) -> str:
    return f"{count} component{'' if count == 1 else 's'}"
