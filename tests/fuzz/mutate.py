"""Changes a trace by its structure: its tokens, its events, and what people and crashes do to files."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from tests.fuzz.plain import form_of, packed, unpacked
from tests.fuzz.seeds import BYTES, CATEGORIES, FORMS, NAMES, NUMBERS, PUNCTUATION, tokens

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*|[A-Za-z]+|\s+|.', re.DOTALL)
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+-]*")
_STRING = re.compile(rb'"([^"\\]*)"')
_EVENT = re.compile(rb'\{\s*"ph".*?(?=,\s*\{\s*"ph"|\]|$)', re.DOTALL)
_ALL = tokens()

Change = Callable[[bytes, random.Random], bytes]


def mutated(data: bytes, most_bytes: int, seed: int) -> bytes:
    """The file with one or a few changes to its text, packed as before or, rarely, otherwise."""
    dice = random.Random(seed)
    text, form = unpacked(data), form_of(data)
    if text is None or (form != "plain" and dice.random() < 0.1):
        return _bytes(data, dice)[:most_bytes]
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        text = dice.choice(_CHANGES)(text, dice)
    form = dice.choice(FORMS) if dice.random() < 0.02 else form
    return packed(text[:most_bytes], form)[:most_bytes]


def crossed(one: bytes, other: bytes, most_bytes: int, seed: int) -> bytes:
    """The beginning of one file and the end of the other, or one inside the other, mostly between events."""
    dice = random.Random(seed)
    texts = [unpacked(data) or data for data in (one, other)]
    places = [_between_events(text, dice) for text in texts]
    first, second = texts
    if dice.random() < 0.3:
        first, second = first, second + first[places[0] :]
        places[1] = 0
    return packed(first[: places[0]] + second[places[1] :], form_of(one))[:most_bytes]


def _between_events(text: bytes, dice: random.Random) -> int:
    starts = [match.start() for match in _EVENT.finditer(text)]
    return dice.choice(starts) if starts and dice.random() < 0.8 else dice.randrange(len(text) + 1)


def _on_tokens(change: Callable[[list[bytes], int, random.Random], None]) -> Change:
    """A change of the list of tokens at some place in it."""

    def changed(text: bytes, dice: random.Random) -> bytes:
        found = _TOKEN.findall(text) or [b""]
        change(found, dice.randrange(len(found)), dice)
        return b"".join(found)

    return changed


def _drop(found: list[bytes], at: int, dice: random.Random) -> None:
    del found[at : at + dice.choice((1, 1, 1, 2, 5, 20))]


def _duplicate(found: list[bytes], at: int, dice: random.Random) -> None:
    found[at:at] = found[at : at + dice.choice((1, 1, 3, 10))] * dice.choice((1, 1, 2, 50))


def _swap(found: list[bytes], at: int, dice: random.Random) -> None:
    other = min(at + dice.randrange(1, 8), len(found) - 1)
    found[at], found[other] = found[other], found[at]


def _insert(found: list[bytes], at: int, dice: random.Random) -> None:
    found.insert(at, dice.choice(_ALL))


def _replace(found: list[bytes], at: int, dice: random.Random) -> None:
    found[at] = dice.choice(_ALL)


def _into_string(text: bytes, dice: random.Random) -> bytes:
    """Something hostile inside of a string."""
    match = _some(_STRING, text, dice)
    at = dice.randint(match.start(1), match.end(1)) if match else 0
    return text[:at] + dice.choice([*(mark.encode() for mark in PUNCTUATION), *BYTES]) + text[at:]


def _number(text: bytes, dice: random.Random) -> bytes:
    return _substituted(_NUMBER, text, dice.choice(NUMBERS).encode(), dice)


def _string(text: bytes, dice: random.Random) -> bytes:
    return _substituted(_STRING, text, f'"{dice.choice((*CATEGORIES, *NAMES))}"'.encode(), dice)


def _value(text: bytes, dice: random.Random) -> bytes:
    """A value of another type."""
    odd = (
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b'"1"',
        b"1",
        b"1.5",
        b"[[1]]",
        b'{"ph":"X"}',
        b'[{"ph": 1}]',
    )
    return _substituted(dice.choice((_STRING, _NUMBER)), text, dice.choice(odd), dice)


def _event(text: bytes, dice: random.Random) -> bytes:
    """An event twice, without its comma, or at another place."""
    match = _some(_EVENT, text, dice)
    if not match:
        return text
    rest = text[: match.start()] + text[match.end() :] if dice.random() < 0.3 else text
    at = _between_events(rest, dice)
    return rest[:at] + match[0] + dice.choice((b",", b",", b",", b"", b"\n", b",,", b"],", b"}")) + rest[at:]


def _cut(text: bytes, dice: random.Random) -> bytes:
    return text[: dice.randrange(len(text) + 1)]


def _hole(text: bytes, dice: random.Random) -> bytes:
    """Bytes that are lost, or zeros in their place."""
    at, length = dice.randrange(len(text) + 1), dice.choice((1, 4, 40, 400))
    return text[:at] + dice.choice((b"", bytes(length))) + text[at + length :]


def _twice(text: bytes, dice: random.Random) -> bytes:
    return text + dice.choice((b"", b"\n", b",", b"\0")) + _cut(text, dice)


def _bytes(text: bytes, dice: random.Random) -> bytes:
    """Some bytes changed, whatever they mean."""
    changed = bytearray(text)
    for _ in range(dice.choice((1, 2, 8)) if changed else 0):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def _substituted(pattern: re.Pattern[bytes], text: bytes, new: bytes, dice: random.Random) -> bytes:
    match = _some(pattern, text, dice)
    return text[: match.start()] + new + text[match.end() :] if match else text


def _some(pattern: re.Pattern[bytes], text: bytes, dice: random.Random) -> re.Match[bytes] | None:
    matches = list(pattern.finditer(text))
    return dice.choice(matches) if matches else None


_CHANGES: tuple[Change, ...] = (
    *(_on_tokens(change) for change in (_drop, _drop, _duplicate, _swap, _insert, _insert, _replace)),
    *(_into_string, _into_string, _number, _number, _string, _string, _value, _event, _event),
    *(_cut, _hole, _twice, _bytes),
)
