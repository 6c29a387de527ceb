"""What has to hold of whatever `tracekit.trace.read` makes of any file."""

from __future__ import annotations

import json
import pickle
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.builder import TraceBuilder
from tests.fuzz import plain
from tracekit.messages import UserError
from tracekit.trace import Trace, cut, open_source, read, source, with_events
from tracekit.trace.build import ColumnsBuilder, interleaved
from tracekit.trace.columns import Intervals, Signature
from tracekit.trace.cut import Cutter
from tracekit.trace.parallel import Share
from tracekit.trace.salvage import NO_EVENT

MOST_SECONDS = 2.0  # of CPU time
PROCESSES = 2
ONE_IN = 997  # inputs are read on real processes; the others as if
ADDED = b'{"ph":"X","cat":"tracekit:lane","name":"added","ts":1,"dur":1}'
# Halves of surrogate pairs in escapes are JSON to Python, but are no characters.
SURROGATES_WARNING = "events with characters that are not UTF-8, replaced: {count}, the first at byte {first}"
KINDS = ("ops", "launches", "gpu_events", "frames", "annotations")

_READING = import_module("tracekit.trace.read")
# A few events long, so that the events of small inputs are many chunks.
SMALL = ((cut, "CHUNK_BYTES", 300), (source, "PIECE_BYTES", 97))
# And so that what is too long to keep is given up.
_TINY = (
    *SMALL,
    (cut, "EVENT_LIMIT_BYTES", 900),
    (cut, "BLIND_LIMIT_BYTES", 2500),
    (cut, "METADATA_LIMIT_BYTES", 2000),
    (cut, "_OVERLAP_BYTES", 64),
)


class BrokenError(Exception):
    """Something that has to hold does not; `kind` says what, in the same words for the same thing."""

    def __init__(self, kind: str, detail: object = "") -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


def demand(condition: object, kind: str, detail: object = "") -> None:
    if not condition:
        raise BrokenError(kind, detail)


def check(data: bytes, folder: Path) -> str:
    """Reads a file of these bytes in all ways: "refused", "whole" or "damaged"; or raises `BrokenError`."""
    path = folder / "input.json"
    path.write_bytes(data)
    text = plain.unpacked(data) if plain.form_of(data) in readable_forms() else None
    if text is not None and plain.form_of(text) != "plain":
        text = None  # packed twice
    trace = _read(path)
    _check_against_json(trace, text)
    _check_copy(trace, path)
    with limits("in small chunks", SMALL):
        small = _read(path)
        _check_against_json(small, text)
        if small is not None and not _holds_documents(path):
            _check_copy(small, path)
        with _other_processes(zlib.crc32(data) % ONE_IN == 0):
            _check_same("serial and parallel reading differ", small, _read(path, PROCESSES))
    with limits("with tiny limits", _TINY):
        tiny = _read(path)
    if tiny is not None and not _holds_documents(path):
        with limits("of what was read with tiny limits", ()):  # what is mended may have grown beyond them
            _check_copy(tiny, path)
    if trace is None:
        return "refused"
    return "damaged" if trace.skipped_count or trace.warnings else "whole"


@cache
def readable_forms() -> frozenset[str]:
    """The forms of a file that `read` takes; others it has to refuse."""
    text = json.dumps(TraceBuilder().op("aten::mm", 1, 2).document()).encode()
    found = set()
    for form in ("plain", "gzip", "zstd", "zip"):
        with memory_folder() as folder, suppress(UserError):
            path = folder / "input.json"
            path.write_bytes(plain.packed(text, form))
            read(path)
            found.add(form)
    return frozenset(found)


def _read(path: Path, processes: int = 1) -> Trace | None:
    """What `read` gives, None where it refuses the file."""
    before = time.process_time()
    try:
        trace = read(path, processes=processes)
    except UserError as error:
        trace = None
        demand("\n" not in str(error) and str(path) in str(error), "a refusal is not one line", str(error))
    seconds = time.process_time() - before
    demand(seconds < MOST_SECONDS, "slow", f"{seconds:.1f} s")
    if trace is not None:
        _check_columns(trace)
        _check_warnings(trace)
    return trace


