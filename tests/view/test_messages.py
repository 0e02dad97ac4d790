import os

from doh3d.view.viewer import OPENED, _lines


def test_lines_come_whole_whatever_the_pieces():
    read, write = os.pipe()
    lines = _lines(read)
    os.write(write, OPENED.encode() + b"wrote /tmp/bu")
    assert next(lines) == OPENED
    os.write(write, "nny-01.png\nzweites Bild: \u00e4.png\n".encode())
    assert next(lines) == "wrote /tmp/bunny-01.png\n"
    assert next(lines) == "zweites Bild: \u00e4.png\n"
    os.close(write)
    assert list(lines) == []
