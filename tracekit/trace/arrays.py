"""Fields of many events as arrays, whatever a broken trace has in them."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from tracekit.trace.clock import Floats
from tracekit.trace.columns import Ints
from tracekit.trace.events import LARGEST_NUMBER, NO_ID, Args, number


def floats(times: list[float | None]) -> Floats:
    """NaN for what is not there."""
    try:
        return np.array(array("d", times))  # type: ignore[type-var]
    except TypeError:
        return np.array([np.nan if time is None else time for time in times], np.float64)


def numbers(values: list[Any]) -> Ints:
    """`number` of each."""
    if set(map(type, values)) <= {int}:
        try:
            found = np.array(array("q", values))
        except OverflowError:
            pass
        else:
            return np.where((found >= 0) & (found <= LARGEST_NUMBER), found, NO_ID)
    return np.array([number(value) for value in values], np.int64)


def correlations(args: list[Args]) -> Ints:
    """Ids as int64; those beyond it keep their lowest 64 bits."""
    ids = [one.correlation for one in args]
    try:
        return np.array(array("q", ids))  # type: ignore[type-var]
    except (OverflowError, TypeError):
        lowest = [(NO_ID if one is None else one) & 0xFFFFFFFFFFFFFFFF for one in ids]
        return np.array(lowest, np.uint64).view(np.int64)
