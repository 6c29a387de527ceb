"""Reading a copy gives what reading its trace gave, whatever is broken in it and wherever chunks end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trace import test_damage
from tests.trace.contents import rows
from tests.trace.damage import in_args, lost, sound_trace, with_value
from tracekit.messages import UserError
from tracekit.trace import Trace, cut, open_source, read, source, with_events
from tracekit.trace.salvage import NO_EVENT

Damage: TypeAlias = Callable[[bytes], bytes]

SOUND = sound_trace(3)
OTHER = sound_trace(1)
ADDED = b'{"ph": "M", "name": "added"}'
DAMAGES: list[Damage] = [
    *(damaged.damage for damaged in (*test_damage.MENDED, *test_damage.SKIPPED, *test_damage.UNTIMED)),
    # Whole events inside a broken one; JSON that is no event; events that do not begin as the others do.
    lambda event: lost(in_args(event, b"[" + b", ".join(OTHER.texts) + b"]"), b"}"),
    lambda event: with_value(in_args(event, b"[" + b", ".join(OTHER.texts) + b"]"), "ts", b'"none"'),
    lambda event: event.replace(b'"ph"', b'"phase"', 1),
    lambda event: event.replace(b'{"ph"', b'{"a": [0], "ph"', 1),
]
SEPARATORS = (b",\n", b"", b",,", b", junk ", b" junk, ", b',{"a": 1},', b"]", b"],", b"\0" * 20)
ENDS = (b"", b"]", b"}", b", ", b"\n" + SOUND.document(), b"\0\0")


def copied(path: Path, trace: Trace, added: list[bytes]) -> bytes:
    return b"".join(with_events(path, trace.layout, open_source(path).pieces(), added))


def assert_copies_hold_the_same(text: bytes, chunk_bytes: int) -> None:
    """With nothing added, and with an event that nobody reads; a placeholder is one as well."""
    small = patch.multiple(cut, CHUNK_BYTES=chunk_bytes), patch.multiple(source, PIECE_BYTES=97)
    with TemporaryDirectory() as folder, small[0], small[1]:
        path, copy = Path(folder, "t.json"), Path(folder, "copy.json")
        path.write_bytes(text)
        try:
            trace = read(path)
        except UserError:
            return
        for added in ([], [ADDED]):
            copy.write_bytes(copied(path, trace, added))
            json.loads(copy.read_bytes())
            again = read(copy)
            assert rows(again) == rows(trace)
            assert again.event_count == trace.event_count + len(added) + copy.read_bytes().count(NO_EVENT)
            assert again.skipped_count <= trace.skipped_count


@pytest.mark.parametrize("chunk_bytes", [300, 1000, 1 << 20])
@pytest.mark.parametrize("damage", DAMAGES)
def test_one_broken_event(damage: Damage, chunk_bytes: int) -> None:
    for position in (0, 7, len(SOUND.texts) - 1):
        assert_copies_hold_the_same(SOUND.document({position: damage(SOUND.texts[position])}), chunk_bytes)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(
    st.dictionaries(st.integers(0, len(SOUND.texts) - 1), st.sampled_from(DAMAGES), max_size=8),
    st.dictionaries(st.integers(0, len(SOUND.texts) - 1), st.sampled_from(SEPARATORS), max_size=3),
    st.sampled_from(ENDS),
    st.one_of(st.just(0), st.integers(0, 2500)),
    st.integers(100, 3000),
)
def test_many_broken_events(
    damages: dict[int, Damage],
    separators: dict[int, bytes],
    end: bytes,
    cut_off_bytes: int,
    chunk_bytes: int,
) -> None:
    texts = {position: damage(SOUND.texts[position]) for position, damage in damages.items()}
    text = SOUND.document(texts, separators) + end
    assert_copies_hold_the_same(text[: len(text) - cut_off_bytes], chunk_bytes)
