"""Write what the decoder in JavaScript is tested against: web/test/expected.json.

For every golden file the digest of its weights, and logits at points in and about its domain, or
its pixels; all by doh3d itself.

    python scripts/web_fixtures.py
"""

import hashlib
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
SHAPES = sorted((ROOT / "tests" / "golden").glob("*.hex"))
IMAGES = sorted((ROOT / "tests" / "fuzz_corpus").glob("*image*.hex"))
POINTS = 40


def digest(weights: Any) -> str:
    """Return the SHA-256 of all matrices and then all biases, float32."""
    arrays = (*weights.matrices, *weights.biases)
    return hashlib.sha256(
        b"".join(np.asarray(array, dtype="<f4").tobytes() for array in arrays)
    ).hexdigest()


def of_shape(data: bytes) -> dict[str, Any]:
    """Return what a shape decodes to."""
    field = OccupancyField(parse(data), "cpu")
    low, high = field.bounds
    # Some are just beyond the domain.
    share = np.random.default_rng(0).random((POINTS, 3)) * 1.1 - 0.05
    points = low + (high - low) * share
    logits = field.logits(points)
    return {
        "digest": digest(field.weights),
        "bounds": field.bounds.tolist(),
        "points": points.ravel().tolist(),
        # JSON has no infinities.
        "logits": [None if np.isneginf(logit) else float(logit) for logit in logits],
    }


def of_image(data: bytes) -> dict[str, Any]:
    """Return what an image decodes to."""
    field = ImageField(parse_signal(data, DEFAULT_LIMITS, ImageCode), "cpu")
    pixels = field.pixels()
    return {
        "digest": digest(field.weights),
        "shape": list(pixels.shape),
        "pixels": pixels.ravel().tolist(),
    }


def expected() -> dict[str, dict[str, Any]]:
    """Return all, by the files' names."""
    found = {}
    for paths, decoded in ((SHAPES, of_shape), (IMAGES, of_image)):
        for path in paths:
            data = bytes.fromhex(path.read_text())
            found[path.stem] = {"hex": data.hex(), **decoded(data)}
    return found


if __name__ == "__main__":
    OUTPUT.write_text(json.dumps(expected(), indent=None) + "\n")
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes")
