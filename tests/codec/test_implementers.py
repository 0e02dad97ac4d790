"""The walk through a golden file in docs/implementers.md, against the file."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest

from doh3d.codec.container import parse
from doh3d.codec.header import header_fields
from doh3d.field import OccupancyField
from golden_files import golden_codes, path_of

TEXT = (Path(__file__).parents[2] / "docs" / "implementers.md").read_text()
CODE = golden_codes()["mirrored"]
DATA = bytes.fromhex(path_of("mirrored", CODE).read_text())
ROWS = re.findall(r"^\| (\d+) \| `([0-9a-f ]+)` \| ([a-z ]+) \|", TEXT, re.MULTILINE)


def test_the_rows_are_the_files_bytes():
    assert b"".join(bytes.fromhex(row[1]) for row in ROWS) == DATA
    assert f"has {len(DATA)} bytes" in TEXT
    position = 0
    for at, packed, _ in ROWS:
        assert int(at) == position
        position += len(bytes.fromhex(packed))


def test_the_rows_are_the_headers_fields():
    fields = [(name, packed.hex(" ")) for name, packed in header_fields(CODE)]
    assert [(name, packed) for _, packed, name in ROWS] == [
        *fields,
        ("stream", DATA[ROWS_END:-4].hex(" ")),
        ("checksum", DATA[-4:].hex(" ")),
    ]


ROWS_END = sum(len(packed) for _, packed in header_fields(CODE))


def test_values_weights_and_the_point_are_those_of_the_file():
    code = parse(DATA)
    field = OccupancyField(code, "cpu")
    assert f"    {' '.join(map(str, code.latent.values.tolist()))}\n" in TEXT
    first = np.concatenate([m.numpy().ravel() for m in field.weights.matrices])[:4]
    assert f"    {' '.join(f'{bits:08x}' for bits in first.view(np.uint32))}\n" in TEXT
    assert f"P = {code.architecture.weight_count} weights" in TEXT
    transform = code.transform
    assert [round(number * 2**15) for number in transform.centre] == [3277, -1, 8192]
    assert transform.scale == 259 / 256
    words = struct.unpack(">2I", DATA[ROWS_END:-4])
    assert "0x{:08x} and 0x{:08x}".format(*words) in TEXT
    assert f"{int.from_bytes(DATA[-4:], 'little'):#010x}" in TEXT
    told = float(re.search(r"gives the logit (-?\d+\.\d+)", TEXT).group(1))
    assert field.logits(np.array([[0.3, -0.2, 0.5]]))[0] == pytest.approx(told, abs=1e-4)
