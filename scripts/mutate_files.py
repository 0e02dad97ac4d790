"""Decode damaged and hostile `.doh` files by the thousand, and see that nothing else happens.

    python scripts/mutate_files.py [--count 100000] [--first 0] [--seed 0] [--output FILE.tsv]

Input i of a seed is always the same: a seed file of the repository, damaged as one of KINDS says.
Names that end in + get a right checksum, so that the rules behind it are met. Each input must be
refused with a FormatError, or decode (parse and weights) within a second of processor time and
200 MB, be written and read again as the same bytes, and answer for a few points. Anything else
is printed, and the exit status is 1. With --output, blocks of inputs that are in the table are
not run again, so that a second run goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import resource
import struct
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from doh3d.codec.container import parse_signal, serialize
from doh3d.codec.frame import CHECKSUM_BYTES, VERSION
from doh3d.codec.image_code import ImageCode
from doh3d.codec.signal_code import SignalCode
from doh3d.errors import FormatError
from doh3d.field import OccupancyField
from doh3d.files import MAGIC
from doh3d.images.field import ImageField
from doh3d.limits import DEFAULT_LIMITS

TESTS = Path(__file__).parents[1] / "tests"
BLOCK = 5000
MAX_SECONDS = 1.0
MAX_GROWTH = 200 * 10**6
COLUMNS = "seed first kind inputs refused accepted slowest_s growth_mb failures".split()  # noqa: SIM905

_POINTS = np.random.default_rng(0).uniform(-1, 1, (8, 3))
_MAGIC_AND_VERSION = MAGIC + bytes([VERSION])

# Numbers that are at a limit, next to one, or far out.
_BYTES = (0, 1, 2, 15, 16, 17, 127, 128, 159, 160, 254, 255)
_LENGTHS = (1, 127, 128, 16383, 16384, 2**17 - 1, 2**17, 2**17 + 1, 2**20, 2**20 + 1, 2**21 - 1)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 3.4028235e38, -3.4028235e38, float("inf"), float("nan"))
_FIELDS = """
kind features n width layers activation seed models own transform frame cells extras payload
""".split()  # noqa: SIM905


def seed_files() -> list[bytes]:
    """Read the small files of the tests that mutation starts from."""
    paths = [*(TESTS / "golden").rglob("*.hex"), *(TESTS / "fuzz_corpus").glob("*.hex")]
    return [bytes.fromhex(path.read_text()) for path in sorted(paths)]


def with_checksum(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def flip(body: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    damaged = bytearray(body)
    for _ in range(rng.randint(1, 8)):
        if damaged:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def truncate(body: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    return body[: rng.randint(0, len(body))]


def splice(body: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice(seeds)[:-CHECKSUM_BYTES]
    return body[: rng.randint(0, len(body))] + other[rng.randint(0, len(other)) :]


def noise(body: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    """Random bytes, in place of all but a few of the first."""
    return body[: rng.choice((0, 3, 4, 5, 10, 17))] + rng.randbytes(rng.randint(0, 120))


def extremes(body: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    """Set header fields to extremes, where a header is still there."""
    for _ in range(rng.randint(1, 4)):
        if len(body) >= 24:
            body = _set_field(bytearray(body), rng.choice(_FIELDS), rng)
    return body


def _spans(body: bytes) -> dict[str, slice]:
    """Where the fields of a header are, or would be if it were whole."""
    spans = {}
    position = 4

    def span(name: str, size: int) -> None:
        nonlocal position
        spans[name] = slice(position, position + size)
        position += size

    def span_varint(name: str) -> int:
        found = body[position : position + 3]
        size = next((i + 1 for i, byte in enumerate(found) if byte < 128), len(found))
        span(name, size)
        return sum((byte & 127) << 7 * i for i, byte in enumerate(found[:size]))

    kind = span_varint("kind")
    features = 0
    spans["features"] = slice(position, position)
    if kind & 1:
        features = span_varint("features")
    image = kind >> 1 == 1
    span_varint("n")
    span("width", 1)
    span("layers", 1 if image or features >> 7 & 1 else 0)
    sine = body[position : position + 1] == b"\2"
    span("activation", (2 if sine else 1) if features >> 8 & 1 else 0)
    span("seed", 2 * (features >> 9 & 1))
    span("models", 5 if features >> 11 & 1 else 3)
    span("own", 4 if image else 2)
    span("transform", 0 if image else (8, 11, 14, 32)[features >> 4 & 3])
    span("frame", 6 * (not image and features >> 3 & 1))
    levels = body[position] if position < len(body) else 0
    span("cells", 2 ** min(levels, 7) if features >> 6 & 1 else 0)
    spans["extras"] = slice(position, position)
    if features >> 12 & 1:
        length = span_varint("extras")
        spans["extras"] = slice(spans["extras"].start, position + length)
        position += length
    spans["payload"] = slice(position, None)
    return spans


def _set_field(body: bytearray, name: str, rng: random.Random) -> bytes:
    at = _spans(body)[name]
    byte = bytes([rng.choice((*_BYTES, rng.randrange(256)))])
    odd = (b"\x80\0", b"\xff\xff\xff\x7f", b"\xff" * 3)
    if name == "kind":
        body[at] = rng.choice((b"\0", b"\1", b"\2", b"\3", b"\4", *odd))
    elif name == "features":
        # Also where there were none: the kind tells.
        body[at] = rng.choice((varint(1 << rng.randrange(15)), varint(rng.randrange(8192)), *odd))
        body[4] |= 1
    elif name == "n":
        body[at] = rng.choice((varint(rng.choice(_LENGTHS)), rng.choice(odd)))
    elif name in ("width", "layers", "activation"):
        body[at] = byte
    elif name == "seed":
        body[at] = rng.choice((b"\0\0", b"\xff\xff"))
    elif name == "models":
        body[at.start + rng.randrange(at.stop - at.start)] = byte[0]
    elif name == "own":
        start = at.start + 2 * rng.randrange((at.stop - at.start) // 2)
        body[start : start + 2] = rng.choice((b"\0\0", b"\xff\x7f", b"\xff\xff", b"\0\x80"))
    elif name == "transform" and at.stop > at.start:
        number = struct.pack("<d", rng.choice(_FLOATS)) if at.stop - at.start == 32 else byte
        start = at.start + len(number) * rng.randrange((at.stop - at.start) // len(number))
        body[start : start + len(number)] = number
    elif name == "frame" and at.stop > at.start:
        start = at.start + 2 * rng.randrange(3)
        numbers = (0, 1, -27146, 27146, 27147, -32768)
        body[start : start + 2] = struct.pack("<h", rng.choice(numbers))
    elif name == "cells":
        # Cuts are within their range or at one end.
        levels = rng.choice((0, 1, 2, 3, 6, 6, 7))
        axes = rng.choice((1, 2, 3, 4))
        positions = rng.choice(((32,), (1, 63), range(64), (63,)))
        cuts = bytes(rng.randrange(axes) << 6 | rng.choice(positions) for _ in range(2**levels - 1))
        body[at] = bytes([levels]) + cuts
    elif name == "extras":
        contents = (b"", b"\0", b"\7\7\7", bytes(96), b"\xff" * 8, b"name", b"\x1b[2J", b"\xff")
        numbers = sorted(rng.choices((0, 1, 2, 3, 4, 5, 200, 2**21 - 1), k=rng.randint(1, 4)))
        block = b""
        for number in numbers:
            content = rng.choice(contents)
            block += varint(number) + varint(len(content) + rng.choice((0, 0, 0, 1))) + content
        body[at] = varint(len(block) + rng.choice((0, 0, 0, 1, 70_000))) + block
    else:
        size = rng.choice((0, 1, 7, 8, 9, 64, 600))
        body[at.start :] = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    return bytes(body)


def several(body: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    for _ in range(rng.randint(2, 5)):
        body = rng.choice((flip, truncate, splice, extremes, extremes))(body, seeds, rng)
    return body


KINDS = {
    "noise": noise,
    "flip": flip,
    "truncate": truncate,
    "splice": splice,
    "noise+": noise,
    "flip+": flip,
    "truncate+": truncate,
    "splice+": splice,
    "extremes+": extremes,
    "several+": several,
}


def make_input(seeds: list[bytes], seed: int, index: int) -> tuple[str, bytes]:
    """Kind and bytes of an input."""
    rng = random.Random(f"{seed} {index}")
    kind = rng.choice(list(KINDS))
    data = rng.choice(seeds)
    if kind.endswith("+"):
        body = KINDS[kind](data[:-CHECKSUM_BYTES], seeds, rng)
        # Most rules are for files that start as they should.
        if rng.random() < 0.9:
            body = _MAGIC_AND_VERSION + body[4:]
        return kind, with_checksum(body)
    return kind, KINDS[kind](data, seeds, rng)


def decode(data: bytes) -> tuple[str | None, float]:
    """Why a file is refused (None where it is not), and the seconds of processor time.

    Raises
    ------
    Exception
        Whatever should not happen.
    """
    started = time.process_time()
    try:
        code = parse_signal(data, DEFAULT_LIMITS, SignalCode)
    except FormatError as error:
        return str(error), time.process_time() - started
    if isinstance(code, ImageCode):
        image = ImageField(code, "cpu")
        seconds = time.process_time() - started
        assert image.values(_POINTS[:, :2]).shape == (len(_POINTS), code.channels)
    else:
        decoded = OccupancyField(code, "cpu")
        seconds = time.process_time() - started
        assert decoded.logits(code.transform.to_world(_POINTS)).shape == (len(_POINTS),)
    written = serialize(code)
    again = parse_signal(written, DEFAULT_LIMITS, SignalCode)
    assert serialize(again) == written, "written and read again it is another file"
    return None, seconds


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    growth_mb: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def run(seed: int, first: int, count: int) -> dict[str, Tally]:
    """Decode inputs `first` to `first + count`."""
    seeds = seed_files()
    tallies = {kind: Tally() for kind in KINDS}
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index in range(first, first + count):
        kind, data = make_input(seeds, seed, index)
        tally = tallies[kind]
        tally.inputs += 1
        try:
            reason, seconds = decode(data)
        except Exception as error:
            reason, seconds = None, 0.0
            tally.failures.append(f"input {index} ({kind}): {error!r}: {data.hex()}")
        else:
            if seconds > MAX_SECONDS:
                tally.failures.append(f"input {index} ({kind}): {seconds:.2f} s: {data.hex()}")
            if reason is None:
                tally.accepted += 1
            else:
                tally.refused += 1
                tally.reasons[re.sub(r"-?\b\d[\w.]*", "#", reason)] += 1
        tally.slowest_s = max(tally.slowest_s, seconds)
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base
        tally.growth_mb = max(tally.growth_mb, growth * 1024 / 1e6)
    return tallies


def limit_memory() -> None:
    """From here on, an allocation that takes the process 200 MB further fails."""
    for data in seed_files():
        decode(data)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MAX_GROWTH
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done = set()
    if arguments.output and arguments.output.exists():
        with arguments.output.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        done = {int(row["first"]) for row in rows if int(row["seed"]) == arguments.seed}
    limit_memory()
    reasons: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    started = time.process_time()
    end = arguments.first + arguments.count
    for first in range(arguments.first, end, BLOCK):
        if first in done:
            continue
        tallies = run(arguments.seed, first, min(BLOCK, end - first))
        for kind, tally in tallies.items():
            reasons.update(tally.reasons)
            totals.update(
                {f"{kind} refused": tally.refused, f"{kind} accepted": tally.accepted}
                | {"inputs": tally.inputs, "failures": len(tally.failures)}
            )
            for failure in tally.failures:
                print(failure)
        if arguments.output:
            _append(arguments.output, arguments.seed, first, tallies)
        rate = totals["inputs"] / (time.process_time() - started)
        slowest = max(tally.slowest_s for tally in tallies.values())
        growth = max(tally.growth_mb for tally in tallies.values())
        print(
            f"to {first + BLOCK}: {totals['failures']} failures, slowest {slowest:.2f} s, "
            f"{growth:.0f} MB more, {rate:.0f} inputs per second of processor time",
            flush=True,
        )
    for reason, count in reasons.most_common():
        print(f"{count:8} {reason}")
    for name, count in totals.items():
        print(f"{count:8} {name}")
    return 1 if totals["failures"] else 0


def _append(path: Path, seed: int, first: int, tallies: dict[str, Tally]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        for kind, tally in tallies.items():
            writer.writerow(
                [seed, first, kind, tally.inputs, tally.refused, tally.accepted]
                + [f"{tally.slowest_s:.3f}", f"{tally.growth_mb:.1f}", len(tally.failures)]
            )


if __name__ == "__main__":
    raise SystemExit(main())
