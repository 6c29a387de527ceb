"""How all pictures look: fonts, inks, the form of axes and numbers, and texts that fit and can be drawn.

Text of a trace is drawn as it is: `$` starts no formula, and a letter that the font lacks is written as its
number, so that nothing is drawn as an empty box and nobody is warned.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.font_manager import findfont, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tracekit.report.escape import ELLIPSIS, clean
from tracekit.report.i18n import Locale

FONT = "DejaVu Sans"  # comes with matplotlib, so that a picture is the same everywhere
SIZE = 9.0
INK, MUTED, RULE, GRID = "#26323d", "#5c6873", "#c8ced3", "#e6e9ec"
STYLE: Any = {
    "font.family": FONT,
    "font.size": SIZE,
    "text.parse_math": False,
    "text.color": INK,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "path.simplify": False,
    # Letters as outlines: a paper's typesetter, a browser and a slide then show the same.
    "svg.fonttype": "path",
    # Names of clip paths and markers come from it; without it from chance, in every run others.
    "svg.hashsalt": "tracekit",
}


def dress(axes: Axes, grid: str) -> None:
    """Gives axes their look; `grid`: the axis whose values are read off, "x", "y" or "both"."""
    axes.set_facecolor("white")
    axes.grid(visible=False, which="both")
    axes.grid(visible=True, which="major", axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(which="both", length=0, labelsize=SIZE, labelcolor=INK)


def number_ticks(axis: Axis, locale: Locale) -> None:
    """Few round numbers along a linear axis."""
    axis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(number_formatter(locale))


def number_formatter(locale: Locale) -> FuncFormatter:
    """Writes the numbers of an axis with the symbols of a language."""

    def shown(value: float, _position: int) -> str:
        if abs(value) >= 1e3 and value == round(value):
            return locale.count(round(value))
        return f"{value:.10g}".replace(".", locale.decimal_symbol)

    return FuncFormatter(shown)


def name_ticks(axis: Axis, places: list[float], names: list[str]) -> None:
    """Names at places of an axis, none of them read as a formula."""
    axis.set_ticks(places, labels=names)
    for tick in axis.get_major_ticks():
        tick.label1.set_parse_math(False)


@cache
def _font() -> FT2Font:
    return get_font(findfont(FONT))


@cache
def _advance(letter: str) -> float:
    """Width of a letter in a font of 1 point."""
    font = _font()
    font.set_size(100, 72)
    return font.load_char(ord(letter)).linearHoriAdvance / 65536 / 100


@cache
def _drawable(letter: str) -> str:
    if _font().get_char_index(ord(letter)):
        return letter
    return letter.encode("unicode_escape").decode("ascii")


def drawable(text: str) -> str:
    """`text` with each letter that the font lacks written as `\\u6a21`."""
    return "".join(map(_drawable, text))


def width_of(text: str, size: float = SIZE) -> float:
    """Width of a text in inches, without kerning."""
    return sum(map(_advance, text)) * size / 72


def path_fitted(path: str, inches: float, size: float = SIZE) -> str:
    """The path of a module in so much room: without its first steps, of which all others have the same."""
    text = path
    while len(text) > 500 or width_of(drawable(clean(text)), size) > inches:
        _first, _dot, rest = text.removeprefix(ELLIPSIS).partition(".")
        if not rest:
            break
        text = ELLIPSIS + rest
    return fitted(text, inches, size)


def fitted(name: str, inches: float, size: float = SIZE) -> str:
    """A name from a trace as it can be drawn in so much room; what is not visible is written as `\\u202e`.

    It is cut in its middle: names differ at both ends.
    """
    # The rest of a very long name is never seen: no letter is narrower than a twentieth of its height.
    most = int(inches * 72 / size * 20) + 2
    was_cut = len(name) > 2 * most
    text = drawable(clean(name[:most] + name[-most:] if was_cut else name))
    widths = [_advance(letter) * size / 72 for letter in text]
    if sum(widths) <= inches and not was_cut:
        return text
    room = inches - width_of(ELLIPSIS, size)
    head = tail = 0
    while head + tail < len(text):
        from_head = head <= tail
        room -= widths[head] if from_head else widths[len(text) - 1 - tail]
        if room < 0:
            break
        head, tail = head + from_head, tail + (not from_head)
    return text[:head] + ELLIPSIS + (text[-tail:] if tail else "")


def wrapped(text: str, inches: float, size: float = SIZE) -> list[str]:
    """A text of ours in lines that fit; a word that does not is cut in its middle."""
    # On a coarse screen letters are widened to whole pixels.
    inches *= 0.97
    lines: list[str] = []
    for word in drawable(text).split(" "):
        if lines and width_of(f"{lines[-1]} {word}", size) <= inches:
            lines[-1] += f" {word}"
        elif width_of(word, size) <= inches:
            lines.append(word)
        else:
            lines.append(fitted(word, inches, size))
    return lines
