"""Pages that hold `.doh` files."""

import base64
import json
import re
from pathlib import Path

import pytest

from doh3d.errors import ConfigError, FormatError
from doh3d.view.camera import Camera
from doh3d.view.page import filled_page, write_page

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


def files_in(page):
    """The names and bytes that a page holds."""
    found = re.search(r'id="doh-files">(.*?)</script>', page, re.DOTALL)
    return {each["name"]: base64.b64decode(each["data"]) for each in json.loads(found[1])}


@pytest.fixture
def shape(tmp_path):
    path = tmp_path / "shape.doh"
    path.write_bytes(bytes.fromhex((GOLDEN / "standard.hex").read_text()))
    return path


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.doh"
    path.write_bytes(bytes.fromhex((GOLDEN / "images" / "image.hex").read_text()))
    return path


def test_a_page_holds_the_files_and_is_small(run, shape, image, tmp_path):
    output = tmp_path / "page.html"
    status, printed, _ = run("page", shape, image, "-o", output, "--up", "z", "--resolution", 64)
    assert status == 0
    page = output.read_text()
    assert files_in(page) == {path.name: path.read_bytes() for path in (shape, image)}
    assert 'up="z" azimuth="20" elevation="15" resolution="64"' in page
    assert "<title>shape.doh</title>" in page
    # With a file of 1 kB, too.
    assert len(page) + 4 / 3 * (1024 - shape.stat().st_size) < 80_000
    assert printed == f"{output}: 2 files, {output.stat().st_size:,} bytes\n"


def test_without_output_it_lies_beside_the_file(run, shape):
    status, printed, _ = run("page", shape, "--json")
    output = shape.with_suffix(".html")
    assert status == 0
    assert json.loads(printed) == {
        "output": str(output),
        "bytes": output.stat().st_size,
        "files": 1,
    }
    status, _, error = run("page", shape, "--force", "--up", "w")
    assert (status, error) == (2, "doh3d: error: --up is 'w'; it must be one of x, y, z\n")
    status, _, error = run("page", shape)
    assert (status, "is there already" in error) == (2, True)


def test_names_and_titles_are_text():
    hostile = "</script><script>alert(1)</script>@script@"
    file = {"name": hostile, "data": "AAAA"}
    page = filled_page(title=hostile, camera=Camera(), resolution=32, files=[file])
    assert "<script>alert" not in page
    assert list(files_in(page)) == [hostile]
    assert page.count("</script>") == 2
    assert page.count("@script@") == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 4}, "resolution is 4"),
        ({"files": []}, "there is no file to show"),
        ({"output": "nowhere/page.html"}, "nowhere"),
    ],
)
def test_wrong_options_are_refused(shape, tmp_path, options, message):
    values = {"files": [shape], "output": "page.html"} | options
    values["output"] = tmp_path / values["output"]
    with pytest.raises(ConfigError, match=message):
        write_page(**values)
    assert not values["output"].exists()


def test_what_is_no_doh_file_is_refused(shape, tmp_path):
    damaged = tmp_path / "damaged.doh"
    damaged.write_bytes(shape.read_bytes()[:-1] + b"?")
    with pytest.raises(FormatError, match=r"damaged\.doh: damaged or truncated"):
        write_page([shape, damaged], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_too_many_files_are_refused(shape, tmp_path, monkeypatch):
    monkeypatch.setattr("doh3d.view.page._MOST_BYTES", 100)
    with pytest.raises(ConfigError, match="at most 100 go into one"):
        write_page([shape, shape], tmp_path / "page.html")
