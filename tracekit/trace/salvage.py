"""Takes what is sound out of a stretch of events that does not decode: one broken event costs one event.

Where events seem to begin, the text is cut; halves are decoded and halved again until what does not decode
stands alone. That is mended, or taken as far as it is whole (an object in an event's list can seem to be an
event of its own), or lost.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from typing import NamedTuple

from tracekit.trace.events import DECODE_ERRORS, decode_events
from tracekit.trace.mend import COMMAS, JUNK, mend, mendings
from tracekit.trace.metadata import DOCUMENT_KEYS, count_values, decode_object, is_json
from tracekit.trace.scan import PHASE, count_events, event_starts, inner_brackets, scan_value

NO_EVENT = b'{"ph":"M","name":"event that could not be decoded"}'

_BETWEEN = b", \t\r\n"
_NEXT = re.compile(rb"\s*,\s*(?=\{)")
_KEY = rb'"[^"\\]*(?:\\.[^"\\]*)*"\s*:'
# What would belong to an event, if it had not ended before.
_PART = re.compile(rb"\s*(?:[\]}]|,\s*" + _KEY + rb")")
# What follows the list of events: the end of the document, other metadata, or another document.
_CLOSING = re.compile(rb"[\s,]*(\])\s*(?:\}|,?\s*" + _KEY + rb"|\[|\{)")
_BRACKET = re.compile(rb"(\])\s*(?=[,}]|$)")
_MOST_BRACKETS = 64
_MOST_SPANS = 16  # of one event, that is, objects in it that look like events


@dataclass
class Salvaged:
    """What is left of a stretch of text; positions are in that text."""

    texts: list[bytes] = field(default_factory=list)  # events, sound or mended
    copies: list[bytes] = field(default_factory=list)  # the same, and what is JSON at least, or a placeholder
    skipped: int = 0
    first_skipped: int | None = None
    mended: dict[str, int] = field(default_factory=dict)  # events with something mended, by its kind
    first_mended: dict[str, int] = field(default_factory=dict)
    unfinished: int | None = None  # where the last event begins, which does not end here
    closing: int | None = None  # the bracket that closes the list of events, if it is here …
    events_end: int = 0  # … and where the last event before it ends

    @property
    def sound(self) -> bytes:
        """The events that are left, between commas."""
        return b",".join(self.texts)

    @property
    def for_copy(self) -> bytes:
        """The same for a copy that holds everything, between commas."""
        return b",".join(self.copies)

    def take(self, text: bytes) -> None:
        self.texts.append(text)
        self.copies.append(text)

    def note(self, kind: str, *places: int) -> None:
        """Counts the places of something that was mended."""
        self.mended[kind] = self.mended.get(kind, 0) + len(places)
        self.first_mended.setdefault(kind, places[0])

    def lose(self, text: bytes, begin: int) -> None:
        body = text.strip(_BETWEEN)
        whole = count_values(body)  # of the wrong types, as no event's are
        self.copies.append(body if whole else NO_EVENT)
        self.skipped += whole or max(1, count_events(text))
        if self.first_skipped is None:
            self.first_skipped = begin


class Ending(Enum):
    """What is known of the end of a text of events."""

    MORE = auto()  # other events follow
    CLOSED = auto()  # it is the end of the list
    FILE = auto()  # it is the end of the file


class Stretch(NamedTuple):
    """A part of a file that was salvaged, by all that salvaging it again takes to come to the same."""

    begin: int
    text_end: int  # of the text that was salvaged …
    end: int  # … and of what reading took of it: less, or the comma behind it too
    ending: Ending


def salvage(text: bytes, ending: Ending, is_list: bool = False) -> Salvaged:
    """The events of `text`, which begins between events. `is_list`: the file is a list of events alone."""
    mended = mend(text)
    if mended is not None and _decodes(mended.text):
        found = Salvaged()
        found.take(mended.text)
        begins = [begin for begin, _ in _spans(text)]
        for kind, places in mended.places.items():
            first_in_event = {bisect_right(begins, place): place for place in reversed(places)}
            found.note(kind, *sorted(first_in_event.values()))
        return found
    return _Salvage(text, ending, is_list).run()


class _Salvage:
    def __init__(self, text: bytes, ending: Ending, is_list: bool) -> None:
        self._text, self._ending, self._is_list = text, ending, is_list
        self._found = Salvaged()
        self._spans = _spans(text)

    def run(self) -> Salvaged:
        text, spans, found = self._text, self._spans, self._found
        self._take_beginning()
        sound: dict[int, int] = {}
        _find_sound(text, spans, 0, len(spans), sound)
        at = 0
        while at < len(spans) and found.closing is None:
            if at in sound:
                begin, end = spans[at][0], spans[sound[at] - 1][1]
                found.take(body := text[begin:end].rstrip(_BETWEEN))
                self._check_commas(begin + len(body), end)
                at = sound[at]
            else:
                at = self._take_unsound(at)
        return found

    def _take_beginning(self) -> None:
        """What stands before the first event."""
        end = self._spans[0][0] if self._spans else len(self._text)
        junk = self._text[:end]
        if not self._spans and self._ending is Ending.FILE:
            self._lose_end(0)
        elif not junk.strip() and not self._spans:
            self._found.note(COMMAS, 0)  # the one behind, as there is no event
        else:
            self._pass_over(junk, 0, follows_event=False)

    def _pass_over(self, text: bytes, begin: int, follows_event: bool) -> None:
        """What stands between events: a comma, or an event that begins as none does, or text that is none."""
        start = begin + len(text) - len(text.lstrip(_BETWEEN))
        if start < begin + len(text) and self._take_span(start, begin + len(text)):
            if self._text.count(b",", begin, start) != follows_event:
                self._found.note(COMMAS, begin)
            return
        is_followed = begin + len(text) == len(self._text) and self._ending is Ending.MORE
        parts = (text + b"," if is_followed else text).split(b",")  # the cut was made at a comma
        stands_apart = len(parts) > 1 + follows_event and b"".join(parts[follows_event:-1]).strip()
        if PHASE.search(text) or (stands_apart and not parts[-1].strip()):
            self._lose(begin, begin + len(text))
        elif text.strip(_BETWEEN):
            self._found.note(JUNK, begin)
        elif len(parts) != 1 + follows_event:
            self._found.note(COMMAS, begin)

    def _check_commas(self, begin: int, end: int) -> None:
        """One comma stands between two events, none behind the last one."""
        count = self._text.count(b",", begin, end)
        if count != (end < len(self._text)):
            self._found.note(COMMAS, begin)

    def _take_unsound(self, at: int) -> int:
        """Takes what there is of the span `at`; gives the span behind that."""
        begin, end = self._spans[at]
        if self._take_span(begin, end):
            return at + 1
        if (behind := self._take_value(begin, at)) is not None:
            return behind
        at_end = at + 1 == len(self._spans)
        if at_end and at > 0 and self._ending is Ending.MORE:
            self._found.unfinished = begin
            return at + 1
        return self._take_apart(at, at_end and self._ending is Ending.FILE)

    def _take_value(self, begin: int, at: int) -> int | None:
        """Takes the object that begins in span `at` and ends in a later one; gives the span behind it."""
        _, end = self._spans[at]
        later = self._spans[at : at + _MOST_SPANS][-1][1]
        value_end = scan_value(self._text, begin, later)
        if value_end is None or value_end <= end:
            return None
        behind = bisect_left(self._spans, (value_end, 0))
        next_begin = self._spans[behind][0] if behind < len(self._spans) else len(self._text)
        if self._text[value_end:next_begin].strip(_BETWEEN):
            return None
        if not self._take_mended(begin, value_end):
            if not is_json(self._text[begin:value_end]):
                return None
            self._found.lose(self._text[begin:value_end], begin)
        self._check_commas(value_end, next_begin)
        return behind

    def _take_span(self, begin: int, end: int) -> bool:
        """Takes the text between two beginnings of events if it is events, as it stands or mended."""
        is_taken = self._take_mended(begin, end)
        if is_taken:
            self._check_commas(begin + len(self._text[begin:end].rstrip(_BETWEEN)), end)
        return is_taken

    def _take_mended(self, begin: int, end: int) -> bool:
        """Takes the text between the positions if it is events, as it stands or mended."""
        body = self._text[begin:end].rstrip(_BETWEEN)
        if _decodes(body):
            self._found.take(body)
            return True
        for mended in mendings(body):
            if _decodes(mended.text):
                self._found.take(mended.text)
                for kind, places in mended.places.items():
                    self._found.note(kind, begin + places[0])
                return True
        return False

    def _take_apart(self, at: int, ends_file: bool) -> int:
        """Takes the events that span `at` begins with, and what closes the list; the rest of it is lost.

        Gives the span behind that.
        """
        text, found = self._text, self._found
        begin, end = self._spans[at]
        while value_end := scan_value(text, begin, end):
            rest = text[value_end:end]
            closes = _CLOSING.match(rest) or (ends_file and rest.strip(_BETWEEN) == b"]")
            following = _NEXT.match(rest)
            is_event = closes or following or _may_follow(rest, text[begin:value_end])
            if not is_event or not self._take_mended(begin, value_end):
                break
            if closes:
                found.closing, found.events_end = value_end + rest.index(b"]"), value_end
                return at + 1
            if following is None:
                if ends_file and rest.strip(_BETWEEN):
                    self._lose_end(value_end)
                else:
                    self._pass_over(rest, value_end, follows_event=True)
                return at + 1
            begin = value_end + following.end()
        if value_end is None and (behind := self._take_value(begin, at)) is not None:
            return behind
        if ends_file:
            self._lose_end(begin)
        else:
            self._lose(begin, end)
        return at + 1

    def _lose(self, begin: int, end: int) -> None:
        """Loses a broken event, but no whole ones behind it: those with a time and without a phase."""
        text = self._text
        for start in islice(event_starts(text[begin + 1 : end]), _MOST_SPANS):
            behind = begin + 1 + start
            if _are_timed(text[behind:end].rstrip(_BETWEEN)):
                self._found.lose(text[begin:behind], begin)
                self._take_span(behind, end)
                return
        self._found.lose(text[begin:end], begin)

    def _lose_end(self, begin: int) -> None:
        """Loses what stands from `begin` to the end of the file, or to where the list of events is closed."""
        inner = inner_brackets(self._text, begin)
        for bracket in islice(_BRACKET.finditer(self._text, begin), _MOST_BRACKETS):
            end = bracket.start(1)
            if self._may_follow_events(self._text[end + 1 :], is_inner=end in inner):
                if not self._take_mended(begin, end):
                    self._lose(begin, end)
                self._found.closing = self._found.events_end = end
                return
        self._found.unfinished = begin

    def _may_follow_events(self, behind: bytes, is_inner: bool) -> bool:
        """Whether `behind` may follow the bracket that closes the events; one that `is_inner` hardly is."""
        if self._is_list:
            return not is_inner and not behind.strip()
        metadata = decode_object(b"{" + behind.lstrip(_BETWEEN))
        return metadata is not None and (not is_inner or not DOCUMENT_KEYS.isdisjoint(metadata))


def _may_follow(rest: bytes, event: bytes) -> bool:
    """Whether `rest`, which is no event, may stand behind this one: it is no part of it that came loose."""
    if not rest.strip(_BETWEEN) or PHASE.search(rest):
        return True
    return b'"ts"' in event and not _PART.match(rest)


def _spans(text: bytes) -> list[tuple[int, int]]:
    """From where an event seems to begin to where the next one does; each but the first has a phase."""
    starts = event_starts(text)
    kept = starts[:1]
    for start, end in zip(starts[1:], [*starts[2:], len(text)], strict=False):
        if PHASE.search(text, start, end):
            kept.append(start)
    return list(zip(kept, [*kept[1:], len(text)], strict=False))


def _find_sound(
    text: bytes, spans: list[tuple[int, int]], begin: int, end: int, sound: dict[int, int]
) -> None:
    """Notes from where to where spans between `begin` and `end` decode, with what stands between them."""
    if begin == end:
        return
    if _decodes(text[spans[begin][0] : spans[end - 1][1]].rstrip(_BETWEEN)):
        sound[begin] = end
    elif end - begin > 1:
        middle = (begin + end) // 2
        _find_sound(text, spans, begin, middle, sound)
        _find_sound(text, spans, middle, end, sound)


def _are_timed(text: bytes) -> bool:
    """Whether `text` is whole events with a time; an object in a list of another event hardly has one."""
    try:
        return all(event.ts is not None for event in decode_events(b"[" + text + b"]"))
    except DECODE_ERRORS:
        return False


def _decodes(text: bytes) -> bool:
    try:
        decode_events(b"[" + text + b"]")
    except DECODE_ERRORS:
        return False
    return True
