"""Dictionary encodings: what events repeat, such as names, becomes numbers in the order of appearance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Table(dict[Any, int]):
    """Looking up a value that is new gives it the next number."""

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self)
        return number

    def listed(self) -> list[Any]:
        """The values by their numbers."""
        return list(self)

    def extend(self, values: Iterable[Any]) -> None:
        for value in values:
            self[value]


class PairTable(dict[Any, "dict[Any, int]"]):
    """The same for pairs, as `table[first][second]`, which builds no tuple for a pair that is known."""

    def __init__(self) -> None:
        super().__init__()
        self._pairs: list[tuple[Any, Any]] = []

    def __missing__(self, first: Any) -> dict[Any, int]:
        seconds = self[first] = _Seconds(first, self._pairs)
        return seconds

    def listed(self) -> list[tuple[Any, Any]]:
        """The pairs by their numbers."""
        return self._pairs

    def extend(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        for first, second in pairs:
            self[first][second]


class _Seconds(dict[Any, int]):
    def __init__(self, first: Any, pairs: list[tuple[Any, Any]]) -> None:
        super().__init__()
        self._first = first
        self._pairs = pairs

    def __missing__(self, second: Any) -> int:
        number = self[second] = len(self._pairs)
        self._pairs.append((self._first, second))
        return number
