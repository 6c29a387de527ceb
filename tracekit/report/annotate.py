"""A copy of a trace with lanes of tracekit's: passes, blocks, modules, idle time and TFLOP/s of each device.

The events of the trace are copied as they are. Lanes are threads of processes of their own, one per device,
in the Trace Event Format that Perfetto and chrome://tracing read; slices of one lane nest. Everything that is
added has the category `CATEGORY`, of which `tracekit.trace` reads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tracekit.analysis.lanes import CAUSES, Calls, Lanes
from tracekit.analysis.schema import ModuleRow, Report
from tracekit.messages import N_, Message, UserError
from tracekit.report.escape import clean, elide
from tracekit.report.files import replace_file
from tracekit.report.i18n import Locale
from tracekit.trace import Ints, open_source, with_events

CATEGORY = "tracekit:lane"
NAME_CHARACTERS = 200
_CHUNK = 1 << 14  # slices that are written at a time
# Processes and threads have numbers that nothing else in a trace has, and each its own: Perfetto looks some
# threads up by number alone. Linux counts to 4,194,304.
_FIRST_NUMBER = 8_000_000
# Above the GPUs, which torch's profiler puts at 5,000,000 and beyond, and below the threads of the host.
_SORT_INDEX = 4_900_000


@dataclass(frozen=True)
class Annotated:
    """What was added to the copy; `warnings`: where it is not what stands in the trace."""

    path: Path
    lanes: int
    slices: int
    gaps: int
    warnings: tuple[Message, ...]


def check_output(trace: Path, output: Path) -> None:
    """Raises `UserError` where `output` is no place for a copy of `trace`, or that cannot be read twice."""
    path = str(output)
    # Those of `os.path` raise nothing, also where a name is too long or a directory not to be looked into.
    exists = os.path.exists(output)
    if os.path.exists(trace) and not open_source(trace).is_regular:
        raise UserError(N_("{path}: is a pipe, which can be read only once; name a file", path=str(trace)))
    if not output.name.endswith((".json", ".json.gz")):
        raise UserError(N_("{path}: name a file that ends in .json or .json.gz", path=path))
    if exists and os.path.exists(trace) and os.path.samefile(trace, output):
        raise UserError(N_("{path}: is the trace itself; name another file for the copy", path=path))
    if exists and not os.path.isfile(output):
        raise UserError(N_("{path}: is no file; name one for the copy", path=path))


def annotate(
    report: Report,
    lanes: Lanes,
    output: Path,
    lang: str = "en",
    progress: Callable[[int], None] | None = None,
) -> Annotated:
    """Writes the copy to `output`, compressed where its name ends in `.gz`: whole or not at all.

    `progress` is told the number of bytes of the trace that are read. Raises `UserError` where there is
    nothing to draw, where the trace has such lanes already, and where `output` cannot be written.
    """
    trace = Path(report.trace.path)
    check_output(trace, output)
    if not lanes.devices:
        raise UserError(N_("{path}: has no GPU events: there is nothing to draw", path=str(trace)))
    drawing = _Drawing(report, lanes, Locale(lang))
    pieces = _unmarked(trace, open_source(trace).pieces(progress))
    replace_file(output, with_events(trace, lanes.layout, pieces, drawing.events()))
    slices = len(lanes.passes) + len(lanes.blocks) + len(lanes.modules)
    return Annotated(output, len(drawing.threads), slices, len(lanes.idle), _warnings(report, lanes))


def _unmarked(trace: Path, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces; raises `UserError` where events of our category are among them."""
    mark = _json(CATEGORY)
    before = b""
    for piece in pieces:
        seen = before + piece
        if mark in seen:
            raise UserError(
                N_(
                    "{path}: has lanes of tracekit's already; annotate the trace that it was made from",
                    path=str(trace),
                )
            )
        before = seen[1 - len(mark) :]
        yield piece


def _warnings(report: Report, lanes: Lanes) -> tuple[Message, ...]:
    """What is not in the copy, and why."""
    layout, warnings = lanes.layout, list(report.trace.warnings)
    if layout.closing is None:
        warnings.append(N_("the copy ends there too, and is closed so that it can be opened"))
    if not layout.sound_head or (layout.closing is not None and not layout.sound_tail):
        warnings.append(N_("what is not JSON around the events is not in the copy"))
    if layout.damaged or layout.lost:
        warnings.append(N_("the copy has what was mended, and a placeholder for each event that is no JSON"))
    return tuple(warnings)


