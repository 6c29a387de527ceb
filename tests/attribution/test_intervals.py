"""Attribution by enclosing intervals equals a brute-force loop, for nested and for arbitrary intervals."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracekit.attribution.intervals import (
    NOBODY,
    depths,
    has_ancestor,
    has_inside,
    holds_inside,
    innermost,
    is_within_same,
    moments,
    nearest,
    nest,
    numbered,
    own_time,
    pair_keys,
    sum_inside,
    sum_upwards,
)
from tracekit.trace import Intervals

Span = tuple[int, int, int]  # thread, start, end

spans = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 12)).map(
        lambda x: (x[0], x[1], x[1] + x[2])
    ),
    max_size=30,
)


@st.composite
def nested_spans(draw: st.DrawFn) -> list[Span]:
    """Properly nested intervals on several threads, touching ones among them."""
    result: list[Span] = []

    def fill(thread: int, start: int, end: int, depth: int) -> None:
        result.append((thread, start, end))
        cuts = sorted(draw(st.lists(st.integers(start, end), max_size=4)))
        for low, high in pairwise(cuts):
            if depth < 4 and draw(st.booleans()):
                fill(thread, low, high, depth + 1)

    for thread in range(draw(st.integers(1, 3))):
        fill(thread, 0, draw(st.integers(1, 60)), 0)
    return draw(st.permutations(result))


def columns(rows: list[Span]) -> Intervals:
    thread, start, end = np.array(rows, np.int64).reshape(len(rows), 3).T
    return Intervals(np.zeros(len(rows), np.int64), thread, start, end)


def encloses(outer: Span, inner: Span) -> bool:
    return outer[0] == inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2]


def rank(rows: list[Span], index: int) -> tuple[int, int, int]:
    """Of two enclosing intervals the innermost starts later, else ends earlier, else is later in the file."""
    return rows[index][1], -rows[index][2], index


def brute_force(rows: list[Span], query: Span) -> int:
    found = [i for i, row in enumerate(rows) if encloses(row, query)]
    return max(found, key=lambda i: rank(rows, i), default=NOBODY)


@given(spans | nested_spans(), spans)
def test_innermost_equals_a_loop(rows: list[Span], queries: list[Span]) -> None:
    asked = columns(queries)
    found = innermost(nest(columns(rows)), asked.thread, asked.start, asked.end)
    assert found.tolist() == [brute_force(rows, query) for query in queries]


@given(spans | nested_spans())
def test_parents_equal_a_loop(rows: list[Span]) -> None:
    nesting = nest(columns(rows))
    for index, row in enumerate(rows):
        outer = [i for i in range(len(rows)) if encloses(rows[i], row) and rank(rows, i) < rank(rows, index)]
        parent = max(outer, key=lambda i: rank(rows, i), default=NOBODY)
        assert nesting.parent[index] == parent
        assert nesting.depth[index] == (0 if parent == NOBODY else nesting.depth[parent] + 1)


@given(spans | nested_spans(), st.data())
def test_sums_and_flags_follow_the_ancestors(rows: list[Span], data: st.DataObject) -> None:
    nesting = nest(columns(rows))
    values = np.array(
        data.draw(st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows))), np.int64
    )

    def ancestors(index: int) -> list[int]:
        parent = int(nesting.parent[index])
        return [] if parent == NOBODY else [parent, *ancestors(parent)]

    expected = [
        int(values[i]) + sum(int(values[j]) for j in range(len(rows)) if i in ancestors(j))
        for i in range(len(rows))
    ]
    assert sum_inside(values, nesting).tolist() == expected
    assert sum_upwards(values, nesting.parent, nesting.depth).tolist() == expected
    flags = values > 6
    assert has_ancestor(flags, nesting).tolist() == [
        any(flags[j] for j in ancestors(i)) for i in range(len(rows))
    ]
    assert holds_inside(flags, nesting).tolist() == [
        any(flags[j] for j in range(len(rows)) if j == i or i in ancestors(j)) for i in range(len(rows))
    ]
    assert has_inside(nesting).tolist() == [i in nesting.parent for i in range(len(rows))]
    assert depths(nesting.parent).tolist() == [len(ancestors(i)) for i in range(len(rows))]
    assert is_within_same(values, nesting.parent).tolist() == [
        any(values[j] == values[i] for j in ancestors(i)) for i in range(len(rows))
    ]


@given(st.lists(st.tuples(st.booleans(), st.integers(-1, 20)), max_size=20))
def test_nearest_is_the_first_flagged_one_on_the_way_up(rows: list[tuple[bool, int]]) -> None:
    parent = [above if above < index else NOBODY for index, (_, above) in enumerate(rows)]
    flag = [one for one, _ in rows]
    expected = []
    for start in range(len(rows)):
        index = start
        while index != NOBODY and not flag[index]:
            index = parent[index]
        expected.append(index)
    found = nearest(np.array(flag, np.bool_), np.array(parent, np.int64))
    assert found.tolist() == expected


@given(spans | nested_spans())
def test_own_times_share_out_every_moment_to_the_one_that_started_last(rows: list[Span]) -> None:
    expected = [0] * len(rows)
    for thread in {row[0] for row in rows}:
        for moment in range(64):  # all times are whole: what runs within [moment, moment + 1] runs all along
            runs = [i for i, row in enumerate(rows) if encloses(row, (thread, moment, moment + 1))]
            if runs:
                expected[max(runs, key=lambda i: rank(rows, i))] += 1
    assert own_time(nest(columns(rows))).tolist() == expected


def test_own_times_of_scopes_that_overlap_in_part_are_not_negative() -> None:
    """Two calls of 15 and 15 within one of 20 that share 10: 5 of the first alone, then the second."""
    nesting = nest(columns([(0, 0, 20), (0, 0, 15), (0, 5, 20)]))
    assert own_time(nesting).tolist() == [0, 5, 15]


def test_keys_of_columns_of_32_bits_do_not_overflow() -> None:
    codes = np.array([0, 70_000, 2_000_000_000], np.int32)
    assert pair_keys(codes, codes[::-1], 2_100_000_000).tolist() == [
        2_000_000_000,
        70_000 * 2_100_000_000 + 70_000,
        2_000_000_000 * 2_100_000_000,
    ]
    distinct, number = numbered(pair_keys(codes, codes, 2_100_000_000))
    assert distinct.tolist() == [0, 70_000 * 2_100_000_001, 2_000_000_000 * 2_100_000_001]
    assert number.tolist() == [0, 1, 2]


def test_moments_are_in_the_order_of_threads_and_times_however_far_apart() -> None:
    """Times since 1970 and since boot, on more threads than would fit beside them into 64 bits."""
    thread = np.array([5_000_000, 0, 5_000_000, 0, 3], np.int32)
    time = np.array([1_700_000_000 * 10**9, 9 * 10**18, -(10**15), 7, 7], np.int64)
    (key,) = moments((thread, time))
    assert np.argsort(key).tolist() == [3, 1, 4, 2, 0]
    near = np.array([12, 11, 10, 9, 7], np.int64) + 1_700_000_000 * 10**9
    (key,) = moments((thread, near))
    assert np.argsort(key).tolist() == [3, 1, 4, 2, 0]


def test_sums_of_times_do_not_overflow_32_bits() -> None:
    """Three ranges of an hour, 3.6e12 ns each, within one."""
    hour = 3_600_000_000_000
    rows = [(0, 0, 4 * hour)] + [(0, k * hour, (k + 1) * hour) for k in range(3)]
    nesting = nest(columns(rows))
    assert own_time(nesting).tolist() == [hour, hour, hour, hour]
    assert (
        sum_inside(nesting.intervals.end - nesting.intervals.start, nesting).tolist()
        == [7 * hour] + [hour] * 3
    )
