"""Pack the entropy coder's tables for the decoder in JavaScript: web/src/tables.data.js.

Neighbouring rows and columns are alike: what is left of a number after three differences down the
rows and two along them is small, and is written as a Rice code whose parameter follows the numbers
before it. `web/src/tables.js` reads it.

    python scripts/web_tables.py
"""

import base64
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "doh3d" / "codec" / "entropy_tables.npz"
OUTPUT = ROOT / "web" / "src" / "tables.data.js"

# Longer runs of ones are followed by the number itself.
LONGEST_RUN = 24
WHOLE_BITS = 28


def residuals(tables: np.ndarray) -> np.ndarray:
    """(4, 64, 129) differences, three down the rows and two along them, folded to be >= 0."""
    left = tables.astype(np.int64)
    for axis in (2, 2, 1, 1, 1):
        left = np.diff(left, axis=axis, prepend=0)
    return np.where(left > 0, 2 * left - 1, -2 * left)


def rice_code(folded: np.ndarray) -> str:
    """Return the bits of a family's numbers, row by row, as a string of 0 and 1."""
    bits = []
    above = [0] * (folded.shape[1] + 1)
    for row in folded.tolist():
        before = 0
        for column, number in enumerate(row):
            mean = (2 * before + above[column] + above[column + 1]) >> 2
            parameter = max(0, mean.bit_length() - 1)
            run = number >> parameter
            if run < LONGEST_RUN:
                bits.append("1" * run + "0")
                bits.append(f"{number & (1 << parameter) - 1:0{parameter}b}"[:parameter])
            else:
                bits.append("1" * LONGEST_RUN + f"{number:0{WHOLE_BITS}b}")
            before = number
        above = [*row, 0]
    return "".join(bits)


def packed() -> list[bytes]:
    """Pack each family by itself: a file uses one or two of them."""
    with np.load(TABLES) as tables:
        families = [rice_code(family) for family in residuals(tables["frequencies"])]
    sizes = [-(-len(bits) // 8) for bits in families]
    return [
        int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")
        for bits, size in zip(families, sizes, strict=True)
    ]


def module() -> str:
    """Return the text of the file that is written."""
    texts = [f'  "{base64.b64encode(family).decode()}",\n' for family in packed()]
    return f"// Made by scripts/web_tables.py.\nexport const TABLES = [\n{''.join(texts)}];\n"


if __name__ == "__main__":
    OUTPUT.write_text(module())
    print(f"{OUTPUT}: {sum(map(len, packed()))} bytes of tables")