class _Drawing:
    """The events to add, as JSON."""

    def __init__(self, report: Report, lanes: Lanes, locale: Locale) -> None:
        self._report, self._lanes, self._locale = report, lanes, locale
        columns = (lanes.passes, lanes.blocks, lanes.modules, lanes.idle)
        times = [
            *(one.start for one in columns),
            *(one.end for one in columns),
            *(one.time for one in lanes.rates),
        ]
        self._clock = _Clock(whole=not any(np.any(column % 1000) for column in times))
        # By device; and by device, kind of lane, and stream where it is a lane of one.
        self.pids: list[int] = []
        self.threads: dict[tuple[int, str, int | None], int] = {}
        taken = {str(number) for number in lanes.numbers}
        free = (number for number in count(_FIRST_NUMBER) if str(number) not in taken)
        for device, own in enumerate(_lanes_by_device(lanes)):
            self.pids.append(next(free))
            self.threads |= {(device, *lane): next(free) for lane in own}

    def events(self) -> Iterator[bytes]:
        yield from self._metadata()
        yield from self._passes()
        several = len({block.stack for block in self._report.blocks}) > 1
        yield from self._calls("blocks", self._lanes.blocks, _whole_label if several else _label)
        yield from self._calls("modules", self._lanes.modules, _label)
        yield from self._idle()
        yield from self._rates()

    def _metadata(self) -> Iterator[bytes]:
        """Names of processes and threads, and their order."""
        _, streams = self._locale._, self._lanes.streams
        for device, pid in enumerate(self.pids):
            yield _metadata(pid, pid, "process_name", name=f"tracekit · {self._gpu(device)}")
            yield _metadata(pid, pid, "process_sort_index", sort_index=_SORT_INDEX + device)
        titles = {
            "passes": _("passes"),
            "blocks": _("blocks (stream {stream})"),
            "modules": _("modules (stream {stream})"),
            "idle": _("idle"),
        }
        for (device, kind, stream), tid in self.threads.items():
            name = "" if stream is None else _shown(str(streams[stream].name))
            yield _metadata(self.pids[device], tid, "thread_name", name=titles[kind].format(stream=name))
            yield _metadata(self.pids[device], tid, "thread_sort_index", sort_index=tid)

    def _gpu(self, device: int) -> str:
        return self._locale._("GPU {number}").format(number=self._lanes.devices[device])

    def _passes(self) -> Iterator[bytes]:
        rows, passes = self._report.passes, self._lanes.passes
        label = self._locale._("pass {number}")

        def texts(number: int) -> bytes:
            row = rows[number]
            name = label.format(number=row.index) + (f" ({row.phase})" if row.phase else "")
            facts = {field: getattr(row, field) for field in row.__struct_fields__ if field != "start_us"}
            return b'"name":%s,"args":%s' % (_json(_shown(name)), _json(_known(facts)))

        where = [self._place(device, "passes", None) for device in passes.device.tolist()]
        yield from self._slices(where, passes.start, passes.end, list(map(texts, passes.number.tolist())))

    def _calls(self, kind: str, calls: Calls, label: Callable[[ModuleRow], str]) -> Iterator[bytes]:
        rows, knows_flops = self._report.modules, self._lanes.knows_flops
        backward = self._locale._("{name} (backward)")

        @cache
        def constant(module: int, is_backward: bool) -> tuple[bytes, bytes]:
            row = rows[module]
            name = _shown(label(row))
            facts = {"path": row.path, "type": row.type}
            limits = _known({"limited_by": row.limited_by, "bound_share": row.bound_share})
            name = backward.format(name=name) if is_backward else name
            head = b'"name":%s,"args":%s,"kernels":' % (_json(name), _json(_known(facts))[:-1])
            return head, b',"all_calls":%s}' % _json(limits) if limits and not is_backward else b"}"

        @cache
        def place(stream: int) -> bytes:
            return self._place(self._lanes.streams[stream].device, kind, stream)

        for at in _chunks(len(calls)):
            texts = [
                b'%s%d,"gpu_time_us":%s%s%s' % (head, kernels, time, flops, tail)
                for (head, tail), kernels, time, flops in zip(
                    map(constant, calls.module[at].tolist(), calls.backward[at].tolist()),
                    calls.events[at].tolist(),
                    _us(calls.gpu_time[at]),
                    _flops(calls, at) if knows_flops else [b""] * (at.stop - at.start),
                    strict=True,
                )
            ]
            where = list(map(place, calls.stream[at].tolist()))
            yield from self._slices(where, calls.start[at], calls.end[at], texts)

    def _idle(self) -> Iterator[bytes]:
        _, rows, lanes = self._locale._, self._report.modules, self._lanes
        idle = lanes.idle

        @cache
        def texts(cause: int, module: int, call: int) -> bytes:
            row = rows[module] if module >= 0 else None
            facts = {
                "cause": CAUSES[cause],
                "module": None if row is None else _whole_label(row),
                "call": lanes.names[call] if call >= 0 else None,
            }
            where = _shown(_whole_label(row)) if row is not None else ""
            if CAUSES[cause] == "queued":
                name = _("idle: between queued kernels")
            elif CAUSES[cause] == "launches":
                name = (
                    _("idle: waits for launches by {module}").format(module=where)
                    if row is not None
                    else _("idle: waits for launches outside modules")
                )
            else:
                template = (
                    _("idle: after {call} in {module}")
                    if row is not None
                    else _("idle: after {call} outside modules")
                )
                name = template.format(call=_shown(lanes.names[call]), module=where)
            return b'"name":%s,"args":%s' % (_json(name), _json(_known(facts)))

        for at in _chunks(len(idle)):
            keys = (column[at].tolist() for column in (idle.cause, idle.module, idle.call))
            where = [self._place(device, "idle", None) for device in idle.device[at].tolist()]
            yield from self._slices(where, idle.start[at], idle.end[at], list(map(texts, *keys)))

    def _rates(self) -> Iterator[bytes]:
        for rate in self._lanes.rates:
            name, pid = f"TFLOP/s ({self._gpu(rate.device)})", self.pids[rate.device]
            head = b'{"ph":"C","cat":%s,"name":%s,"pid":%d,"tid":%d,"ts":' % (
                *(_json(CATEGORY), _json(name)),
                *(pid, pid),
            )
            for at in _chunks(len(rate.time)):
                values = zip(self._clock.us(rate.time[at]), rate.tflops[at].tolist(), strict=True)
                # Perfetto puts the key behind the name.
                yield b",\n".join(b'%s%s,"args":{"matrix":%.9g}}' % (head, ts, value) for ts, value in values)

    def _slices(self, where: list[bytes], start: Ints, end: Ints, texts: list[bytes]) -> Iterator[bytes]:
        head = b'{"ph":"X","cat":%s,' % _json(CATEGORY)
        rows = zip(where, self._clock.us(start), self._clock.durations(start, end), texts, strict=True)
        if where:
            yield b",\n".join(
                b'%s%s,"ts":%s,"dur":%s,%s}' % (head, place, ts, duration, text)
                for place, ts, duration, text in rows
            )

    def _place(self, device: int, kind: str, stream: int | None) -> bytes:
        return b'"pid":%d,"tid":%d' % (self.pids[device], self.threads[device, kind, stream])


