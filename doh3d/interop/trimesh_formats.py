"""`.doh` files among the formats that trimesh reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from doh3d.errors import FormatError
from doh3d.limits import DEFAULT_LIMITS, MAX_FILE_BYTES, Limits

if TYPE_CHECKING:
    import trimesh

EXTENSION = "doh"


def register_trimesh() -> None:
    """Teach trimesh to read and write `.doh` files, for the rest of the process.

    After it ``trimesh.load_mesh("x.doh")`` and ``trimesh.load("x.doh")`` extract the surface (the
    latter puts it into a scene, as for any format that trimesh does not know by heart), and
    ``mesh.export("x.doh")`` compresses a mesh. Options are passed on: `resolution`, `device` and
    `limits` to reading, those of :func:`doh3d.compress` to writing, such as `max_bytes` and
    `preset`. Calling it again changes nothing.

    Errors are doh3d's. trimesh opens a file before it asks for its content, so that one that
    could not be made is left empty; ``doh3d.compress(mesh).save(path)`` leaves none.
    """
    from trimesh.exchange import export, load

    load.mesh_loaders[EXTENSION] = load_doh
    export._mesh_exporters[EXTENSION] = export_doh


def load_doh(
    file_obj: BinaryIO,
    *,
    resolution: int = 256,
    device: str = "auto",
    limits: Limits = DEFAULT_LIMITS,
    **options: Any,
) -> dict[str, Any]:
    """Read an open `.doh` file as trimesh's loaders do: what its mesh is made of.

    Parameters
    ----------
    file_obj : binary file
    resolution : int
        Cells along the longest side when extracting, 8 to 1024.
    device, limits
        See `doh3d.load`.
    **options
        Others of trimesh's, which its mesh takes.

    Returns
    -------
    dict
        `vertices` (V, 3) float64 in the mesh's own units, `faces` (F, 3) int64; and `process`,
        False unless asked for: the surface is welded.

    Raises
    ------
    FormatError
        If the file is not a valid `.doh` file of a shape, or is beyond `limits`.
    ConfigError
        For a resolution out of range.
    """
    from doh3d.codec.container import parse
    from doh3d.field import OccupancyField

    data = file_obj.read(min(limits.file_bytes, MAX_FILE_BYTES) + 1)
    try:
        code = parse(data, limits)
    except FormatError as error:
        raise FormatError(f"{getattr(file_obj, 'name', 'file')}: {error}") from error
    mesh = OccupancyField(code, device, limits=limits).to_mesh(resolution)
    return {
        "vertices": mesh.vertices,
        "faces": mesh.faces,
        "process": options.get("process", False),
    }


def export_doh(mesh: trimesh.Trimesh, **options: Any) -> bytes:
    """Return a mesh as a `.doh` file, as trimesh's exporters do; see `doh3d.compress`."""
    from doh3d.api.compress import compress

    return compress(mesh, **options).data
