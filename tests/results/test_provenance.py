from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import provenance

SCRIPTS = Path(provenance.__file__).parent


def hashed(text):
    return repr(provenance.tree(provenance.without_docstrings(ast.parse(text))))


CODE = '''
"""A module."""

class A:
    """A class."""

    def f(self, x: int = 0) -> str:
        """Return a text."""
        # A comment.
        return f"{x:>{8}} {x!r}" if x else None
'''


def test_words_and_layout_change_no_hash():
    bare = """
class A:
    def f(self, x: int = 0) -> str:
        return (
            f"{x:>{8}} {x!r}" if x else None)
"""
    assert hashed(CODE) == hashed(bare)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x: int = 0", "x: int = 1"),
        ("x: int = 0", "x: float = 0"),
        ("x!r", "x!s"),
        ("else None", "else 0"),
        (" if x ", " if not x "),
        ("return", "x ="),
    ],
)
def test_what_code_does_changes_its_hash(old, new):
    assert old in CODE
    assert hashed(CODE) != hashed(CODE.replace(old, new))


def test_the_codec_is_the_package_without_what_only_shows():
    names = {name for name, _ in provenance.sources("codec")}
    for used in (
        "fitting/fit.py",
        "codec/entropy_tables.npz",
        "field.py",
        "limits.py",
        "options.py",
    ):
        assert used in names
    for shown in ("cli.py", "view/report.py", "commands/compress.py", "dataset/batch.py"):
        assert shown not in names
    assert not any("pycache" in name for name in names)


def test_images_do_not_depend_on_what_only_shapes_need():
    names = {name for name, _ in provenance.sources("images")}
    assert {"signals/image.py", "evaluation/image.py", "fitting/fit.py", "images/field.py"} <= names
    assert not any(name.startswith(("geometry", "operations", "signals/shape")) for name in names)
    codec = [name for name, _ in provenance.sources("codec")]
    for chosen in provenance.OF_SHAPES:
        assert any(name.startswith(chosen) for name in codec), chosen
    assert provenance.part_of("kodak", {}) == provenance.part_of("image-sizes", {}) == "images"


def test_peers_do_not_depend_on_fitting():
    names = {name for name, _ in provenance.sources("peers")}
    assert {"decimation.py", "evaluation/draco.py", "geometry/occupancy.py"} <= names
    assert not any(name.startswith(("fitting", "codec")) for name in names)
    with pytest.raises(ValueError, match=r"part is 'all'; it must be codec, images, peers or web"):
        next(provenance.sources("all"))


def test_what_is_shown_is_there():
    package = Path(importlib.import_module("doh3d").__file__).parent
    assert all((package / name).exists() for name in provenance.SHOWN)


def test_rows_of_code_that_is_known_to_be_alike_are_present(monkeypatch):
    present = provenance.code("codec")
    row = {"method": "codec", "code": "0123abcd"}
    assert provenance.is_present("rd", row | {"code": present})
    assert not provenance.is_present("rd", row)
    monkeypatch.setattr(provenance, "ALIKE", {present: ("0123abcd",)})
    assert provenance.is_present("rd", row)
    # The next change of the code ends it.
    monkeypatch.setattr(provenance, "ALIKE", {"another": ("0123abcd",)})
    assert not provenance.is_present("rd", row)
    assert not provenance.is_present("rd", row | {"code": ""})


def test_an_organ_is_no_history():
    assert provenance.is_history("pieces", {"label": "before"})
    assert not provenance.is_history("pieces", {"label": "now"})
    assert not provenance.is_history("volumes", {"label": "5"})


def test_one_module_says_where_rows_are_from():
    dated = [path.name for path in SCRIPTS.rglob("*.py") if ".today()" in path.read_text()]
    assert dated == ["provenance.py"]
    # What is written with csv's writers goes to out/, and is no result.
    written = [path.name for path in SCRIPTS.rglob("*.py") if "DictWriter" in path.read_text()]
    assert written == ["check_meshes.py"]
