"""Names in pictures: drawn as they are, in whichever script, where a font has the letters."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import category

from doh3d.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 160

# Fonts that are asked last: what a name needs is the plain face.
_SPECIAL_FACES = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed")

_FIRST_VARIATION, _LAST_VARIATION = "\N{VARIATION SELECTOR-1}", "\N{VARIATION SELECTOR-16}"

# Left out when a text is drawn; a legend passes over labels that start with an underscore.
_NOTHING = "\N{ZERO WIDTH SPACE}"


def printable(text: str) -> str:
    """Replace what cannot be drawn: line breaks, control characters, names beyond UTF-8.

    What has no shape of its own, such as marks of direction, is left out.
    """
    seen = (c for c in text if not _is_shapeless(c))
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in seen)


def legend_label(name: str) -> str:
    """Label of what a name stands for, which a legend shows whatever it starts with."""
    return _NOTHING + name if name.startswith("_") else name


def save_figure(figure: Figure, path: Path) -> None:
    """Write a matplotlib figure as PNG, whole or not at all; its texts are no formulas.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        shown = printable(text.get_text())
        fonts = find_fonts(shown)
        for font in fonts:
            if all(entry.fname != font for entry in fontManager.ttflist):
                fontManager.addfont(font)
        text.set_text(shown)
        text.set_parse_math(False)
        text.set_fontfamily([FT2Font(font).family_name for font in fonts])
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # Letters that no font has are boxes.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    write_atomically(path, picture.getvalue())


def find_fonts(text: str) -> list[str]:
    """Font files that have a text's letters, so far as any has, matplotlib's own first.

    None where matplotlib, which looks for them, is not installed.
    """
    return list(_find_fonts(frozenset(text)))


def split_by_font(text: str, fonts: Sequence[str]) -> list[tuple[str, str]]:
    """Split a text into pieces, each with the first font that has its letters, or the first."""
    from matplotlib.ft2font import FT2Font

    faces = [(font, FT2Font(font)) for font in fonts]

    def font_of(letter: str) -> str:
        has = (font for font, face in faces if face.get_char_index(ord(letter)))
        return next(has, fonts[0])

    return [(font, "".join(letters)) for font, letters in groupby(text, key=font_of)]


@lru_cache(maxsize=64)
def _find_fonts(letters: frozenset[str]) -> tuple[str, ...]:
    try:
        import matplotlib
        from matplotlib.font_manager import findSystemFonts
        from matplotlib.ft2font import FT2Font
    except ImportError:
        return ()
    own = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    found = [own]
    missing = {c for c in letters if not FT2Font(own).get_char_index(ord(c))}
    # Fonts are looked for now: matplotlib's own list is as old as its cache.
    for path in sorted(findSystemFonts(), key=_plainness) if missing else ():
        try:
            font = FT2Font(path)
        # Damaged, or of a kind that is not drawn as outlines.
        except (OSError, RuntimeError):
            continue
        has = {c for c in missing if font.scalable and font.get_char_index(ord(c))}
        if has:
            found.append(path)
            missing -= has
        if not missing:
            break
    return tuple(found)


def _plainness(path: str) -> tuple[bool, bool, str]:
    """Order of fonts: plain faces first, then those without serifs."""
    name = Path(path).name.lower()
    return any(face in name for face in _SPECIAL_FACES), "sans" not in name, path


def _is_shapeless(character: str) -> bool:
    return category(character) == "Cf" or _FIRST_VARIATION <= character <= _LAST_VARIATION
