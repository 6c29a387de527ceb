"""What GitHub's runners read: annotations among the lines of a step, and the summary of the job.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions; how values are escaped is in
https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tracekit.analysis.compare.gate_schema import GateResult
from tracekit.report.gate import words
from tracekit.report.i18n import Locale

TITLE = "tracekit gate"


def annotation_lines(result: GateResult, locale: Locale) -> Iterator[str]:
    """Lines that make errors of what fails or cannot be judged, and warnings of the notes."""
    for check in result.checks:
        if check.verdict != "pass":
            title = f"{TITLE}: {locale.message(words.VERDICTS[check.verdict])}"
            yield command("error", title, words.line(check, result, locale))
    for note in result.notes:
        yield command("warning", TITLE, locale.message(note))


def command(kind: str, title: str, text: str) -> str:
    """One workflow command: `::error title=…::…`."""
    return f"::{kind} title={_property(title)}::{_data(text)}"


def harmless(line: str) -> str:
    """`line` of a log so that a runner takes no name in it for a command.

    Commands of the form `##[…]` are found anywhere in a line.
    """
    return line.replace("##[", "# #[")


def append_summary(path: Path, markdown: str) -> None:
    """Adds to the file that GitHub shows as the summary of the job. Raises `OSError`."""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{markdown}\n")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
