"""Let coverage guide the search for bytes that the `.doh` reader mishandles.

    pip install '.[fuzz]'
    python scripts/fuzz_format.py [--seconds 60] [--corpus FOLDER]

libFuzzer, by way of atheris, starts from the tests' small files and keeps in the corpus folder
what reaches new code. The last four bytes of an input are replaced by its checksum, so that the
search is for what lies behind it. An exception that is no FormatError, more than 20 seconds, or
more than 1 GB (torch and instrumentation included) ends the search; libFuzzer then leaves the
input in that folder, as crash-*, timeout-* or oom-*. Time and memory are judged by
scripts/mutate_files.py, without instrumentation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

# What is imported before is not seen; mutate_files imports the package as well.
with atheris.instrument_imports(include=["doh3d"], enable_loader_override=False):
    from doh3d.codec.container import parse_signal, serialize
    from doh3d.codec.image_code import ImageCode
    from doh3d.codec.inspection import describe
    from doh3d.codec.signal_code import SignalCode
    from doh3d.errors import FormatError
    from doh3d.field import OccupancyField
    from doh3d.images.field import ImageField
    from doh3d.limits import DEFAULT_LIMITS
    from mutate_files import seed_files, with_checksum

# Beyond it weights are not made: their time is bounded, but the search is for new code.
_MAX_WEIGHT_WORK = 2**16


def check(data: bytes) -> None:
    """Read an input; what is accepted must be written and read again as the same bytes."""
    try:
        code = parse_signal(with_checksum(data[:-4]), DEFAULT_LIMITS, SignalCode)
    except FormatError:
        return
    describe(code)
    written = serialize(code)
    again = parse_signal(written, DEFAULT_LIMITS, SignalCode)
    assert serialize(again) == written, "written and read again it is another file"
    n, weights = len(code.latent.values), code.architecture.weight_count
    if max(n, weights, n * weights * code.dense_projection) <= _MAX_WEIGHT_WORK:
        if isinstance(code, ImageCode):
            ImageField(code, "cpu").values([[-1.0, 1.0]])
        else:
            OccupancyField(code, "cpu").logits(code.bounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="kept between runs  [default: a new folder]")
    arguments = parser.parse_args()
    corpus = arguments.corpus or Path(tempfile.mkdtemp(prefix="doh3d-fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(seed_files()):
        (corpus / f"seed-{index}").write_bytes(data)
    print(f"corpus: {corpus}", flush=True)
    options = [f"-max_total_time={arguments.seconds}", "-timeout=20", "-max_len=4096"]
    options += ["-rss_limit_mb=1024", f"-artifact_prefix={corpus.resolve()}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
