"""Text that comes from a trace, made harmless for the place where it will be shown.

A module, a kernel or a region may be called anything: with newlines, terminal escapes, pipes, backticks.
Renderers pass every such text through `clean` and then through the function of their own format.
"""

from __future__ import annotations

import re

ELLIPSIS = "…"

# Spreadsheets in Japanese and Chinese take the full-width signs for the plain ones.
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

_MARKDOWN = re.compile(r"[\\`*\[\]<>|$~&#]|(?<![^\W_])_|_(?![^\W_])")


def clean(text: str) -> str:
    """`text` with what is not visible (control, bidi, surrogates) written as `\\n`, `\\x1b`, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode("ascii") for c in text
    )


def encodable(text: str) -> str:
    """`text` with lone surrogates, which no encoding has, written as `\\ud800`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def elide(text: str, width: int) -> str:
    """`text` in at most `width` characters, cut in its middle: names differ at both ends."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + ELLIPSIS + text[len(text) - (width - 1 - head) :]


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may take `text` for a formula; white space before one is dropped on import."""
    return text[:1] in ("\t", "\r", "\n") or text.lstrip().startswith(_FORMULA_STARTS)


def markdown_text(text: str) -> str:
    """`text` as Markdown that shows it literally; `$` is escaped too, since GitHub reads formulas."""
    return _MARKDOWN.sub(r"\\\g<0>", clean(text))


def markdown_code(text: str) -> str:
    """`text` as a Markdown code span; inside a table use `markdown_cell_code`."""
    text = clean(text) or " "
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    # A reader takes off one space on each side, unless there is nothing but spaces.
    touches_fence = text[0] == "`" or text[-1] == "`"
    would_be_stripped = text[0] == text[-1] == " " and text.strip(" ")
    return f"{fence} {text} {fence}" if touches_fence or would_be_stripped else f"{fence}{text}{fence}"


def markdown_cell_code(text: str) -> str:
    """`text` as a code span inside a table, where a bare pipe would end the cell even within the span."""
    return markdown_code(text).replace("|", "\\|")
