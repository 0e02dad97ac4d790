"""What the site says of the code, which is generated, and what it must not need."""

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import doh3d
from doh3d import cli

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built: warnings are errors."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, ROOT / "scripts" / "build_docs.py", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder


@pytest.mark.slow
def test_every_page_command_and_public_name_is_there(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {path.stem for path in site.glob("*.html")}
    commands = (site / "commands.html").read_text()
    for command in cli.app.registered_commands:
        assert f'id="doh3d-{command.name}"' in commands
    api = (site / "api.html").read_text()
    for name in doh3d.__all__:
        assert name == "__version__" or f'id="doh3d.{name}"' in api


@pytest.mark.slow
def test_pages_need_no_network(site):
    for page in site.glob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|link rel="stylesheet")[^>]*?(?:src|href)="([^"]+)"', page.read_text()
        )
        assert loaded
        assert not [address for address in loaded if "//" in address], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*['\"]?https?:", sheet.read_text()), sheet.name


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_are_blocks_of_code(page):
    # At the beginning of a line Markdown takes the prompt for three quotations.
    assert not re.search(r"^>>>", page.read_text(), re.MULTILINE)


def test_every_place_has_its_page():
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("build_docs", ROOT / "scripts/build_docs.py")
    build_docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_docs)
    listed = [page for part in build_docs.NAVIGATION.values() for page in part]
    generated = {"commands", "api", *(name.removesuffix(".md") for name in build_docs.TOP)}
    written = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert len(listed) == len(set(listed))
    assert set(listed) <= written | generated


def test_what_the_map_names_is_there():
    text = (ROOT / "docs" / "map.md").read_text()
    names = re.findall(r"`([\w/]+(?:\.\w+)+)(?:\([^`]*\))?`", text)
    folders = {path.stem for path in (ROOT / "doh3d").iterdir()}
    modules, objects = [], []
    for name in names:
        if name.endswith(".py"):
            modules.append(name)
        elif name.split(".")[0] in folders:
            objects.append(name)
    assert len(modules) > 20
    assert len(objects) > 15
    for name in modules:
        places = [ROOT / name, *(ROOT / "doh3d").glob(f"**/{name}")]
        assert any(place.exists() for place in places), name
    for name in objects:
        module, *attributes = re.match(r"([a-z_.]+)\.(\w+)(?:\.(\w+))?$", name).groups()
        found = importlib.import_module(f"doh3d.{module}")
        for attribute in filter(None, attributes):
            found = getattr(found, attribute)
