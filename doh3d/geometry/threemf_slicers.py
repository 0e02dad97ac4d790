"""What slicers note beside a 3MF model: which of its volumes are no material.

PrusaSlicer, and SuperSlicer after it, keep all volumes of an object in one mesh and say in a file
of their own which triangles are whose. Bambu Studio and OrcaSlicer have an object for each volume
and name its role beside it. To a reader that knows of neither, a modifier is material.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from doh3d.geometry.threemf_package import Package

_PRUSA = ("Metadata/Slic3r_PE_model.config", "Metadata/SuperSlicer_model.config")
_BAMBU = "Metadata/model_settings.config"

MATERIAL, NEGATIVE = "material", "negative volume"

# What either calls its volumes.
_ROLES = {
    "modelpart": MATERIAL,
    "normal_part": MATERIAL,
    "negativevolume": NEGATIVE,
    "negative_part": NEGATIVE,
    "parametermodifier": "modifier",
    "modifier_part": "modifier",
    "supportblocker": "support blocker",
    "support_blocker": "support blocker",
    "supportenforcer": "support enforcer",
    "support_enforcer": "support enforcer",
}


@dataclass(frozen=True)
class Volume:
    """Triangles `first` to `last` of an object's mesh."""

    first: int
    last: int
    role: str
    name: str


@dataclass
class Roles:
    """What the slicers say.

    Attributes
    ----------
    volumes : dict
        Of an object of the root model, its volumes.
    parts : dict
        Of an assembly of the root model and the object that a component of it is, role and name.
    """

    volumes: dict[str, list[Volume]] = field(default_factory=dict)
    parts: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)


def read_roles(package: Package) -> Roles:
    """Read whatever a slicer has noted.

    Raises
    ------
    ValueError
        If a note is damaged.
    """
    roles = Roles()
    for name in (*_PRUSA, _BAMBU):
        if name in package:
            _Notes(roles).read(package, name)
    return roles


class _Notes:
    """One file of notes while it is parsed; both kinds have the same skeleton."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._object = ""
        self._within: dict[str, str] | None = None
        self._role = self._name = ""

    def read(self, package: Package, name: str) -> None:
        package.parse(name, self._start, self._end)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "object":
            self._object = attributes.get("id", "")
        elif tag in ("volume", "part"):
            self._within = attributes
            self._role, self._name = attributes.get("subtype", ""), ""
        elif tag == "metadata" and self._within is not None:
            key, value = attributes.get("key"), attributes.get("value", "")
            if key == "volume_type":
                self._role = value
            elif key == "modifier" and value == "1" and not self._role:
                # As it was noted before volumes had types.
                self._role = "ParameterModifier"
            elif key == "name":
                self._name = value

    def _end(self, tag: str) -> None:
        if tag not in ("volume", "part") or self._within is None:
            return
        role = _ROLES.get(self._role.lower() or "modelpart", self._role)
        if tag == "part":
            key = self._object, self._within.get("id", "")
            self._roles.parts[key] = role, self._name
        else:
            first, last = int(self._within["firstid"]), int(self._within["lastid"])
            volume = Volume(first, last, role, self._name)
            self._roles.volumes.setdefault(self._object, []).append(volume)
        self._within = None
