"""A gate's result as plain lines: one for each check, then what to know before trusting them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from tracekit.analysis.compare.gate_schema import GateResult
from tracekit.report.gate import words
from tracekit.report.i18n import Locale


def render_text(result: GateResult, locale: Locale) -> Iterator[str]:
    """Lines without their ends."""
    for check in result.checks:
        yield f"{locale.message(words.VERDICTS[check.verdict])}: {words.line(check, result, locale)}"
    for note in result.notes:
        yield f"{locale._('note')}: {locale.message(note)}"
    yield from (f"{locale._('note')}: {text}" for text in words.method(result, locale))
    if result.verdict == "pass":
        yield words.headline(result, locale)


def write_lines(lines: Iterator[str], stream: TextIO) -> None:
    """Prints `lines`; what the stream's encoding does not have is a question mark."""
    encoding = stream.encoding or "utf-8"
    for line in lines:
        stream.write(f"{line}\n".encode(encoding, "replace").decode(encoding))
    stream.flush()
