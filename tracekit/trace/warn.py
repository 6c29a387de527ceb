"""What a report says of how a trace was read: what was skipped or mended, how often and where first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tracekit.messages import N_, Message
from tracekit.trace.mend import COMMAS, CONTROLS, ENCODING, ESCAPES, JUNK, NUMBERS
from tracekit.trace.metadata import Behind, Head


@dataclass
class Places:
    """How many of something there are, and where in the decompressed file the first one is."""

    count: int = 0
    first: int = 0

    def note(self, count: int, position: int) -> None:
        if count and not self.count:
            self.first = position
        self.count += count


_MENDED = {
    ESCAPES: N_(
        "events with backslashes that escape nothing, taken literally: {count}, the first at byte {first}"
    ),
    CONTROLS: N_(
        "events with raw control characters in strings, taken literally: {count}, the first at byte {first}"
    ),
    ENCODING: N_("events with characters that are not UTF-8, replaced: {count}, the first at byte {first}"),
    NUMBERS: N_("events with NaN or Infinity, read as no value: {count}, the first at byte {first}"),
    COMMAS: N_("events with too few or too many commas behind them: {count}, the first at byte {first}"),
    JUNK: N_("stretches of text between events, passed over: {count}, the first at byte {first}"),
}


def reading_warnings(
    head: Head,
    behind: Behind,
    problem: Message | None,
    events: int,
    undecodable: Places,
    untimed: Places,
    mended: Mapping[str, Places],
) -> Iterator[Message]:
    """`problem`: why the file ends early; `events`: how many were read."""
    if not head.read:
        yield N_("the metadata before the events could not be decoded: skipped")
    elif not head.sound:
        yield N_("the metadata before the events was no JSON and was mended")
    if behind.mended:
        yield N_("the metadata behind the events was no JSON and was mended")
    if not behind.read:
        yield N_("the metadata behind the events could not be decoded: skipped")
    if problem is not None:
        yield N_("{problem}; events read before that: {count}", problem=problem, count=events)
    if undecodable.count:
        yield N_(
            "events skipped that could not be decoded: {count}, the first at byte {first}",
            count=undecodable.count,
            first=undecodable.first,
        )
    if untimed.count:
        yield N_(
            "events skipped without a time or duration that can be: {count}, the first at byte {first}",
            count=untimed.count,
            first=untimed.first,
        )
    if behind.extra_bytes:
        yield N_(
            "behind the end of the trace stand {bytes} more bytes, which are not read; "
            "events in them: {count}",
            bytes=behind.extra_bytes,
            count=behind.extra_events,
        )
    elif behind.extra_events:
        yield N_("a second list of events is not read; events in it: {count}", count=behind.extra_events)
    for kind, places in mended.items():
        yield Message(_MENDED[kind].template, {"count": places.count, "first": places.first})
