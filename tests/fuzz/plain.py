"""What a trace holds by the definition of a trace alone: `json`, plain Python, and nothing of tracekit.

Where the definition leaves open whether an event can be used (a name that is a number, a key given twice), so
does this, and says only between which numbers the counts have to be.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tests.fuzz import zstd

BLANKS = b" \t\r\n"
MARK = b"\xef\xbb\xbf"
PHASE = re.compile(rb'"ph"\s*:')

GPU_CATEGORIES = ("kernel", "gpu_memcpy", "gpu_memset", "memcpy", "memset")
_STRINGS = ("ph", "cat", "name")
_TIMES = ("ts", "dur")
_EVENTS_KEY = re.compile(r'"traceEvents"\s*:\s*\[')
_DEEPEST = 200
_LARGEST_TEXT = 4 << 20


class Members(list[tuple[str, Any]]):
    """An object, with the keys that it has several times."""

    def last(self, key: str) -> Any:
        return dict(self).get(key)


class Row(NamedTuple):
    """A usable event of a kind that is read; times in nanoseconds."""

    kind: str
    name: str
    pid: Any
    tid: Any
    start: Decimal
    duration: Decimal


@dataclass(frozen=True)
class Expected:
    """What reading these events has to come to."""

    least: int  # of events that are read or skipped
    most: int
    rows: list[Row] | None  # in the order of the file; None where it is open which events can be used
    skipped: int = 0  # where that is not open


def unpacked(data: bytes) -> bytes | None:
    """The text of a plain or compressed file, None where it does not unpack whole."""
    try:
        if data.startswith(b"\x1f\x8b"):
            inflater = zlib.decompressobj(31)
            text = inflater.decompress(data, _LARGEST_TEXT)
            return text if inflater.eof and not inflater.unused_data else None
        if data.startswith(zstd.MAGIC):
            return zstd.unpack(data)
        if data.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                (entry,) = archive.infolist()
                return archive.read(entry) if entry.file_size <= _LARGEST_TEXT else None
    except (zlib.error, zipfile.BadZipFile, NotImplementedError, ValueError, OSError, RuntimeError, EOFError):
        return None
    return None if data.startswith((b"BZh", b"\xfd7zXZ")) else data


def packed(text: bytes, form: str) -> bytes:
    """The text as a file of a form: plain, gzip, zstd or zip."""
    if form == "gzip":
        return gzip.compress(text, compresslevel=1, mtime=0)
    if form == "zstd":
        return zstd.pack(text)
    if form == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("trace.json"), text)
        return buffer.getvalue()
    return text


def form_of(data: bytes) -> str:
    starts = {b"\x1f\x8b": "gzip", zstd.MAGIC: "zstd", b"PK\x03\x04": "zip"}
    return next((form for start, form in starts.items() if data.startswith(start)), "plain")


class DepthError(Exception):
    """Nested so deeply that decoders may differ in whether they take it."""


def document(text: bytes, errors: str = "strict") -> Any:
    """The JSON document in `text`, its objects as `Members` and its fractions exact.

    `errors`: what to do with bytes that are not UTF-8. ValueError for what is no JSON, or `DepthError`.
    """
    text = text.removeprefix(MARK).rstrip(b"\0" + BLANKS)
    return _limited(lambda: _loads(text.decode(errors=errors)))


def events_of(text: bytes) -> list[Any] | None:
    """The elements of the list of events of a sound document; None where that is open; else ValueError."""
    whole = document(text)
    if isinstance(whole, list) and not isinstance(whole, Members):
        return whole
    if not isinstance(whole, Members):
        return None
    lists = [value for key, value in whole if key == "traceEvents"]
    if len(lists) != 1 or isinstance(lists[0], Members) or not isinstance(lists[0], list):
        return None
    # A key that is written with escapes is another one to a reader that looks for it as it is always written.
    return lists[0] if _EVENTS_KEY.search(text.decode()) and b"\\u00" not in text else None


def first_events(text: bytes) -> list[Any]:
    """The elements before whatever it is that keeps a document from being sound; none if that is the head."""
    decoded = text.removeprefix(MARK).decode(errors="replace")
    position = _events_start(decoded)
    found: list[Any] = []
    while position is not None:
        start = _behind_blanks(decoded, position)
        try:
            element, position = _limited(lambda start=start: _DECODER.raw_decode(decoded, start))
        except (ValueError, DepthError):
            break
        found.append(element)
        position = _behind_blanks(decoded, position)
        if decoded[position : position + 1] != ",":
            break
        position += 1
    return found


def expected(elements: list[Any]) -> Expected:
    """What the elements of a list of events have to come to."""
    if not all(map(is_certain, elements)):
        phases = list(map(_phases, elements))
        # What cannot be used counts by its phases; and it may take along an event behind it that has none.
        return Expected(sum(count > 0 for count in phases), sum(max(1, count) for count in phases), rows=None)
    found = [row_of(event) for event in elements]
    skipped = sum(row == "skipped" for row in found)
    return Expected(
        least=len(elements),
        most=len(elements),
        rows=[row for row in found if isinstance(row, Row)],
        skipped=skipped,
    )


def row_of(event: Members) -> Row | str:
    """The row of a certain event, "skipped" where it has no time that can be, "unread" if nobody reads it."""
    fields = dict(event)
    kind, name = kind_of(fields), fields.get("name") or ""
    if kind is None or fields.get("ph") != "X":
        return "unread"
    if kind == "frames" and not name.startswith("nn.Module: "):
        return "unread"
    start, duration = fields.get("ts"), fields.get("dur")
    if start is None or duration is None or not (0 <= duration < 10**12 and -(10**12) < start < 9 * 10**15):
        return "skipped"
    return Row(
        kind, name, fields.get("pid"), fields.get("tid"), Decimal(start) * 1000, Decimal(duration) * 1000
    )


def kind_of(fields: dict[str, Any]) -> str | None:
    """The table that an event belongs to by its category."""
    category = (fields.get("cat") or "").lower()
    if category in ("cpu_op", "operator"):
        return "ops"
    if category.endswith(("kernel", "memcpy", "memset")) or category == "mtia_ccp_events":
        return "gpu_events"
    if category.endswith(("runtime", "driver")) or category == "hpu_op":
        return "launches"
    return {"python_function": "frames", "user_annotation": "annotations"}.get(category)


def is_certain(event: Any) -> bool:
    """Whether every field of an event is of the type that it has in traces."""
    if not isinstance(event, Members) or len({key for key, _ in event}) != len(event):
        return False
    fields = dict(event)
    args = fields.get("args")
    if args is not None and (
        not isinstance(args, Members)
        or len({key for key, _ in args}) != len(args)
        or not _is_id(args.last("device"))
        or not (args.last("correlation") is None or type(args.last("correlation")) is int)
    ):
        return False
    return (
        all(_is_string(fields.get(key)) for key in _STRINGS)
        and all(_is_id(fields.get(key)) for key in ("pid", "tid"))
        and all(_is_time(fields.get(key)) for key in _TIMES)
    )


def _is_string(value: Any) -> bool:
    """Halves of surrogate pairs are mended, which changes a string."""
    return value is None or (isinstance(value, str) and not re.search("[\ud800-\udfff\ufffd]", value))


def _is_id(value: Any) -> bool:
    return value is None or type(value) is int or _is_string(value)


def _is_time(value: Any) -> bool:
    """The limits of what can be a time are far beyond all that is, and not laid down to the digit."""
    if value is None:
        return True
    if type(value) is not int and not isinstance(value, Decimal):
        return False
    return abs(value) < 10**11 or 10**14 < value < 5 * 10**15 or 10**17 < abs(value) < 10**300


def _limited(decode: Callable[[], Any]) -> Any:
    """What `decode` gives, if it is not nested too deeply."""
    try:
        value = decode()
    except RecursionError:
        raise DepthError from None
    level, depth = [value], 0
    while level := [item for one in level if isinstance(one, list | tuple) for item in one]:
        depth += 1
        if depth > _DEEPEST:
            raise DepthError
    return value


def _phases(value: Any) -> int:
    """How many keys `ph` there are, in any depth, in strings also."""
    if isinstance(value, Members):
        return sum((key == "ph") + _phases(key) + _phases(item) for key, item in value)
    if isinstance(value, list):
        return sum(map(_phases, value))
    return len(re.findall(r'ph\\*"\s*:', value)) if isinstance(value, str) else 0


def _events_start(text: str) -> int | None:
    """Behind the bracket that opens the list of events, if what stands before is sound."""
    start = _behind_blanks(text, 0)
    if text[start : start + 1] == "[":
        return start + 1
    for match in _EVENTS_KEY.finditer(text):
        try:
            if isinstance(document((text[: match.end()] + "]}").encode()), Members):
                return match.end()
        except (ValueError, DepthError):
            continue
    return None


def _behind_blanks(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\t", "\r", "\n"):
        position += 1
    return position


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _integer(digits: str) -> Any:
    return int(digits) if len(digits) < 4000 else Decimal(digits)


def _fraction(digits: str) -> Any:
    """A number with a fraction; without one that is none of ours to judge."""
    number = Decimal(digits)
    return number if abs(number.adjusted()) < 300 else float(digits)


_DECODER = json.JSONDecoder(
    object_pairs_hook=Members, parse_constant=_no_constant, parse_int=_integer, parse_float=_fraction
)
_loads = _DECODER.decode
