"""What a `.doh` file decodes to: an occupancy field, and from it a mesh."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
import torch

from doh3d.codec.container import read_code
from doh3d.codec.inspection import describe
from doh3d.codec.shape_code import ShapeCode
from doh3d.codec.signal_code import SignalCode
from doh3d.devices import resolve_device
from doh3d.errors import ConfigError
from doh3d.field_lattice import OccupancyLattice
from doh3d.geometry.extraction import extract
from doh3d.geometry.filling import fill_grid
from doh3d.geometry.lattice import Lattice, MeshMethod, as_method, check_resolution
from doh3d.geometry.voxels import VoxelLattice
from doh3d.hypernetwork.decoder import generate_weights, generate_weights_exact
from doh3d.hypernetwork.projection import make_projection
from doh3d.hypernetwork.target import TargetWeights
from doh3d.interop.notebook import shape_html, summary
from doh3d.late_module import LateModule
from doh3d.limits import DEFAULT_LIMITS, MAX_RESOLUTION, Limits
from doh3d.operations.blocks import BlockSigns, blocks_lattice
from doh3d.operations.field_operations import FieldOperations
from doh3d.operations.normalized import NormalizedField
from doh3d.operations.sharpening import sharpened
from doh3d.thread_team import team_of_all_threads

if TYPE_CHECKING:
    import trimesh
else:
    trimesh = LateModule("trimesh")

# Points evaluated at a time: activations of this many stay within the cache.
_CPU_CHUNK = 2**12
_DEVICE_CHUNK = 2**18


class OccupancyField(FieldOperations):
    """The occupancy field of one shape.

    The weights are decoded from the code, unless they are given. Of the limits only those of the
    extraction count here.

    Attributes
    ----------
    code : ShapeCode
        What the file holds.
    weights : TargetWeights
        The target network's weights, float32.
    network : NormalizedField
        Both, as a function of normalised coordinates.
    """

    def __init__(
        self,
        code: ShapeCode,
        device: str | torch.device = "auto",
        *,
        weights: TargetWeights | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.code = code
        self._limits = limits
        self._device = resolve_device(device)
        self.weights = decode_weights(code, self._device) if weights is None else weights
        self.chunk = _CPU_CHUNK if self._device.type == "cpu" else _DEVICE_CHUNK
        self.network = NormalizedField(code, self.weights, self.chunk)

    @property
    def bounds(self) -> npt.NDArray[np.float64]:
        """(2, 3) corners of the box around the field's domain, in the mesh's own units and axes.

        Beyond it everything is outside.
        """
        return self.code.bounds

    @overload
    def logits(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]: ...
    @overload
    def logits(self, points: torch.Tensor) -> torch.Tensor: ...
    def logits(
        self, points: npt.NDArray[np.floating] | torch.Tensor
    ) -> npt.NDArray[np.float32] | torch.Tensor:
        """Logits of occupancy: positive inside, negative outside, -inf beyond the domain.

        A network that overflows float32 gives infinities and NaN there; NaN counts as outside.
        Tensors that require gradients get them through the logits, by torch's autograd; memory
        then grows with the points.

        Parameters
        ----------
        points : (N, 3) float, numpy or torch
            In the mesh's own units.

        Returns
        -------
        (N,) float32
            Of the points' kind and, for torch, on their device.
        """
        if isinstance(points, torch.Tensor):
            _check_points(points, odd=points.dtype == torch.bool or points.is_complex())
            # Double precision, since coordinates may lie far from the origin; MPS has none.
            host = points if points.device.type != "mps" else points.cpu()
            values = self.network.logits(self.network.place(self.network.normalized(host.double())))
            return values.to(points.device)
        points = np.asarray(points)
        _check_points(points, odd=points.dtype.kind not in "fiu")
        with np.errstate(over="ignore"):  # far beyond the domain
            normalized_points = self.code.transform.to_normalized(points).astype(np.float32)
        return self.normalized_logits(normalized_points)

    @overload
    def occupancy(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]: ...
    @overload
    def occupancy(self, points: torch.Tensor) -> torch.Tensor: ...
    def occupancy(
        self, points: npt.NDArray[np.floating] | torch.Tensor
    ) -> npt.NDArray[np.bool_] | torch.Tensor:
        """Whether (N, 3) points, in the mesh's own units, are inside; (N,) bool.

        A point whose coordinates are not finite is outside.
        """
        return self.logits(points) > 0

    def to_mesh(
        self,
        resolution: int = 256,
        *,
        method: MeshMethod = "marching-cubes",
        normals: bool = False,
    ) -> trimesh.Trimesh:
        """Extract the surface as a closed mesh in the mesh's own units.

        Parameters
        ----------
        resolution : int
            Cells along the longest side of the domain, 8 to 1024.
        method : {"marching-cubes", "dual"}
            "dual" moves the vertices of marching cubes to where the field's tangent planes meet:
            with as many triangles creases are sharper and the surface is nearer.
        normals : bool
            Whether the vertices have the field's normals, which PLY and GLB then hold.

        Raises
        ------
        ConfigError
            For a resolution out of range, or one at which the surface is beyond the limits; for an
            unknown method.
        """
        import trimesh

        check_resolution(resolution)
        lattice = Lattice.over_box(self.code.half_extents, resolution)
        latents = len(self.code.latent.values)
        with team_of_all_threads() as team:
            vertices, faces = extract(
                OccupancyLattice(
                    self,
                    lattice,
                    lambda work: self._limits.check_work(work, latents, resolution),
                    team,
                ),
                lambda crossed: self._limits.check_surface(crossed, resolution),
            )
        vertices = lattice.positions(vertices)
        if as_method(method) == "dual":
            vertices = sharpened(self.network, vertices, faces, lattice.spacing)
        vertices = self.code.transform.to_world(vertices)
        own = self.normals(vertices) if normals and len(faces) else None
        return trimesh.Trimesh(vertices, faces, vertex_normals=own, process=False)

    @property
    def voxels(self) -> VoxelLattice | None:
        """The lattice of the grid that the file was made from; None where it says none."""
        lattice, affine = self.code.extras.lattice, self.code.extras.affine
        if lattice is None or affine is None:
            return None
        return VoxelLattice.of(lattice, [*affine, [0.0, 0.0, 0.0, 1.0]])

    def to_grid(
        self, shape: tuple[int, int, int] | None = None, affine: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.bool_]:
        """Evaluate the field at the centres of voxels: whether each is inside.

        Only those voxels are evaluated whose side the bounds do not tell.

        Parameters
        ----------
        shape : three integers, optional
            Voxels along each axis; the file's own grid, see `voxels`, where neither is given.
        affine : (4, 4) float, optional
            From voxel indices to the field's own units; any that has an inverse.

        Returns
        -------
        (I, J, K) bool

        Raises
        ------
        ConfigError
            If only one of them is given, or none and the file says no grid; or it takes more work
            than the limits allow.
        VolumeError
            If there is no such lattice, or it has more than 2^28 voxels.
        """
        if (shape is None) != (affine is None):
            raise ConfigError("shape and affine go together; give both, or none of them")
        lattice = self.voxels if shape is None else VoxelLattice.of(shape, affine)
        if lattice is None:
            raise ConfigError("the file says no grid; give a shape and an affine")
        half_extents = self.code.half_extents
        spacing = lattice.voxel_volume ** (1 / 3) / self.code.transform.scale
        blocks = blocks_lattice(half_extents, spacing, MAX_RESOLUTION)
        resolution = max(1, math.ceil(2 * float(half_extents.max()) / spacing))
        latents = len(self.code.latent.values)
        with team_of_all_threads() as team:
            field = OccupancyLattice(
                self, blocks, lambda work: self._limits.check_work(work, latents, resolution), team
            )
            return fill_grid(
                lattice,
                half_extents,
                self.bounds,
                self.code.transform.to_normalized,
                BlockSigns.of(field, blocks).at,
                self.occupancy,
            )

    def to_tensors(
        self, resolution: int = 256, device: str | torch.device = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Extract as `to_mesh` does, to torch tensors.

        Returns
        -------
        vertices : (V, 3) float64
            In the mesh's own units; float32 on MPS, which has no float64.
        faces : (F, 3) int64
        """
        mesh = self.to_mesh(resolution)
        place = torch.device(device)
        vertices = torch.from_numpy(np.array(mesh.vertices, dtype=np.float64))
        if place.type == "mps":
            vertices = vertices.float()
        return vertices.to(place), torch.from_numpy(np.array(mesh.faces, np.int64)).to(place)

    def to_open3d(self, resolution: int = 256) -> Any:
        """Extract as `to_mesh` does, to an `open3d.t.geometry.TriangleMesh` on the CPU.

        Positions are float32, as Open3D's ray casting wants them, or float64 where float32 cannot
        hold a mesh of its place and size; indices are int64.

        Raises
        ------
        ConfigError
            As `to_mesh`; or Open3D is not installed.
        """
        from doh3d.interop.open3d_mesh import to_open3d

        return to_open3d(self.to_mesh(resolution))

    def __repr__(self) -> str:
        """Bytes, latent and network in one line."""
        return summary("OccupancyField", describe(self.code))

    def _repr_html_(self) -> str | None:
        """Show the shape and its sizes in a notebook; text without the extra `view`."""
        return shape_html(describe(self.code), self.to_mesh)

    @torch.no_grad()
    def normalized_logits(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits as `logits` gives them, of (N, 3) points in normalised coordinates."""
        logits = self.network.logits(torch.from_numpy(points).to(self._device))
        return logits.cpu().numpy()


def decode_weights(code: SignalCode, device: torch.device) -> TargetWeights:
    """Generate the target network's weights from a file's latent and biases.

    Bit-identical on every device where both are quantised.
    """
    projection = make_projection(
        "dense" if code.dense_projection else "hadamard",
        len(code.latent.values),
        code.architecture.layer_sizes,
        code.seed,
        device,
    )
    latent = torch.from_numpy(code.latent.values).to(device)
    biases = torch.from_numpy(code.biases.values).to(device)
    if code.latent.is_raw:
        bias_values = biases.to(torch.float32) * (1.0 if code.biases.is_raw else code.biases.step)
        return generate_weights(code.architecture, projection, latent, bias_values)
    bias_step = 1.0 if code.biases.is_raw else code.biases.step
    return generate_weights_exact(
        code.architecture, projection, latent, code.latent.step, biases, bias_step
    )


def load(
    path: str | Path,
    device: str | torch.device = "auto",
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> OccupancyField:
    """Read and check a `.doh` file.

    Parameters
    ----------
    path : path
    device : "auto", "cpu", "cuda" or "mps"
    limits : Limits
        What is taken from a file. By default what decodes in about a second and 200 MB;
        ``Limits.of_format()`` for whatever the format allows.

    Raises
    ------
    FormatError
        If the file is not a valid `.doh` file, or is beyond `limits`.
    ConfigError
        If there is no such file, or it cannot be read.
    """
    return OccupancyField(read_code(path, limits), device, limits=limits)


def _check_points(points: npt.NDArray[Any] | torch.Tensor, *, odd: bool) -> None:
    if odd:
        raise TypeError(f"points are {points.dtype}; they must be real numbers")
    if len(points.shape) != 2 or points.shape[1] != 3:
        raise ConfigError(f"points have shape {tuple(points.shape)}; it must be (N, 3)")