def _check_columns(trace: Trace) -> None:
    tables: list[tuple[str, Any]] = [(kind, getattr(trace, kind)) for kind in (*KINDS, "flows")]
    limits = {
        "name": len(trace.names),
        "thread": len(trace.threads),
        "signature": len(trace.signatures),
        "device": len(trace.devices),
        "kind": 3,
        "is_end": 2,
    }
    for kind, table in tables:
        columns = {field.name: getattr(table, field.name) for field in fields(table)}
        demand(len({len(column) for column in columns.values()}) == 1, f"lengths of columns: {kind}")
        for name, column in columns.items():
            demand(np.issubdtype(column.dtype, np.signedinteger), f"dtype of {kind}.{name}", column.dtype)
            if name in limits and len(column):
                demand(column.min() >= 0 and column.max() < limits[name], f"codes of {kind}.{name}", column)
        if isinstance(table, Intervals):
            demand((table.start <= table.end).all(), f"ends of {kind}", (table.start, table.end))
    demand(trace.event_count > 0, "no events and no refusal")
    demand(trace.skipped_count >= 0, "a negative count", trace.skipped_count)
    demand(trace.event_count >= sum(len(table) for _, table in tables), "fewer events than rows")
    demand(len(trace.processes) == len(trace.threads), "processes of threads")
    for table in (trace.names, trace.threads, trace.devices):
        demand(len(set(table)) == len(table), "a table has a value twice", table)


def _check_warnings(trace: Trace) -> None:
    texts = list(map(str, trace.warnings))
    demand(all("\n" not in text for text in texts), "a warning is not one line", texts)
    demand(
        trace.warnings or not trace.skipped_count, "events are skipped without a word", trace.skipped_count
    )
    counts = Counter(warning.template for warning in trace.warnings)
    demand(all(count == 1 for count in counts.values()), "a warning is given twice", texts)
    demand(
        all(warning.values.get("count") != 0 for warning in trace.warnings if "first" in warning.values),
        "a warning of nothing",
        texts,
    )


def _check_against_json(trace: Trace | None, text: bytes | None) -> None:
    """The counts and rows are those that the text has to come to."""
    if text is None:
        return
    try:
        elements = plain.events_of(text)
    except plain.DepthError:
        return
    except ValueError:
        _check_unsound(trace, text)
        return
    if elements is not None:
        _check_sound(trace, plain.expected(elements))


def _check_unsound(trace: Trace | None, text: bytes) -> None:
    if trace is None:
        return
    least = plain.expected(plain.first_events(text)).least
    total = trace.event_count + trace.skipped_count
    demand(total >= least, "fewer events than stand before the damage", (total, least))
    places = [warning.values["first"] for warning in trace.warnings if "first" in warning.values]
    demand(all(0 <= place <= len(text) for place in places), "a place beyond the file", places)
    if not trace.warnings:
        try:
            plain.document(text, errors="replace")  # strings that nobody reads are not looked at
        except plain.DepthError:
            pass
        except ValueError as error:
            raise BrokenError("no warning of what is no JSON", error) from None


def _check_sound(trace: Trace | None, expected: plain.Expected) -> None:
    if trace is None:
        demand(not expected.rows, "a sound trace is refused")
        return
    total = trace.event_count + trace.skipped_count
    demand(expected.least <= total <= expected.most, "count of sound events", (total, expected))
    if expected.rows is not None:
        demand(trace.skipped_count == expected.skipped, "count of untimed events", (trace, expected))
        warnings = [one for one in trace.warnings if one.template != SURROGATES_WARNING]
        demand(not warnings or expected.skipped, "a warning of a sound trace", warnings)
        _check_rows(trace, expected.rows)


def _check_rows(trace: Trace, expected: list[plain.Row]) -> None:
    found = {kind: rows_of(trace, kind) for kind in KINDS}
    for kind in KINDS:
        rows = [row for row in expected if row.kind == kind]
        demand(len(rows) == len(found[kind]), f"count of {kind}", (found[kind], rows))
        for row, (*names, start, end) in zip(rows, found[kind], strict=True):
            demand([*row[1:4]] == names, f"names of {kind}", (names, row))
            late = abs(start - row.start), abs(end - start - row.duration)
            demand(max(late) <= 1, f"times of {kind}", (start, end, row))


