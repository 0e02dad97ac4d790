"""Compress 3D shapes to about a kilobyte with D'OH, the decoder-only random hypernetwork.

>>> import doh3d  # doctest: +SKIP
>>> shape = doh3d.compress("bunny.ply")  # doctest: +SKIP
>>> shape.save("bunny.doh")  # doctest: +SKIP
>>> field = doh3d.load("bunny.doh")  # doctest: +SKIP
>>> mesh = field.to_mesh(resolution=256)  # doctest: +SKIP
"""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from doh3d.errors import (
    ConfigError,
    Doh3dError,
    FormatError,
    ImageError,
    MeshError,
    TargetError,
    VolumeError,
)

if TYPE_CHECKING:
    from doh3d.api.compress import compress, compress_image, fit_many
    from doh3d.api.compressed import CompressedImage, CompressedShape
    from doh3d.dataset.shape_set import ShapeSet
    from doh3d.evaluation.evaluate import Evaluation, evaluate
    from doh3d.evaluation.image import ImageEvaluation, evaluate_image
    from doh3d.evaluation.volume import VolumeEvaluation, evaluate_volume
    from doh3d.field import OccupancyField, load
    from doh3d.fitting.results import FitProgress
    from doh3d.geometry.mesh import load_mesh
    from doh3d.geometry.voxels import VoxelGrid
    from doh3d.images.field import ImageField, load_image
    from doh3d.interop.trimesh_formats import register_trimesh
    from doh3d.limits import Limits
    from doh3d.operations.rays import RayHits
    from doh3d.operations.slices import FieldSlice
    from doh3d.volumes.files import load_volume
    from doh3d.volumes.writing import save_volume

__version__ = _version("doh3d")

# Quiet unless the program that uses the package, or `doh3d --verbose`, wants to hear.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "CompressedImage",
    "CompressedShape",
    "ConfigError",
    "Doh3dError",
    "Evaluation",
    "FieldSlice",
    "FitProgress",
    "FormatError",
    "ImageError",
    "ImageEvaluation",
    "ImageField",
    "Limits",
    "MeshError",
    "OccupancyField",
    "RayHits",
    "ShapeSet",
    "TargetError",
    "VolumeError",
    "VolumeEvaluation",
    "VoxelGrid",
    "__version__",
    "compress",
    "compress_image",
    "evaluate",
    "evaluate_image",
    "evaluate_volume",
    "fit_many",
    "load",
    "load_image",
    "load_mesh",
    "load_volume",
    "register_trimesh",
    "save_volume",
]

# Where each public name lives. They are imported when first used, since torch and trimesh
# take seconds to load.
_HOMES = {
    "CompressedImage": "doh3d.api.compressed",
    "CompressedShape": "doh3d.api.compressed",
    "Evaluation": "doh3d.evaluation.evaluate",
    "FieldSlice": "doh3d.operations.slices",
    "FitProgress": "doh3d.fitting.results",
    "ImageEvaluation": "doh3d.evaluation.image",
    "ImageField": "doh3d.images.field",
    "Limits": "doh3d.limits",
    "OccupancyField": "doh3d.field",
    "RayHits": "doh3d.operations.rays",
    "ShapeSet": "doh3d.dataset.shape_set",
    "VolumeEvaluation": "doh3d.evaluation.volume",
    "VoxelGrid": "doh3d.geometry.voxels",
    "compress": "doh3d.api.compress",
    "compress_image": "doh3d.api.compress",
    "evaluate": "doh3d.evaluation.evaluate",
    "evaluate_image": "doh3d.evaluation.image",
    "evaluate_volume": "doh3d.evaluation.volume",
    "fit_many": "doh3d.api.compress",
    "load": "doh3d.field",
    "load_image": "doh3d.images.field",
    "load_mesh": "doh3d.geometry.mesh",
    "load_volume": "doh3d.volumes.files",
    "register_trimesh": "doh3d.interop.trimesh_formats",
    "save_volume": "doh3d.volumes.writing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'doh3d' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
