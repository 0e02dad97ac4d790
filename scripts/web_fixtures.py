"""Write what the decoder in JavaScript is tested against: web/test/expected.json.

For every golden file logits at points in and about its domain, or its pixels, by doh3d itself. The
digests of weights are in tests/golden/digests.json.

    python scripts/web_fixtures.py
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from doh3d.codec.container import parse, parse_signal
from doh3d.codec.image_code import ImageCode
from doh3d.field import OccupancyField
from doh3d.images.field import ImageField
from doh3d.limits import DEFAULT_LIMITS

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "web" / "test" / "expected.json"
GOLDEN = ROOT / "tests" / "golden"
POINTS = 40


def of_shape(data: bytes) -> dict[str, Any]:
    """Return what a shape decodes to."""
    field = OccupancyField(parse(data), "cpu")
    low, high = field.bounds
    # Some are just beyond the domain.
    share = np.random.default_rng(0).random((POINTS, 3)) * 1.1 - 0.05
    points = low + (high - low) * share
    logits = field.logits(points)
    return {
        "bounds": field.bounds.tolist(),
        "points": points.ravel().tolist(),
        # JSON has no infinities.
        "logits": [None if np.isneginf(logit) else float(logit) for logit in logits],
    }


def of_image(data: bytes) -> dict[str, Any]:
    """Return what an image decodes to."""
    field = ImageField(parse_signal(data, DEFAULT_LIMITS, ImageCode), "cpu")
    pixels = field.pixels()
    return {"shape": list(pixels.shape), "pixels": pixels.ravel().tolist()}


def expected() -> dict[str, dict[str, Any]]:
    """Return all, by the files' names."""
    found = {}
    for folder, decoded in ((GOLDEN, of_shape), (GOLDEN / "images", of_image)):
        for path in sorted(folder.glob("*.hex")):
            found[path.stem] = decoded(bytes.fromhex(path.read_text()))
    return found


if __name__ == "__main__":
    lines = [f'"{name}": {json.dumps(values)}' for name, values in expected().items()]
    OUTPUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes")
