"""A `Report` from a file: a trace, which is analysed, or the `report.json` of an earlier analysis."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tracekit.analysis.compare.sound import unsound
from tracekit.analysis.schema import SCHEMA, Report
from tracekit.messages import N_, UserError
from tracekit.trace import open_source

# How what tracekit writes begins, also where another program has written it anew, with its keys sorted.
_HEAD = re.compile(rb'\s*\{\s*"(?:schema"\s*:\s*"tracekit\.|accounting"\s*:)')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_BYTES = 1 << 30  # one of 20,000 modules has 24 million


def is_report(path: Path) -> bool:
    """Whether the file is a `report.json`, packed or not, by how it begins; False where it cannot be read.

    What can be read only once, a pipe, is taken for a trace.
    """
    try:
        source = open_source(path)
        head = next(source.pieces(), b"") if source.is_regular else b""
    except UserError:
        return False
    return _HEAD.match(head.removeprefix(_BYTE_ORDER_MARK)) is not None


def load(path: str | Path, analyze: Callable[[Path], Report]) -> Report:
    """The report in the file, or what `analyze` makes of it where it is a trace.

    Raises `UserError` for a report that is damaged or of another version.
    """
    path = Path(path)
    return read_report(path) if is_report(path) else analyze(path)


def read_report(path: Path) -> Report:
    """The report that a `report.json` holds; its messages are plain English texts. Raises `UserError`."""
    try:
        document = msgspec.json.decode(_text(path))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UserError(
            N_("{path}: is no whole report.json; analyze the trace again", path=str(path))
        ) from None
    version = document.get("schema") if isinstance(document, dict) else None
    if version != SCHEMA:
        raise UserError(
            N_("{path}: has schema {version}, not {known}", path=str(path), version=version, known=SCHEMA)
        )
    try:
        report = msgspec.convert(_with_messages(document), Report)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UserError(
            N_("{path}: is no report of this version ({reason})", path=str(path), reason=str(error))
        ) from None
    if (field := unsound(report)) is not None:
        raise UserError(
            N_(
                "{path}: the values of {field} do not go with the rest; analyze the trace again",
                path=str(path),
                field=field,
            )
        )
    if not report.statistics:
        raise UserError(
            N_(
                "{path}: was written before reports could be compared; analyze the trace again",
                path=str(path),
            )
        )
    return report


def _text(path: Path) -> bytes:
    text = bytearray()
    for piece in open_source(path).pieces():
        text += piece
        if len(text) > _MOST_BYTES:
            raise UserError(
                N_(
                    "{path}: is larger than a report.json can be ({most} MiB)",
                    path=str(path),
                    most=_MOST_BYTES >> 20,
                )
            )
    return bytes(text.removeprefix(_BYTE_ORDER_MARK))


def _with_messages(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its texts for people as messages, which is what they were."""
    for part, fields in (("trace", ("warnings",)), ("device", ("note",))):
        if isinstance(of := document.get(part), dict):
            _replace_texts(of, fields)
    findings = document.get("findings")
    for finding in findings if isinstance(findings, list) else ():
        if isinstance(finding, dict):
            _replace_texts(finding, ("evidence", "advice"))
    return document


def _replace_texts(of: dict[str, Any], fields: tuple[str, ...]) -> None:
    for field in fields:
        value = of.get(field)
        of[field] = [_message(one) for one in value] if isinstance(value, list) else _message(value)


def _message(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    return {"template": text.replace("{", "{{").replace("}", "}}"), "values": {}}
