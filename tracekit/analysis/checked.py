"""Values of a trace's metadata, which may hold anything: a function gives what it is named for or nothing."""

from __future__ import annotations

import math
from typing import Any

# Greater numbers are no count of anything that a model has, and would not fit into a sum of 64 bits.
_MOST = 1 << 62
_LONGEST_US = 1e15
_MOST_DIGITS = 9


def as_object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def as_objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list."""
    return [row for row in as_list(value) if isinstance(row, dict)]


def as_count(value: object) -> int | None:
    """A whole number that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _MOST else None


def as_number(value: object) -> float | None:
    """A finite number that is not negative."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MOST and math.isfinite(value) else None


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def as_texts(value: object) -> tuple[str, ...]:
    """The texts in a list."""
    return tuple(text for text in map(as_text, as_list(value)) if text)


def as_durations(value: object) -> tuple[float, ...]:
    """The durations in a list, those that took any time."""
    numbers = map(as_number, as_list(value))
    return tuple(us for us in numbers if us is not None and 0 < us < _LONGEST_US)


def as_counts(value: object) -> tuple[int, ...]:
    """The counts in a list."""
    return tuple(count for count in map(as_count, as_list(value)) if count is not None)


def by_index(value: object) -> dict[int, Any]:
    """An object whose keys are indices, written as JSON writes keys."""
    return {
        int(key): item
        for key, item in as_object(value).items()
        if key.isascii() and key.isdigit() and len(key) <= _MOST_DIGITS
    }
