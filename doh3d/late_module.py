"""Modules that are heavy to load, as annotations name them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class LateModule:
    """A module that is imported when something of it is asked for.

    A module of ours that loads trimesh only where it computes cannot import it for its
    annotations. It has this instead, under the module's name and beside an import for type
    checkers, so that `typing.get_type_hints` finds what the annotations say.

    Parameters
    ----------
    name : str
        Absolute, as `importlib.import_module` takes it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Import the module, and return what it has under a name."""
        return getattr(import_module(self._name), attribute)