def _lanes_by_device(lanes: Lanes) -> list[list[tuple[str, int | None]]]:
    """Those that have slices: what each shows and, of one of a stream, the stream."""
    found: list[list[tuple[str, int | None]]] = [[] for _ in lanes.devices]
    for device in np.unique(lanes.passes.device).tolist():
        found[device].append(("passes", None))
    drawn = {"blocks": set(lanes.blocks.stream.tolist()), "modules": set(lanes.modules.stream.tolist())}
    for index, stream in enumerate(lanes.streams):
        found[stream.device] += [(kind, index) for kind in drawn if index in drawn[kind]]
    for device in np.unique(lanes.idle.device).tolist():
        found[device].append(("idle", None))
    return found


def _flops(calls: Calls, at: slice) -> list[bytes]:
    matrix, tflops = np.rint(calls.matrix[at]), calls.tflops[at]
    return [
        b',"matrix_flops":%d,"tflops":%.6g' % pair if pair[1] == pair[1] else b',"matrix_flops":%d' % pair[0]
        for pair in zip(matrix.tolist(), tflops.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class _Clock:
    """Moments and durations in µs, for viewers; `whole`: no time of the trace has a fraction.

    Perfetto multiplies numbers with a fraction by 1000 as floats: times since 1970 become multiples of
    256 ns, those since a boot long ago may be a nanosecond off, and durations stay what they are. A slice
    would then end behind the one that it lies in, and be dropped; so durations are those from where a
    viewer sees the start to where it would see a start at the end.
    """

    whole: bool

    def us(self, ns: Ints) -> list[bytes]:
        return [b"%d" % one for one in (ns // 1000).tolist()] if self.whole else _us(ns)

    def durations(self, start: Ints, end: Ints) -> list[bytes]:
        return self.us(end - start) if self.whole else _us(_seen(end) - _seen(start))


def _seen(ns: Ints) -> Ints:
    whole, rest = np.divmod(ns, 1000)
    product = (whole + rest / 1000) * 1000
    distance = np.abs(product)
    down = np.floor(distance)
    rounded = np.where(distance - down < 0.5, down, down + 1)
    return np.copysign(rounded, product).astype(np.int64)


def _us(ns: Ints) -> list[bytes]:
    """µs with three decimals, of ns: no float on the way."""
    whole, rest = np.divmod(np.abs(ns), 1000)
    texts = [b"%d.%03d" % pair for pair in zip(whole.tolist(), rest.tolist(), strict=True)]
    for at in np.flatnonzero(ns < 0).tolist():
        texts[at] = b"-" + texts[at]
    return texts


def _chunks(length: int) -> Iterator[slice]:
    for start in range(0, length, _CHUNK):
        yield slice(start, min(length, start + _CHUNK))


def _metadata(pid: int, tid: int, kind: str, **args: Any) -> bytes:
    return _json({"ph": "M", "cat": CATEGORY, "name": kind, "pid": pid, "tid": tid, "args": args})


def _label(row: ModuleRow) -> str:
    """The last part of its path, with what holds it where that is a number; a nameless one's type."""
    parts = row.path.split(".")
    first = len(parts) - 1
    while first and parts[first].isdigit():
        first -= 1
    return ".".join(parts[first:]) or row.type or row.name


def _whole_label(row: ModuleRow) -> str:
    return row.path or _label(row)


def _shown(text: str) -> str:
    return elide(clean(text), NAME_CHARACTERS)


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


_json = msgspec.json.encode
