"""The last entry with the same keys that is no later: how ids that are used again are told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracekit.attribution.intervals import NOBODY
from tracekit.trace import Ints


def last_no_later(keys: Sequence[Ints], time: Ints, query_keys: Sequence[Ints], query_time: Ints) -> Ints:
    """For each query, the last entry with all its keys whose time is no later, else `NOBODY`.

    Of entries with the same time, the last in the order given.
    """
    columns = [np.concatenate(pair) for pair in zip(keys, query_keys, strict=True)]
    is_query = np.arange(len(time) + len(query_time)) >= len(time)
    order = np.lexsort((is_query, np.concatenate((time, query_time)), *columns))
    last = np.maximum.accumulate(np.where(is_query[order], NOBODY, np.arange(len(order))))
    candidate = np.where(last != NOBODY, order[last], NOBODY)
    same = candidate != NOBODY
    for column in columns:
        same &= column[candidate] == column[order]
    result = np.full(len(order), NOBODY, np.int32)
    result[order] = np.where(same, candidate, NOBODY)
    return result[len(time) :]
