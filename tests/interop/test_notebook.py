import base64
import io
import re
import sys

import numpy as np
import pytest
import trimesh
from PIL import Image


def test_a_notebook_shows_a_picture_and_the_sizes(compressed):
    pytest.importorskip("open3d")
    for shape in (compressed, compressed.field()):
        shown = shape._repr_html_()
        assert f"{len(compressed.data):,} bytes" in shown
        assert "200 numbers" in shown
        assert "2 x 16 smooth" in shown
        png = re.search(r'src="data:image/png;base64,([^"]+)"', shown)
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(png[1]))).convert("L"))
        # White, and a shape of many shades on it.
        assert picture[0, 0] == 255
        assert len(np.unique(picture)) > 50
        # Nothing is fetched.
        assert "http" not in shown


def test_ipython_finds_the_representation(compressed):
    pytest.importorskip("open3d")
    interactive = pytest.importorskip("IPython.core.formatters")
    data, _ = interactive.DisplayFormatter().format(compressed.field())
    assert set(data) == {"text/plain", "text/html"}
    assert data["text/plain"] == repr(compressed.field())


def test_without_the_extra_there_is_the_text(compressed, monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    for shape in (compressed, compressed.field()):
        assert shape._repr_html_() is None
        assert re.fullmatch(
            rf"<doh3d\.{type(shape).__name__}: size {len(compressed.data)} bytes, latent 200 "
            r"numbers in \d+ bytes, network 2 x 16 smooth, \d+ weights, \d+ biases in \d+ bytes>",
            repr(shape),
        )


def test_where_nothing_is_inside_there_is_the_text(compressed, monkeypatch):
    field = compressed.field()
    monkeypatch.setattr(field, "to_mesh", lambda resolution: trimesh.Trimesh())
    assert field._repr_html_() is None
