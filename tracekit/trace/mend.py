"""Mends text that is JSON but for mistakes whose meaning is plain, such as bare backslashes in a path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

ESCAPES = "backslashes"
CONTROLS = "controls"
ENCODING = "encoding"
NUMBERS = "numbers"
COMMAS = "commas"
JUNK = "junk"

# A string as it is terminated, whatever it holds; or a number that JSON does not know.
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"|\bNaN\b|-?\bInfinity\b', re.DOTALL)
_SUSPECT = re.compile(rb"[\\\x00-\x1f\x80-\xff]")
_ESCAPE = re.compile(
    rb'\\(?:["\\/bfnrt]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}'
    rb"|u(?![dD][89a-fA-F])[0-9a-fA-F]{4})|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|(\\)"
)
_CONTROL = re.compile(rb"[\x00-\x1f]")
_CONTROL_RUN = re.compile(rb"[\x00-\x1f]{16}")
# A backslash before what must be the end of its string, as in `"C:\dir\",`.
_LAST_BACKSLASH = re.compile(rb'\\"(?=\s*[,\]}:])')


@dataclass
class Mended:
    """Text that was changed, and for each kind of change the places in the original, in ascending order."""

    text: bytes
    places: dict[str, list[int]] = field(default_factory=dict)

    def note(self, kind: str, *places: int) -> None:
        self.places.setdefault(kind, []).extend(places)


def mend(text: bytes) -> Mended | None:
    """`text` with plain mistakes mended, or None where there are none that could be.

    In strings, backslashes that escape nothing and control characters are taken literally, and bytes that are
    not UTF-8 and halves of surrogate pairs become U+FFFD; numbers that JSON does not know become null. A hole
    full of control characters is damage, and stays. What comes out need not be JSON.
    """
    mended, pieces, end = Mended(text), [], 0
    for match in _TOKEN.finditer(text):
        inner: bytes | None = match[1]
        if inner is None:
            mended.note(NUMBERS, match.start())
            instead = b"null"
        elif not _SUSPECT.search(inner) or _CONTROL_RUN.search(inner):
            continue
        else:
            instead = b'"' + _mend_string(inner, match.start(1), mended) + b'"'
        pieces += [text[end : match.start()], instead]
        end = match.end()
    mended.text = b"".join((*pieces, text[end:]))
    return mended if mended.places else None


def mendings(text: bytes) -> Iterator[Mended]:
    """What `text` may have meant, the likeliest first."""
    if (mended := mend(text)) is not None:
        yield mended
    if (ended := _end_strings_behind_backslashes(text)) is not None:
        if (mended := mend(ended.text)) is not None:
            for kind, places in mended.places.items():
                ended.note(kind, *places)
            ended.text = mended.text
        yield ended


def _end_strings_behind_backslashes(text: bytes) -> Mended | None:
    """`text` with a backslash at what seems the end of a string as its last character; None without any."""
    mended = Mended(text)

    def replace(match: re.Match[bytes]) -> bytes:
        mended.note(ESCAPES, match.start())
        return b'\\\\"'

    mended.text = _LAST_BACKSLASH.sub(replace, text)
    return mended if mended.places else None


def _mend_string(inner: bytes, position: int, mended: Mended) -> bytes:
    """The inside of a string that stands at `position`."""

    def escape(match: re.Match[bytes]) -> bytes:
        if match[1]:
            mended.note(ENCODING, position + match.start())
            return rb"\ufffd"
        if match[2]:
            mended.note(ESCAPES, position + match.start())
            return rb"\\"
        return match[0]

    def control(match: re.Match[bytes]) -> bytes:
        mended.note(CONTROLS, position + match.start())
        return b"\\u%04x" % match[0][0]

    try:
        inner.decode()
        text = inner
    except UnicodeDecodeError as error:
        mended.note(ENCODING, position + error.start)
        text = inner.decode(errors="replace").encode()
    return _CONTROL.sub(control, _ESCAPE.sub(escape, text))
