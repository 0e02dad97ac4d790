"""The archive around a 3MF model: its parts by name, and which of them is the root."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote
from xml.parsers import expat

# Bytes of XML that are read: for millions of triangles enough, and little of what a zip archive of
# a megabyte can unfold to.
_MOST_BYTES = 1 << 28
_CHUNK = 1 << 16

# Bytes of one tag or comment, which are parsed anew with each chunk until it ends.
_LONGEST_TAG = 1 << 20

_RELATIONSHIPS = "_rels/.rels"
_MODEL_TYPE = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
_USUAL_MODEL = "3d/3dmodel.model"

StartElement = Callable[[str, dict[str, str]], None]


class Package:
    """An open archive.

    Names of parts are compared as the Open Packaging Conventions ask: without regard to case, and
    percent-encoded or not.
    """

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        self._names = {part_name(name): name for name in self._archive.namelist()}
        self._left = _MOST_BYTES

    def __enter__(self) -> Package:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the archive."""
        self._archive.close()

    def __contains__(self, name: str) -> bool:
        """Whether there is a part of that name."""
        return part_name(name) in self._names

    def root(self) -> str:
        """Name of the model that the package is about.

        Its relationships name it; where they do not, it is at the place that most writers choose.

        Raises
        ------
        ValueError
            If there is none.
        """
        targets: list[str] = []

        def start(name: str, attributes: dict[str, str]) -> None:
            if name.rpartition(" ")[2] == "Relationship" and attributes.get("Type") == _MODEL_TYPE:
                targets.append(attributes.get("Target", ""))

        if _RELATIONSHIPS in self:
            self.parse(_RELATIONSHIPS, start)
        name = part_name(targets[0] if targets else _USUAL_MODEL)
        if name not in self._names:
            raise ValueError(f"the archive has no {name}, which its 3D model should be")
        return name

    def parse(
        self,
        name: str,
        start: StartElement,
        end: Callable[[str], None] | None = None,
        declared: Callable[[str, str], None] | None = None,
    ) -> None:
        """Read a part's XML; names come as "namespace local".

        Parameters
        ----------
        name : str
            Of the part.
        start, end : callable
            Called with each element's name, and with its attributes where it starts.
        declared : callable, optional
            Called with prefix and namespace before the element that declares them.

        Raises
        ------
        ValueError
            If there is no such part, or it is too large, or declares entities.
        """
        part = part_name(name)
        if part not in self._names:
            raise ValueError(f"the archive has no {part}")
        info = self._archive.getinfo(self._names[part])
        self._left -= info.file_size
        if self._left < 0:
            raise ValueError(f"its models are larger than {_MOST_BYTES} bytes; simplify it first")
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = start
        if end is not None:
            parser.EndElementHandler = end
        if declared is not None:
            parser.StartNamespaceDeclHandler = lambda prefix, uri: declared(prefix or "", uri or "")
        parser.EntityDeclHandler = _refuse_entities
        with self._archive.open(info) as file:
            while chunk := file.read(_CHUNK):
                parser.Parse(chunk, False)
                if file.tell() - parser.CurrentByteIndex > _LONGEST_TAG:
                    raise ValueError(f"a tag or comment is longer than {_LONGEST_TAG} bytes")
            parser.Parse(b"", True)


def part_name(name: str) -> str:
    """Bring a part's name to the form in which names are compared."""
    return posixpath.normpath(unquote(name).replace("\\", "/").lstrip("/")).lower()


def _refuse_entities(*_: object) -> None:
    raise ValueError("it declares entities, which 3MF has no use for")
