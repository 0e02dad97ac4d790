"""A mesh as it was read, as it was repaired, and what the one says of the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from doh3d.geometry.formats import read_mesh
from doh3d.geometry.inputs import MeshInput, to_trimesh
from doh3d.geometry.judge import Judge
from doh3d.geometry.mesh import RepairedMesh, repair_and_tell
from doh3d.geometry.occupancy import InsideTest, inside_test
from doh3d.geometry.raw_mesh import RawMesh
from doh3d.geometry.survey import Survey

if TYPE_CHECKING:
    import trimesh

# Shares of the volume from which on people are told.
NOTABLE_UNCLEAR = 0.02
NOTABLE_DIFFERENCE = 0.005


@dataclass(frozen=True)
class Reading:
    """A mesh and its repair. Made by :func:`read_shape`.

    Attributes
    ----------
    raw : RawMesh or trimesh.Trimesh
        The faces as they are in the file, or in memory.
    repaired : RepairedMesh
    """

    raw: RawMesh | trimesh.Trimesh
    repaired: RepairedMesh

    @property
    def mesh(self) -> trimesh.Trimesh:
        """The repaired mesh."""
        return self.repaired.mesh

    @cached_property
    def inside(self) -> InsideTest:
        """Tells what the repaired mesh encloses."""
        return inside_test(self.mesh)

    @cached_property
    def judge(self) -> Judge:
        """Tells what the faces as they were read enclose."""
        return Judge.of(self.raw)

    @cached_property
    def survey(self) -> Survey:
        """What is enclosed, how clearly, and whether judge and repair agree on it."""
        untouched = self.repaired.untouched and self.judge.method == "winding number"
        return Survey.of(self.mesh, self.inside, self.judge, untouched=untouched)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each thing that nothing in the file makes certain."""
        survey = self.survey
        lines = []
        if survey.unclear > NOTABLE_UNCLEAR:
            lines.append(
                f"the surface leaves open what is inside in {survey.unclear:.0%} of the "
                "enclosed volume; openings are closed by a smooth guess, and what is wound inwards "
                "is outside"
            )
        if survey.difference > NOTABLE_DIFFERENCE:
            share = f"{survey.difference:.1%}" if survey.difference < 1 else "100% or more"
            lines.append(
                f"the repaired mesh differs from the file's own faces in {share} of their volume; "
                "IoU is measured against these"
            )
        if survey.undecided > NOTABLE_DIFFERENCE:
            lines.append(
                f"windings and rays disagree on what is inside in {survey.undecided:.1%} of the "
                "volume, which IoU leaves out"
            )
        return tuple(lines)


def read_shape(source: MeshInput, name: str = "mesh", *, exact: bool = False) -> Reading:
    """Read and repair a mesh; one in memory is not changed.

    Parameters
    ----------
    source : path, mesh, or (vertices, faces)
        See :func:`doh3d.geometry.inputs.to_trimesh`.
    name : str
        What messages call a mesh in memory.
    exact : bool, optional
        Refuse a file whose triangles :func:`doh3d.geometry.formats.read_mesh` would thin.

    Raises
    ------
    MeshError
        If the mesh cannot be read or encloses no volume.
    """
    if isinstance(source, str | Path):
        raw: RawMesh | trimesh.Trimesh = read_mesh(Path(source), exact=exact)
        return Reading(raw, repair_and_tell(raw, str(source)))
    raw = to_trimesh(source, name)
    return Reading(raw, repair_and_tell(raw, name))
