"""`read`: from a trace file to columns, streaming, a chunk of about a megabyte at a time.

The strict way decodes whole chunks. A chunk that does not decode goes to `salvage`, alone. This is the
one place that chooses between them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from tracekit.messages import N_, Message, UserError
from tracekit.trace import split
from tracekit.trace.build import ColumnsBuilder
from tracekit.trace.columns import Layout, Trace
from tracekit.trace.events import decode_event, decode_events
from tracekit.trace.source import Progress, open_source

CHUNK_BYTES = 1 << 20
HEAD_LIMIT_BYTES = 64 << 20
STUCK_BYTES = 8 << 20
NO_EVENT = b'{"ph":"M","name":"event that could not be decoded"}'

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read(path: str | Path, progress: Progress | None = None) -> Trace:
    """The columns of the trace at `path`, a Kineto/Chrome trace as `.json` or `.json.gz`.

    Raises `UserError` where the file cannot be read, ends before its first event, or is no trace.
    """
    source = open_source(path)
    reader = _Reader()
    for piece in source.pieces(progress):
        reader.feed(piece)
    return reader.finish(source.path, source.size_bytes, source.problem)


class _Reader:
    """The state of one reading: head, then events, then tail."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._builder = ColumnsBuilder()
        self._head: split.Head | None = None
        self._tail: bytearray | None = None
        self._skipped = 0
        self._warnings: list[Message] = []
        self._offset = 0  # of the buffer in the file
        self._events_start = self._events_end = 0
        self._closing: int | None = None
        self._separated = True  # the comma before the buffer's first event is behind us
        self._repairs: list[tuple[int, int, bytes]] = []

    def feed(self, piece: bytes) -> None:
        if self._tail is not None:
            if len(self._tail) < HEAD_LIMIT_BYTES:
                self._tail += piece
            return
        self._buffer += piece
        if self._head is None and not self._find_head(complete=False):
            return
        if len(self._buffer) >= CHUNK_BYTES:
            self._take(split.last_boundary(self._buffer))

    def finish(self, path: Path, size_bytes: int, problem: Message | None) -> Trace:
        if self._head is None and not self._find_head(complete=True):
            raise UserError(_unreadable(path, bytes(self._buffer[:1024]), problem))
        if self._tail is None:
            self._salvage()
        if self._tail is None:
            problem = problem or N_("the file is cut off")
            if self._buffer.strip(b", \t\r\n"):
                self._skipped += 1
        builder = self._builder
        if builder.event_count == 0:
            if problem:
                raise UserError(
                    N_("{path}: ends before its first event; copy or capture it again", path=path)
                )
            raise UserError(N_("{path}: has no events; was the profiler running?", path=path))
        trace = builder.build(path, size_bytes, self._skipped, self._warnings, self._metadata())
        trace = replace(trace, layout=self._layout())
        if problem:
            warning = N_(
                "{problem}; events read before that: {count}", problem=problem, count=trace.event_count
            )
            trace = _with_warning(trace, warning)
        if trace.skipped_count:
            trace = _with_warning(
                trace,
                N_(
                    "events skipped, not decodable or without a sane time: {count}", count=trace.skipped_count
                ),
            )
        if not any(map(len, (trace.ops, trace.launches, trace.gpu_events, trace.frames, trace.annotations))):
            raise UserError(
                N_(
                    "{path}: none of its {count} events is an op, a kernel or a module; "
                    "is it a trace of the PyTorch profiler?",
                    path=path,
                    count=trace.event_count,
                )
            )
        return trace

    def _find_head(self, complete: bool) -> bool:
        text = bytes(self._buffer)
        if not complete and len(text) > HEAD_LIMIT_BYTES:
            complete = True
        self._head = split.find_head(text, complete)
        if self._head is None:
            return False
        if not self._head.sound:
            self._warnings.append(N_("the metadata before the events could not be decoded: skipped"))
        self._drop(self._head.events_start)
        self._events_start = self._events_end = self._offset
        return True

    def _drop(self, count: int) -> None:
        """Forgets the first bytes of the buffer."""
        del self._buffer[:count]
        self._offset += count

    def _take(self, boundary: tuple[int, int] | None) -> None:
        """The strict way, up to a likely boundary; where it fails, salvage."""
        if boundary is None or not self._decode(b"[" + self._buffer[: boundary[0]] + b"]"):
            self._salvage()
        else:
            self._events_end = self._offset + boundary[0]
            self._drop(boundary[1])
            self._separated = True

    def _decode(self, text: bytes) -> bool:
        try:
            events = decode_events(text)
            self._builder.add(events, text)
        except _DECODE_ERRORS:
            return False
        return True

    def _salvage(self) -> None:
        """Takes the whole events at the start of the buffer one boundary at a time, and what ends them."""
        found = split.scan(self._buffer)
        texts = [bytes(self._buffer[begin:end]) for begin, end in found.spans]
        if texts and not self._decode(b"[" + b",".join(texts) + b"]"):
            sound = []
            for text, span in zip(texts, found.spans, strict=True):
                try:
                    decode_event(text)
                    sound.append(text)
                except _DECODE_ERRORS:
                    self._skipped += 1
                    if not split.is_json(text):
                        self._repair(*span, NO_EVENT)
            self._decode(b"[" + b",".join(sound) + b"]")
        behind = 0
        for begin, end in found.spans:
            comma = b"" if self._separated else b","
            if self._buffer[behind:begin].strip() != comma:
                self._repair(behind, begin, comma)
            self._separated, behind = False, end
        if found.spans:
            self._events_end = self._offset + behind
        if found.array_end is not None:
            self._closing = self._offset + found.array_end - 1
            self._tail = self._buffer[found.array_end :]
            self._buffer = bytearray()
        elif found.spans:
            self._drop(behind)
            self._drop_comma()
        elif len(self._buffer) > STUCK_BYTES and (boundary := split.first_boundary(self._buffer)):
            self._skipped += 1
            self._repair(0, boundary[0], NO_EVENT if self._separated else b"," + NO_EVENT)
            self._events_end = self._offset + boundary[0]
            self._drop(boundary[1])
            self._separated = True

    def _repair(self, begin: int, end: int, text: bytes) -> None:
        self._repairs.append((self._offset + begin, self._offset + end, text))

    def _drop_comma(self) -> None:
        stripped = self._buffer.lstrip(b" \t\r\n")
        if stripped.startswith(b","):
            self._drop(len(self._buffer) - len(stripped) + 1)
            self._separated = True

    def _layout(self) -> Layout:
        head, tail = self._head or split.Head(0, {}), bytes(self._tail or b"")
        return Layout(
            is_list=head.is_list,
            events_start=self._events_start,
            events_end=self._events_end,
            closing=self._closing,
            sound_head=head.sound,
            sound_tail=not tail.strip() if head.is_list else split.is_json(b'{"traceEvents":[]' + tail),
            repairs=tuple(self._repairs),
        )

    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = dict(self._head.metadata) if self._head else {}
        tail = bytes(self._tail or b"").strip(b" \t\r\n,")
        if tail and tail != b"}":
            behind = split.decode_object(b"{" + tail)
            if behind is None:
                self._warnings.append(N_("the metadata behind the events could not be decoded: skipped"))
            metadata.update(behind or {})
        return metadata


def _with_warning(trace: Trace, warning: Message) -> Trace:
    return replace(trace, warnings=(*trace.warnings, warning))


def _unreadable(path: Path, beginning: bytes, problem: Message | None) -> Message:
    """Why a file without a list of events is none, and what to do."""
    start = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if problem:
        return N_("{path}: {problem}; copy or capture it again", path=path, problem=problem)
    if start != b"{" and not split.is_json(beginning):
        return N_("{path}: is not JSON; tracekit reads traces of the PyTorch profiler", path=path)
    return N_(
        "{path}: has no traceEvents; tracekit reads traces of the PyTorch profiler "
        "(prof.export_chrome_trace)",
        path=path,
    )
