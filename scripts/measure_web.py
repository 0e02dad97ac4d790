"""Measure the decoder in JavaScript in Chromium: seconds from a file's bytes to a mesh, and sizes.

    python scripts/measure_web.py bunny-1k.doh bunny-16k.doh [--output results/<version>/web.tsv]

Each time is the lowest of so many tries, in the page's own thread: `seconds` by the clock, and
`processor_seconds` what the thread had of a processor, which is what the clock would say on a
machine with nothing else to do. `loop` is the latter of a loop of 32 million additions, to compare
machines by.
Sizes of what is shipped go to web-sizes.tsv.
"""

import argparse
import base64
import gzip
import json
import tempfile
from pathlib import Path

from browser import Opened, started
from result_table import ResultTable, results_path

ROOT = Path(__file__).parents[1]
KEY = ("file", "resolution", "how")
COLUMNS = ("file", "bytes", "resolution", "how", "seconds", "processor_seconds", "faces", "loop")
SIZE = {"width": 800, "height": 600}

LOOP = """() => {
    const start = performance.now();
    let sum = 0;
    for (let i = 0; i < 32e6; i++) sum += i * 1.0001;
    return [performance.now() - start, sum];
}"""
DECODE = """([text, resolution, wasm]) => {
    const bytes = doh3d.fromBase64(text);
    const start = performance.now();
    const mesh = doh3d.decode(bytes, { wasm }).toMesh(resolution);
    return [performance.now() - start, mesh.indices.length / 3];
}"""


class Clock:
    """What a page's thread has had of a processor."""

    def __init__(self, browser, page) -> None:
        self._page = page
        self._session = browser.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def tries(self, script: str, argument: object, repeats: int) -> tuple[float, float, object]:
        """Return the lowest seconds by the clock and of a processor, and the last answer."""
        elapsed, used, last = [], [], None
        for _ in range(repeats):
            before = self._seconds()
            milliseconds, last = self._page.evaluate(script, argument)
            elapsed.append(milliseconds / 1000)
            used.append(self._seconds() - before)
        return min(elapsed), min(used), last

    def _seconds(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


def measured(clock: Clock, path: Path, resolution: int, wasm: bool, repeats: int) -> dict:
    text = base64.b64encode(path.read_bytes()).decode()
    seconds, processor, faces = clock.tries(DECODE, [text, resolution, wasm], repeats)
    _, loop, _ = clock.tries(LOOP, None, repeats)
    return {
        "bytes": path.stat().st_size,
        "seconds": round(seconds, 3),
        "processor_seconds": round(processor, 3),
        "faces": int(faces),
        "loop": round(loop, 4),
    }


def add_sizes(table: ResultTable) -> None:
    """Write the bytes of what is shipped."""
    shipped = {"module": ROOT / "web" / "doh3d.js", "page": ROOT / "web" / "index.html"}
    for what, path in shipped.items():
        data = path.read_bytes()
        table.add(what=what, bytes=len(data), gzipped=len(gzip.compress(data, 9)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=results_path("web"))
    arguments = parser.parse_args()
    add_sizes(ResultTable(results_path("web-sizes"), ("what", "bytes", "gzipped"), ("what",)))
    table = ResultTable(arguments.output, COLUMNS, KEY)
    with tempfile.TemporaryDirectory() as profile, started(profile) as browser:
        page = Opened(browser, ROOT / "web" / "index.html", SIZE).page
        clock = Clock(browser, page)
        for path in arguments.files:
            for wasm in (True, False):
                for resolution in arguments.resolutions:
                    how = "WebAssembly" if wasm else "JavaScript"
                    key = {"file": path.name, "resolution": resolution, "how": how}
                    if not table.has(**key):
                        found = measured(clock, path, resolution, wasm, arguments.repeats)
                        print(json.dumps(table.add(**key, **found)), flush=True)


if __name__ == "__main__":
    main()
