"""Keep the figures of README and docs/ equal to the tables of results that they are from.

    python scripts/docs_tables.py               # rewrite the pages
    python scripts/docs_tables.py --check       # say what differs, page and line; exit status 1
    python scripts/docs_tables.py --complete    # tables of results of more than one code, or none

In a page, a comment before a table names the function of scripts/pages/ that makes it, and a pair
of comments stands around a number:

    <!-- table: shapes -->
    | mesh | ...

    ... it is <!-- n: bd-rate draco default organic -->-52%<!-- / --> on ...

A number's mark must not begin a line, at which Markdown would end the paragraph. A table of figures
that no rows are kept for says so, with the reason:

    <!-- fixed: published figures -->

`FIXED_PAGES` names pages whose tables are of another kind altogether.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import doh3d
from pages import figures  # noqa: F401  Its modules make their functions known.
from pages.registry import NUMBERS, TABLES, Results

ROOT = Path(__file__).resolve().parents[1]

# Tables of these pages tell what is, not what was measured.
FIXED_PAGES = {
    "docs/format.md": "layout of bytes",
    "docs/implementers.md": "layout of bytes",
    "docs/map.md": "names of the code",
    "docs/security.md": "limits, and what tests do",
}

_TABLE = re.compile(r"<!--\s*table:\s*(\S+)\s*-->")
_FIXED = re.compile(r"<!--\s*fixed:\s*\S.*?-->", re.DOTALL)
_NUMBER = re.compile(r"<!--\s*n:\s*([^>]*?)\s*-->(.*?)<!--\s*/\s*-->", re.DOTALL)
_FIGURE = re.compile(r"[-+*~]*\d")


@dataclass(frozen=True)
class Fault:
    """A place that is not as the results have it."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        """Page and line, as tools write them."""
        return f"{self.page}:{self.line}: {self.text}"


def pages() -> list[Path]:
    """All pages that may have figures."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def rewritten(text: str, results: Results, page: str = "page") -> tuple[str, list[Fault]]:
    """Make a page's text anew from the results; return also what differed or cannot be made."""
    faults: list[Fault] = []
    lines = list(_tables_anew(text.split("\n"), results, page, faults))
    text = "\n".join(lines)

    def number(found: re.Match[str]) -> str:
        line = text.count("\n", 0, found.start()) + 1
        name, *words = found[1].split()
        try:
            if name not in NUMBERS:
                raise LookupError(f"there is no number {name}")
            made = NUMBERS[name](results, *words)
        except (LookupError, TypeError, ValueError) as error:
            faults.append(Fault(page, line, f"{found[1]}: {error}"))
            return found[0]
        if " ".join(found[2].split()) != made:
            faults.append(Fault(page, line, f"{found[1]}: says {found[2]}, results say {made}"))
        return found[0].replace(f"-->{found[2]}<!--", f"-->{made}<!--", 1)

    return _NUMBER.sub(number, text), faults


def _tables_anew(
    lines: list[str], results: Results, page: str, faults: list[Fault]
) -> Iterator[str]:
    at = 0
    while at < len(lines):
        yield lines[at]
        named = _TABLE.fullmatch(lines[at].strip())
        at += 1
        if named is None:
            continue
        start = at
        while at < len(lines) and lines[at].startswith("|"):
            at += 1
        old = lines[start:at]
        try:
            if named[1] not in TABLES:
                raise LookupError(f"there is no table {named[1]}")
            new = markdown([list(line) for line in TABLES[named[1]](results)])
        except (LookupError, ValueError) as error:
            faults.append(Fault(page, start, f"table {named[1]}: {error}"))
            new = old
        faults += _differences(page, start, old, new)
        yield from new


def _differences(page: str, start: int, old: list[str], new: list[str]) -> Iterator[Fault]:
    for offset in range(max(len(old), len(new))):
        said, made = ((lines[offset : offset + 1] or ["nothing"])[0] for lines in (old, new))
        if said != made:
            yield Fault(page, start + 1 + offset, f"says {said}, results say {made}")


def markdown(lines: list[list[str]]) -> list[str]:
    """Write lines of cells as a table, the first being its head."""
    head, *body = lines
    if any(len(line) != len(head) for line in body):
        raise ValueError("a line has more or fewer cells than the head")
    text = ["| " + " | ".join(line) + " |" for line in lines]
    rule = "|" + "---|" * len(head)
    return [re.sub(r" {2,}", " ", line) for line in (text[0], rule, *text[1:])]


def misplaced(text: str, page: str) -> Iterator[Fault]:
    """Find marks of numbers that begin a line, at which Markdown ends the paragraph."""
    for at, line in enumerate(text.split("\n")):
        if line.lstrip().startswith("<!-- n:"):
            yield Fault(page, at + 1, "a number's mark begins the line; let a word stand before it")


def unnamed(text: str, page: str) -> Iterator[Fault]:
    """Tables with figures that neither are made from results nor say why not."""
    if page in FIXED_PAGES:
        return
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if not line.startswith("|") or lines[at - 1].startswith("|"):
            continue
        end = next((k for k in range(at, len(lines)) if not lines[k].startswith("|")), len(lines))
        cells = [cell.strip() for row in lines[at + 2 : end] for cell in row.split("|")[2:-1]]
        count = sum(bool(_FIGURE.match(cell)) for cell in cells)
        # The comment's paragraph, or the line before.
        before = "\n".join(lines[max(0, at - 4) : at]).rstrip()
        named = _TABLE.search(lines[at - 1]) or (
            before.endswith("-->") and _FIXED.search(before[before.rfind("<!--") :])
        )
        if count > len(cells) / 2 and not named:
            yield Fault(
                page, at + 1, "this table has figures; name its source, or say why it has none"
            )


def check(results: Results, *, write: bool = False) -> list[Fault]:
    """Compare all pages with the results, and write them anew if asked to."""
    faults = []
    for path in pages():
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text()
        made, found = rewritten(text, results, name)
        faults += [*found, *misplaced(text, name), *unnamed(text, name)]
        if write and made != text:
            path.write_text(made)
    return faults


def incomplete(results: Results) -> Iterator[str]:
    """Tables whose rows are not all of the present code, and of which codes they are."""
    from provenance import is_history, is_present

    for path in sorted(results.folder.glob("*.tsv")):
        rows = [row for row in results.some(path.stem) if not is_history(path.stem, row)]
        old = Counter(row.get("code") or "none" for row in rows if not is_present(path.stem, row))
        if old:
            codes = ", ".join(f"{count} of {code}" for code, count in sorted(old.items()))
            yield f"{path.stem}: {len(rows) - sum(old.values())} rows of the present code; {codes}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--complete", action="store_true", help="list rows of other code")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / doh3d.__version__)
    arguments = parser.parse_args()
    results = Results(arguments.results)
    if arguments.complete:
        found = list(incomplete(results))
        print(*found or ["all rows are of the present code"], sep="\n")
        return 1 if found else 0
    faults = check(results, write=not arguments.check)
    for fault in faults:
        print(fault)
    # What was rewritten is well; what cannot be made is not.
    left = faults if arguments.check else check(results)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
