"""Busy, idle and span equal a count of nanoseconds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracekit.analysis.busy import Occupancy, occupancy, occupancy_by_group

events = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 20), st.integers(0, 6)), max_size=20
)


def counted(rows: list[tuple[int, int, int, int]]) -> Occupancy:
    busy = span = 0
    for device in {row[1] for row in rows}:
        own = [(start, start + length) for _, of, start, length in rows if of == device]
        busy += len({moment for start, end in own for moment in range(start, end)})
        span += max(end for _, end in own) - min(start for start, _ in own)
    return Occupancy(busy, span - busy, span)


@given(events)
def test_of_groups_and_of_all(rows: list[tuple[int, int, int, int]]) -> None:
    group, device, start, length = np.array(rows, np.int64).reshape(len(rows), 4).T
    by_group = occupancy_by_group(start, start + length, device, group, 3)
    assert [Occupancy(*one) for one in zip(*(column.tolist() for column in by_group), strict=True)] == [
        counted([row for row in rows if row[0] == one]) for one in range(3)
    ]
    assert occupancy(start, start + length, device) == counted(rows)
