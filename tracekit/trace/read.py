"""`read`: from a trace file to columns, streaming, a chunk of about a megabyte at a time.

The strict way decodes whole chunks, on several processes where the file is large. A chunk that does not
decode goes to `salvage`, alone. This is the one place that chooses between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tracekit.messages import N_, Message, UserError
from tracekit.trace.build import ColumnsBuilder
from tracekit.trace.columns import Layout, Trace
from tracekit.trace.cut import BLIND_LIMIT_BYTES, EVENT_LIMIT_BYTES, METADATA_LIMIT_BYTES, Chunk, Cutter, Lost
from tracekit.trace.fits import Budget
from tracekit.trace.foreign import what_it_is
from tracekit.trace.metadata import Behind, Head, is_json
from tracekit.trace.parallel import Share, helpers, worthwhile_processes
from tracekit.trace.salvage import Ending, Stretch, salvage
from tracekit.trace.scan import count_events
from tracekit.trace.source import Progress, Source, open_source
from tracekit.trace.strict import decode_chunk
from tracekit.trace.warn import Places, reading_warnings


def read(path: str | Path, progress: Progress | None = None, processes: int | None = None) -> Trace:
    """The columns of the trace at `path`, a Kineto/Chrome trace as `.json`, plain or compressed.

    So many `processes` decode it; by default as many as its size is worth. Raises `UserError` where the file
    cannot be read, ends before its first event, is no trace, or will not fit into memory.
    """
    source, done = open_source(path), _Read(progress)
    count = worthwhile_processes(source.path, source.size_bytes) if processes is None else processes
    budget = Budget(source.path)
    with budget.guarded():
        reading = None
        if count > 1 and source.is_regular:
            reading = _read_on_several(source, done, budget, count)
            if reading is None:
                source = open_source(path)
                done.again()
        if reading is None:
            reading = _read_on_one(source, done, budget)
        budget.check_whole(reading.builder)
        return reading.finish()


class _Read:
    """How much of a file has been read; passes it on, up to what was shown before."""

    def __init__(self, progress: Progress | None) -> None:
        self.bytes = self._shown = 0
        self._progress = progress

    def __call__(self, count: int) -> None:
        self.bytes += count
        if self._progress and self.bytes > self._shown:
            self._progress(self.bytes - self._shown)
            self._shown = self.bytes

    def again(self) -> None:
        self.bytes = 0


def _read_on_one(source: Source, done: _Read, budget: Budget) -> _Reading:
    reading = _Reading(source)
    for piece in source.pieces(done):
        chunk = reading.cutter.feed(piece)
        if chunk is not None:
            reading.take(chunk)
            budget.check(done.bytes, reading.builder)
        if reading.cutter.gave_up:
            break
    return reading


def _read_on_several(source: Source, done: _Read, budget: Budget, count: int) -> _Reading | None:
    """None where something in the file is broken."""
    reading, share, last = _Reading(source), Share(0, count), None
    with helpers(source.path, count) as others:
        if others is None:
            return None
        for piece in source.pieces(done):
            chunk = reading.cutter.feed(piece)
            if chunk is not None and not chunk.has_more:
                last = chunk
            elif chunk is not None and not share.take(chunk):
                return None
            if reading.cutter.gave_up or others.have_failed():
                return None
            budget.check(done.bytes, share.builder, others.ids)
        builder = others.merged(share)
    if builder is None:
        return None
    reading.builder = builder
    if last is not None:
        reading.take(last)
    return reading


@dataclass
class _Reading:
    """The state of one reading in one process."""

    source: Source
    cutter: Cutter = field(default_factory=Cutter)
    builder: ColumnsBuilder = field(default_factory=ColumnsBuilder)
    undecodable: Places = field(default_factory=Places)
    mended: dict[str, Places] = field(default_factory=dict)
    damaged: list[Stretch] = field(default_factory=list)
    events_end: int = 0

    def take(self, chunk: Chunk) -> None:
        if (chunk.text.strip() or chunk.has_more) and not decode_chunk(chunk.text, chunk.begin, self.builder):
            self._salvage(chunk)
        elif not chunk.has_more:
            self.events_end = chunk.begin + len(chunk.text)

    def _salvage(self, chunk: Chunk) -> None:
        ending = (
            Ending.MORE if chunk.has_more else Ending.FILE if self.cutter.closing is None else Ending.CLOSED
        )
        found = salvage(chunk.text, ending, self._is_list)
        if not decode_chunk(found.sound, chunk.begin, self.builder):
            found.skipped += count_events(found.sound)
        end = chunk.end
        if found.closing is not None:
            self.cutter.close(chunk, found.closing)
            end = chunk.begin + found.events_end
        elif found.unfinished is not None:
            end = chunk.begin + found.unfinished
            if chunk.has_more:
                self.cutter.give_back(chunk, found.unfinished)
            else:
                self.undecodable.note(max(1, count_events(chunk.text[found.unfinished :])), end)
        events = chunk.text[: end - chunk.begin].rstrip(b", \t\r\n")
        self.events_end = chunk.begin + len(events) if events else self.cutter.events_end
        if found.skipped or found.mended:
            self.damaged.append(Stretch(chunk.begin, chunk.begin + len(chunk.text), end, ending))
        if found.skipped:
            self.undecodable.note(found.skipped, chunk.begin + (found.first_skipped or 0))
        for kind, count in found.mended.items():
            self.mended.setdefault(kind, Places()).note(count, chunk.begin + found.first_mended[kind])

    @property
    def _is_list(self) -> bool:
        return self.cutter.head is not None and self.cutter.head.is_list

    def finish(self) -> Trace:
        """What was read; raises `UserError` where that is nothing."""
        cutter, path = self.cutter, self.source.path
        chunk = cutter.finish()
        if cutter.head is None:
            raise UserError(_unreadable(path, cutter.beginning(), cutter.gave_up, self.source.problem))
        if chunk is not None:
            self.take(chunk)
        behind = cutter.behind() if cutter.closing is not None else Behind(is_closed=False)
        for lost in cutter.lost:
            self.undecodable.note(lost.events, lost.begin)
        problem = self._problem(behind)
        builder = self.builder
        warnings = reading_warnings(
            cutter.head,
            behind,
            problem,
            cutter.size,
            builder.event_count,
            self.undecodable,
            Places(builder.untimed_count, builder.first_untimed or 0),
            self.mended,
        )
        trace = builder.build(
            path,
            self.source.size_bytes,
            self.undecodable.count + behind.extra_events,
            list(warnings),
            {**cutter.head.metadata, **behind.metadata},
        )
        _check(trace, problem, cutter.lost)
        return replace(trace, layout=self._layout(cutter.head, behind))

    def _problem(self, behind: Behind) -> Message | None:
        """Why the file ends before the trace does, if so."""
        if self.source.problem is not None:
            return self.source.problem
        if self.cutter.gave_up:
            return N_(
                "there are no events in {size} MiB of text, and the rest is not read",
                size=BLIND_LIMIT_BYTES >> 20,
            )
        return None if behind.is_closed else N_("the file is cut off")

    def _layout(self, head: Head, behind: Behind) -> Layout:
        cutter = self.cutter
        lost = [(one.begin, one.end) for one in cutter.lost]
        return Layout(
            is_list=head.is_list,
            events_start=cutter.events_start,
            events_end=max(cutter.events_start, self.events_end, *(end for _, end in lost)),
            closing=cutter.closing,
            sound_head=head.sound,
            sound_tail=behind.sound,
            head={} if head.sound else head.metadata,
            tail={} if behind.sound else behind.metadata,
            damaged=tuple(self.damaged),
            lost=tuple(lost),
        )


def _check(trace: Trace, problem: Message | None, lost: Iterable[Lost]) -> None:
    """Raises `UserError` where there is nothing to report on."""
    if not any(map(len, (trace.ops, trace.launches, trace.gpu_events, trace.frames, trace.annotations))):
        raise UserError(_without_work(trace, problem, lost))


def _without_work(trace: Trace, problem: Message | None, lost: Iterable[Lost]) -> Message:
    """Why there is no event that tells of the model."""
    path, count = trace.path, trace.event_count
    if not count and any(one.is_event for one in lost):
        return N_(
            "{path}: has no event that can be read: one is larger than {size} MiB, which is too large",
            path=path,
            size=EVENT_LIMIT_BYTES >> 20,
        )
    if trace.skipped_count > bool(problem):  # more than the one that is cut off
        return N_(
            "{path}: no op, kernel or module in it can be read; {warning}",
            path=path,
            warning=trace.warnings[0],
        )
    if not count and problem:
        return N_("{path}: ends before its first event; copy or capture it again", path=path)
    if not count:
        return N_("{path}: has no events; was the profiler running?", path=path)
    return N_(
        "{path}: none of its {count} events is an op, a kernel or a module; "
        "is it a trace of the PyTorch profiler?",
        path=path,
        count=count,
    )


def _unreadable(path: Path, beginning: bytes, gave_up: bool, problem: Message | None) -> Message:
    """Why a file without a list of events is none, and what to do."""
    start = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if problem:
        return N_("{path}: {problem}; copy or capture it again", path=path, problem=problem)
    if start != b"{" and not is_json(beginning):
        return what_it_is(path, beginning) or N_(
            "{path}: is not JSON; tracekit reads traces of the PyTorch profiler", path=path
        )
    if gave_up:
        return N_(
            "{path}: has no traceEvents in its first {size} MiB; "
            "tracekit reads traces of the PyTorch profiler",
            path=path,
            size=METADATA_LIMIT_BYTES >> 20,
        )
    return N_(
        "{path}: has no traceEvents; tracekit reads traces of the PyTorch profiler "
        "(prof.export_chrome_trace)",
        path=path,
    )
