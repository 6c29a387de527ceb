"""Columns under construction, chunk by chunk, and how those of several processes become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from tracekit.trace.columns import Ints

_CODES = frozenset(("name", "thread", "signature", "arrow", "device", "recorded"))
_SMALL = frozenset(("kind", "is_end"))
_JOINED = 64


def dtype_of(column: str) -> type[np.signedinteger[Any]]:
    return np.int8 if column in _SMALL else np.int32 if column in _CODES else np.int64


@dataclass
class Parts:
    """The columns of one kind of event; `bounds[k]` is how many there are up to the end of chunk k."""

    arrays: dict[str, list[Ints]] = field(default_factory=dict)
    bounds: list[int] = field(default_factory=list)
    length: int = 0
    _fresh: int = 0  # arrays at the end of each list that are as small as a chunk

    def append(self, **columns: Ints) -> None:
        for name, column in columns.items():
            self.arrays.setdefault(name, []).append(column.astype(dtype_of(name), copy=False))
        self.length += len(column)
        self._fresh += 1
        if self._fresh == _JOINED:  # many small arrays would leave the memory in pieces
            for arrays in self.arrays.values():
                arrays[-_JOINED:] = [np.concatenate(arrays[-_JOINED:])]
            self._fresh = 0

    @property
    def size_bytes(self) -> int:
        return self.length * sum(np.dtype(dtype_of(name)).itemsize for name in self.arrays)

    def end_chunk(self) -> None:
        self.bounds.append(self.length)

    def chunk(self, number: int) -> slice:
        """Where the events of a chunk stand in the columns."""
        return _between(self.bounds, number)

    def take(self, name: str) -> Ints:
        """The whole column, which is not kept."""
        arrays = self.arrays.pop(name, [])
        if len(arrays) == 1:
            return arrays[0]
        return np.concatenate(arrays) if arrays else np.empty(0, dtype_of(name))

    def compact(self) -> Parts:
        """The same with one array for each column."""
        for name in list(self.arrays):
            self.arrays[name] = [self.take(name)]
        return self


def interleaved_parts(shares: Sequence[Parts], recode: Mapping[str, Sequence[Ints]]) -> Parts:
    """The columns of chunks that went round `shares`; `recode[name][share]` are its codes in the whole."""
    whole = Parts(length=sum(share.length for share in shares))
    chunks = sum(len(share.bounds) for share in shares)
    places = [(chunk % len(shares), chunk // len(shares)) for chunk in range(chunks)]
    slices = [shares[k].chunk(at) for k, at in places]
    whole.bounds = list(accumulate(one.stop - one.start for one in slices))
    for name in {name: None for share in shares for name in share.arrays}:
        columns = [share.take(name) for share in shares]
        if name in recode:
            columns = [codes[column] for codes, column in zip(recode[name], columns, strict=True)]
        parts = [columns[k][one] for (k, _), one in zip(places, slices, strict=True)]
        whole.arrays[name] = [np.concatenate(parts)]
    return whole


def _between(ends: Sequence[int], number: int) -> slice:
    """From the end before to the end of this number."""
    return slice(ends[number - 1] if number else 0, ends[number])


@dataclass
class Values:
    """The values of a dictionary encoding, and how many there were after each chunk."""

    values: list[Any] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


def interleaved_values(shares: Sequence[Values]) -> tuple[list[Any], list[Ints]]:
    """Values as they first appear over all chunks, and the numbers that each share's own ones have there."""
    numbers: dict[Any, int] = {}
    chunks = sum(len(share.sizes) for share in shares)
    for chunk in range(chunks):
        share, at = shares[chunk % len(shares)], chunk // len(shares)
        for value in share.values[_between(share.sizes, at)]:
            numbers.setdefault(value, len(numbers))
    return list(numbers), [np.array([numbers[value] for value in share.values], np.int32) for share in shares]
