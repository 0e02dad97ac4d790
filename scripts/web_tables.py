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
    """Return the bits of all numbers, family by family and row by row, as a string of 0 and 1."""
    bits = []
    for family in folded.tolist():
        above = [0] * (len(family[0]) + 1)
        for row in family:
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


def packed() -> bytes:
    """All tables."""
    with np.load(TABLES) as tables:
        bits = rice_code(residuals(tables["frequencies"]))
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def module() -> str:
    """Return the text of the file that is written."""
    text = base64.b64encode(packed()).decode()
    return f'// Made by scripts/web_tables.py.\nexport const TABLES =\n  "{text}";\n'


if __name__ == "__main__":
    OUTPUT.write_text(module())
    print(f"{OUTPUT}: {len(packed())} bytes of tables")
