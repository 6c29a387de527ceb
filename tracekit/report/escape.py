"""Text that comes from a trace, made harmless for the place where it will be shown.

A module, a kernel or a region may be called anything: with newlines, terminal escapes, pipes, backticks.
Renderers pass every such text through `clean` and then through the function of their own format.
"""

from __future__ import annotations

import re

ELLIPSIS = "…"
QUOTED_WIDTH = 160  # of a name within a sentence

# Spreadsheets in Japanese and Chinese take the full-width signs for the plain ones.
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# What no reader of Markdown takes for anything but text: words of letters and digits, and version numbers.
_WORDS = re.compile(r"[A-Za-z0-9]+(?:(?:[ _/-]| \+ )[A-Za-z0-9]+|\.[0-9]+)*")
# GitHub and GitLab link these words: issues, hosts, commits.
_REFERENCE = re.compile(r"\b(?:gh-\d|www\b|[0-9a-f]{7,}\b)", re.IGNORECASE)


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


def markdown_name(text: str, width: int = QUOTED_WIDTH) -> str:
    """A name in at most `width` characters: plain where it is of harmless words, else a code span.

    A backslash would not do: GitHub and GitLab look for mentions, references, formulas and addresses in
    what Markdown has become, everywhere but in code.
    """
    text = elide(clean(text), width)
    is_plain = _WORDS.fullmatch(text) and not _REFERENCE.search(text)
    return text if is_plain else markdown_code(text)


def markdown_cell_name(text: str, width: int = QUOTED_WIDTH) -> str:
    """`markdown_name` inside a table."""
    return markdown_name(text, width).replace("|", "\\|")


def markdown_quote(text: str) -> str:
    """A name within a sentence, always as a code span."""
    return markdown_code(elide(clean(text), QUOTED_WIDTH))
