"""What has to hold of the report of any trace, and of reading one of which some events were damaged."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import strategies as st

from tests.fuzz import plain
from tests.fuzz.documents import Written, documents
from tests.fuzz.oracles import SMALL, demand, limits, memory_folder
from tests.trace.contents import rows, rows_of
from tests.trace.damage import Sound, sound_trace
from tests.trace.test_damage import (
    KEYED,
    MENDED,
    SKIPPED,
    SOUND_BUT_ODD,
    UNTIMED,
    Damaged,
    renamed,
    with_one_mark,
)
from tracekit import report as renderers
from tracekit.analysis import Report, analyze, analyze_lanes
from tracekit.messages import UserError
from tracekit.report.annotate import annotate
from tracekit.report.json import SCHEMA_PATH
from tracekit.report.terminal import print_summary
from tracekit.trace import read

__all__ = ["Case", "DamagedCase", "WholeCase", "cases", "memory_folder"]

CHEAP = ("md", "csv", "html", "terminal", "annotate")
DEAR = ("xlsx", "parquet", "png")
_SHARES = ("modules_forward", "modules_backward", "outside_modules", "launched_before_trace")


@dataclass(frozen=True)
class WholeCase:
    """A trace of odd events, from which a report is made in some of its forms."""

    written: Written
    forms: frozenset[str]
    lang: str

    @property
    def document(self) -> bytes:
        return self.written.text

    def check(self, folder: Path) -> str:
        path = folder / "t.json"
        path.write_bytes(self.document)
        expected = plain.expected(list(map(_members, self.written.events)))
        try:
            report = analyze(path)
        except UserError as error:
            demand("\n" not in str(error), "a refusal is not one line", error)
            demand(not expected.rows, "a trace that can be used is refused", error)
            return "refused"
        _check_counts(report, expected)
        _check_accounting(report, expected.rows)
        self._check_forms(report, path)
        return "damaged" if report.trace.skipped_events else "whole"

    def _check_forms(self, report: Report, path: Path) -> None:
        directory = path.parent / "report"
        renderers.save(report, directory, sorted({"json", *self.forms} - {"terminal", "annotate"}), self.lang)
        document = json.loads((directory / "report.json").read_bytes(), parse_constant=_no_number)
        errors = [error.message for error in _validator().iter_errors(document)]
        demand(not errors, "report.json does not follow its schema", errors)
        if "terminal" in self.forms:
            stream = io.StringIO()
            print_summary(report, None, self.lang, stream)
            demand("\x1b" not in stream.getvalue(), "escapes on the terminal", repr(stream.getvalue()))
        if "md" in self.forms:
            demand(b"\x1b" not in (directory / "report.md").read_bytes(), "escapes in report.md")
        if "annotate" in self.forms:
            self._check_annotated(path)

    def _check_annotated(self, path: Path) -> None:
        """The copy is JSON, and has the report that the trace has, but for counts of events."""
        report, lanes = analyze_lanes(path)
        copy = path.with_name("copy.json")
        try:
            annotate(report, lanes, copy, self.lang)
        except UserError:
            demand(not report.accounting.gpu_events or b"tracekit:lane" in self.document, "no annotated copy")
            return
        text = copy.read_bytes()
        try:
            plain.document(text, errors="replace")  # strings that nobody reads are not looked at
        except ValueError as error:
            demand(False, "an annotated copy is no JSON", error)
        again = analyze(copy)
        demand(again.accounting == report.accounting, "accounting of an annotated copy", again.accounting)
        demand(again.modules == report.modules, "modules of an annotated copy", again.modules)


def _check_counts(report: Report, expected: plain.Expected) -> None:
    total = report.trace.events + report.trace.skipped_events
    demand(expected.least <= total <= expected.most, "count of events", (total, expected))
    if expected.rows is not None:
        demand(report.trace.skipped_events == expected.skipped, "count of untimed events", report.trace)


def _check_accounting(report: Report, expected: list[plain.Row] | None) -> None:
    accounting = report.accounting
    shares = [getattr(accounting, name) for name in _SHARES]
    events, microseconds = sum(share.events for share in shares), sum(share.us for share in shares)
    demand(events == accounting.gpu_events, "events of the shares", accounting)
    demand(_close(microseconds, accounting.gpu_time_us), "µs of the shares", accounting)
    if expected is None:
        return
    durations = [row.duration for row in expected if row.kind == "gpu_events"]
    demand(len(durations) == accounting.gpu_events, "count of GPU events", (durations, accounting))
    # Each is rounded to a nanosecond.
    late = abs(Decimal(accounting.gpu_time_us) * 1000 - sum(durations))
    demand(late <= len(durations) + sum(durations) / 10**9, "GPU time", (durations, accounting))


@dataclass(frozen=True)
class DamagedCase:
    """A sound trace, and what happens to the events at some positions."""

    sound: Sound
    damages: dict[int, Damaged]
    separators: dict[int, bytes]
    small_chunks: bool

    @property
    def document(self) -> bytes:
        texts = {at: damaged.damage(self.sound.texts[at]) for at, damaged in self.damages.items()}
        return self.sound.document(texts, self.separators)

    def check(self, folder: Path) -> str:
        """Every damaged event is skipped or mended as its damage says, and the others are what they were."""
        path = folder / "t.json"
        path.write_bytes(self.document)
        expected = [
            renamed(event, self.damages[at].endings[0]) if at in self.damages else event
            for at, event in enumerate(self.sound.events)
            if at not in self.damages or self.damages[at].skipped == (0,)
        ]
        what = {at: damaged.what for at, damaged in self.damages.items()}
        with limits("in small chunks", SMALL if self.small_chunks else ()):
            try:
                trace = read(path)
            except UserError as error:
                demand(not expected, "a trace with sound events is refused", (error, what))
                return "refused"
        counts = trace.event_count, trace.skipped_count
        demand(
            counts == (len(expected), len(self.sound.events) - len(expected)),
            "counts of damaged",
            (counts, what),
        )
        demand(with_one_mark(rows(trace)) == rows_of(expected), "rows beside damaged ones", what)
        return "damaged" if self.damages else "whole"


Case = WholeCase | DamagedCase


@st.composite
def _whole_cases(draw: st.DrawFn, dear: bool) -> WholeCase:
    forms = draw(st.sets(st.sampled_from(CHEAP), max_size=2))
    if dear and draw(st.integers(0, 30)) == 0:
        forms.add(draw(st.sampled_from(DEAR)))
    return WholeCase(draw(documents()), frozenset(forms), draw(st.sampled_from(("en", "ru"))))


def _clear(damages: Sequence[Damaged]) -> list[Damaged]:
    return [damaged for damaged in damages if len(damaged.endings) == 1]


_READ, _UNTIMED = _clear([*SOUND_BUT_ODD, *MENDED]), _clear(UNTIMED)
_KEYED, _ALONE = _clear(KEYED), _clear(SKIPPED)


@st.composite
def _damaged_cases(draw: st.DrawFn) -> DamagedCase:
    """Two neighbours of which one lacks its end and one its beginning may be one event: there are none."""
    sound = sound_trace(draw(st.integers(1, 4)))
    damages: dict[int, Damaged] = {}
    for at in sorted(draw(st.sets(st.integers(0, len(sound.events) - 1), max_size=8))):
        before = damages.get(at - 1)
        kinds = (
            _READ + _UNTIMED if before in _ALONE else _READ + _UNTIMED + _KEYED if before else _ALONE + _READ
        )
        damages[at] = draw(st.sampled_from(kinds))
        if before in _ALONE and before not in _KEYED:
            del damages[at]
    blanks = st.sampled_from((b",", b", ", b" ,\n", b",\r\n\t", b"\n, "))
    separators = draw(st.dictionaries(st.integers(0, len(sound.events) - 2), blanks, max_size=5))
    return DamagedCase(sound, damages, separators, draw(st.booleans()))


def cases(dear: bool) -> st.SearchStrategy[Case]:
    """`dear`: now and then with forms of the report that take much longer than all the rest."""
    return st.one_of(_whole_cases(dear), _damaged_cases())


def _members(value: Any) -> Any:
    """The value as `plain.document` would give it."""
    if isinstance(value, dict):
        return plain.Members((key, _members(item)) for key, item in value.items())
    if isinstance(value, list):
        return list(map(_members, value))
    return Decimal(repr(value)) if isinstance(value, float) else value


@cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA_PATH.read_text(encoding="utf-8")))


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)


def _no_number(name: str) -> Any:
    demand(False, "a number in report.json that JSON does not have", name)
