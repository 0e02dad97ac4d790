"""Text as mesh files have it: its encoding, and how they write what is no number."""

from __future__ import annotations

import codecs
import re

# UTF-32's mark in little endian starts with UTF-16's.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

# ASCII of two bytes each, as files start whose mark is missing.
_ASCII = rb"[\t\n\r -~]"
_UNMARKED = {
    re.compile(rb"(?:%s\0){8}" % _ASCII): "utf-16-le",
    re.compile(rb"(?:\0%s){8}" % _ASCII): "utf-16-be",
}

# As C libraries write it: nan(ind), -nan(snan), nan(0x8000), 1.#IND, -1.#QNAN00, 1.#INF, 1.#J.
_NOT_A_NUMBER = re.compile(r"[+-]?(nan(\(\w*\)|[qs])?|\d\.\d*#[a-z]+\d*)", re.IGNORECASE)


def as_utf8(data: bytes) -> bytes:
    """Return what a file holds without a byte order mark, text of UTF-16 or UTF-32 as UTF-8.

    Anything else comes back as it is. What its encoding does not allow becomes U+FFFD, which
    readers pass over in names and comments, and refuse in numbers.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            data = data[len(mark) :]
            return data if encoding == "utf-8" else _recode(data, encoding)
    for pattern, encoding in _UNMARKED.items():
        if pattern.match(data):
            return _recode(data, encoding)
    return data


def _recode(data: bytes, encoding: str) -> bytes:
    return data.decode(encoding, errors="replace").encode()


def to_coordinate(word: str | bytes) -> float:
    """Read a number; NaN in any spelling is NaN, and so is infinity in that of old C libraries.

    Raises
    ------
    ValueError
        If the word is no number.
    """
    try:
        return float(word)
    except ValueError:
        text = word if isinstance(word, str) else word.decode(errors="replace")
        if _NOT_A_NUMBER.fullmatch(text):
            return float("nan")
        raise ValueError(f"{text!r} is no number") from None
