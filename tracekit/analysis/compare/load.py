"""A `Report` from a file: a trace, which is analysed, or the `report.json` of an earlier analysis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tracekit.analysis.schema import SCHEMA, Report
from tracekit.messages import N_, UserError

# A report names its schema before anything else.
_HEAD_BYTES = 200
_SCHEMA_MARK = b'"schema": "tracekit.report/'


def is_report(path: Path) -> bool:
    """Whether the file is a `report.json` by its first bytes; False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return _SCHEMA_MARK in file.read(_HEAD_BYTES)
    except OSError:
        return False


def load(path: str | Path, analyze: Callable[[Path], Report]) -> Report:
    """The report in the file, or what `analyze` makes of it where it is a trace.

    Raises `UserError` for a report that is damaged or of another version.
    """
    path = Path(path)
    return read_report(path) if is_report(path) else analyze(path)


def read_report(path: Path) -> Report:
    """The report that a `report.json` holds; its messages are plain English texts. Raises `UserError`."""
    try:
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(N_("{path}: cannot be read ({reason})", path=str(path), reason=reason)) from None
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
    if not report.statistics:
        raise UserError(
            N_(
                "{path}: was written before reports could be compared; analyze the trace again",
                path=str(path),
            )
        )
    return report


def _with_messages(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its texts for people as messages, which is what they were."""
    for part, fields in (("trace", ("warnings",)), ("device", ("note",))):
        if isinstance(of := document.get(part), dict):
            _replace_texts(of, fields)
    for finding in document.get("findings") or ():
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
