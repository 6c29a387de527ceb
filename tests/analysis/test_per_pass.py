"""Sparse columns say what numpy says of the full ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.analysis.per_pass import PerPass, over_cells

entries = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 4), st.integers(-9, 9)), max_size=25)


def sparse_and_full(rows: list[tuple[int, int, int]], passes: int = 5) -> tuple[PerPass, np.ndarray]:
    row, number, value = np.array(rows, np.int64).reshape(len(rows), 3).T
    full = np.zeros((4, passes))
    for i, j, v in rows:
        if i >= 0 and j >= 0:
            full[i, j] += v
    return over_cells(row, number, 4, passes)(value), full


@given(entries)
def test_medians_and_totals_count_the_passes_in_which_nothing_ran(rows: list[tuple[int, int, int]]) -> None:
    sparse, full = sparse_and_full(rows)
    assert sparse.medians() == np.median(full, axis=1).tolist()
    assert sparse.totals().tolist() == full.sum(axis=1).tolist()
    assert sparse.any() == np.any(full, axis=1).tolist()


@given(entries, st.lists(st.booleans(), min_size=5, max_size=5).filter(any))
def test_some_passes_only(rows: list[tuple[int, int, int]], chosen: list[bool]) -> None:
    sparse, full = sparse_and_full(rows)
    some = sparse.of_passes(np.array(chosen))
    assert some.medians() == np.median(full[:, chosen], axis=1).tolist()


@given(entries)
def test_sums_over_groups_of_rows_that_may_share_rows(rows: list[tuple[int, int, int]]) -> None:
    sparse, full = sparse_and_full(rows)
    sums = sparse.summed(np.array([0, 2, 2, 3]), np.array([0, 0, 1, 1]), 3)
    expected = np.stack((full[0] + full[2], full[2] + full[3], np.zeros(5)))
    assert sums.medians() == np.median(expected, axis=1).tolist()


def test_without_passes_there_is_no_median() -> None:
    sparse, _ = sparse_and_full([], passes=0)
    assert sparse.medians() == sparse.medians_us() == [None] * 4


def test_a_million_modules_in_a_million_passes_take_what_the_calls_take() -> None:
    """In full these were 8 TB. The one row that runs in most passes takes 3 ns in each of these."""
    count = 1_000_000
    row, number = np.full(count, count - 1, np.int32), np.arange(count, dtype=np.int32)
    medians = over_cells(row, number, count, count)(np.full(count, 3)).medians()
    assert (medians[0], medians[count - 1]) == (pytest.approx(0), pytest.approx(3))