def rows_of(trace: Trace, kind: str) -> list[tuple[Any, ...]]:
    """Name, pid, tid, start and end (ns) of the rows of a table."""
    table: Intervals = getattr(trace, kind)
    columns = (table.name, table.thread, table.start, table.end)
    return [
        (trace.names[name], *trace.threads[thread], start, end)
        for name, thread, start, end in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _holds_documents(path: Path) -> bool:
    """Whether one may stand within the events of another.

    Which of its events count as such depends on where chunks end, if it is larger than one.
    """
    text = b"".join(open_source(path).pieces())
    return max(text.count(b'"traceEvents'), text.count(b'"schemaVersion"')) > 1


def _check_copy(trace: Trace | None, path: Path) -> None:
    """A copy is JSON; reading it gives what reading the file gave, and what was added."""
    if trace is None:
        return
    for added in ([], [ADDED]):
        pieces = open_source(path).pieces()
        try:
            copy = b"".join(with_events(path, trace.layout, pieces, added))
        except UserError as error:
            raise BrokenError("no copy", error) from None
        try:
            plain.document(copy)
        except plain.DepthError:
            return
        except ValueError as error:
            raise BrokenError("a copy is no JSON", f"{error} in {copy!r}") from None
        copied = path.with_name("copy.json")
        copied.write_bytes(copy)
        again = _read(copied)
        demand(again is not None, "a copy is refused", copy)
        assert again is not None
        _check_copied(trace, again, len(added) + _placeholders(path, copy), copy)


def _placeholders(path: Path, copy: bytes) -> int:
    """How many events of the copy stand for some that are lost."""
    return copy.count(NO_EVENT) - b"".join(open_source(path).pieces()).count(NO_EVENT)


def _check_copied(trace: Trace, again: Trace, more: int, copy: bytes) -> None:
    """The copy holds the same events, so many more that nobody reads, and no more that cannot be read."""
    for name, values in _looked_up(trace).items():
        demand(values == _looked_up(again)[name], f"{name} of a copy differ", copy)
    counts = (again.event_count, trace.event_count, more)
    demand(again.event_count == trace.event_count + more, "a copy has other events", (*counts, copy))
    demand(again.skipped_count <= trace.skipped_count, "more of a copy is skipped", copy)
    if not trace.warnings:
        demand(again.metadata == trace.metadata, "metadata of a copy differ", copy)


def _looked_up(trace: Trace) -> dict[str, list[Any]]:
    """All columns, with values in the place of codes, which depend on where the file is cut."""
    tables: dict[str, Sequence[Any]] = {
        "name": trace.names,
        "thread": trace.threads,
        "signature": list(map(_in_utf8, trace.signatures)),
        "device": trace.devices,
    }
    found = {}
    for kind in (*KINDS, "flows"):
        for field in fields(getattr(trace, kind)):
            column = getattr(getattr(trace, kind), field.name).tolist()
            table = tables.get(field.name)
            found[f"{kind}.{field.name}"] = [table[code] for code in column] if table else column
    return found


def _in_utf8(signature: Signature) -> Signature:
    """As it is in a copy; reading does not look into it."""
    texts = {key: getattr(signature, key) for key in ("shapes", "dtypes", "concrete")}
    return replace(signature, **{key: text.decode(errors="replace").encode() for key, text in texts.items()})


def _check_same(kind: str, one: Trace | None, other: Trace | None) -> None:
    demand((one is None) == (other is None), kind, "one is refused")
    if one is None or other is None:
        return
    for field in fields(Trace):
        values = getattr(one, field.name), getattr(other, field.name)
        if hasattr(values[0], "start") or field.name == "flows":
            for column in fields(values[0]):
                same = [getattr(value, column.name).tolist() for value in values]
                demand(same[0] == same[1], kind, (field.name, column.name, *same))
        elif field.name == "processes":
            demand(values[0].tolist() == values[1].tolist(), kind, values)
        else:
            demand(repr(values[0]) == repr(values[1]), kind, (field.name, *values))


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A new folder, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="tracekit-fuzz-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@contextmanager
def limits(words: str, values: tuple[tuple[Any, str, int], ...]) -> Iterator[None]:
    """Reads with other limits; what is found so is called so."""
    before = [(module, name, getattr(module, name)) for module, name, _ in values]
    try:
        for module, name, value in values:
            setattr(module, name, value)
        yield
    except BrokenError as error:
        raise BrokenError(f"{error.kind} ({words})", error.detail) from None
    finally:
        for module, name, value in before:
            setattr(module, name, value)


@contextmanager
def _other_processes(real: bool) -> Iterator[None]:
    if real:
        yield
    else:
        with patch.object(_READING, "helpers", _pretended):
            yield


@contextmanager
def _pretended(path: Path, count: int) -> Iterator[_Pretended]:
    yield _Pretended(path, count)


class _Pretended:
    """Does one after the other, in this process, what the others would do: a thousand times as fast."""

    ids: tuple[int, ...] = ()

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._count = path, count

    def have_failed(self) -> bool:
        return False

    def merged(self, share: Share) -> ColumnsBuilder | None:
        states = [share.builder.state()]
        for number in range(1, self._count):
            other, cutter = Share(number, self._count), Cutter()
            for piece in open_source(self._path).pieces():
                chunk = cutter.feed(piece)
                if chunk is not None and chunk.has_more and not other.take(chunk):
                    return None
            demand(other.chunks == share.chunks, "processes cut in different places")
            states.append(pickle.loads(pickle.dumps(other.builder.state())))
        return interleaved(states)
