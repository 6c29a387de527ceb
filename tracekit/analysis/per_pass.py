"""Columns with a row per module, block or part and a figure for each pass: only of those that ran in it.

A trace of thousands of passes and thousands of modules has millions of such cells, nearly all of them empty
where each pass calls few of the modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracekit.attribution import NOBODY, Floats, Mask, numbered, pair_keys, sum_by
from tracekit.trace import Ints


@dataclass(frozen=True)
class PerPass:
    """[row, pass]: the values of cells, by row and then by pass; 0 in all cells that are not listed."""

    rows: int
    passes: int
    row: Ints  # of each cell
    number: Ints  # the pass of each cell
    values: Floats

    def of_passes(self, passes: Mask) -> PerPass:
        """Some passes only."""
        at = passes[self.number]
        number = (np.cumsum(passes) - 1)[self.number[at]]
        return PerPass(self.rows, int(passes.sum()), self.row[at], number, self.values[at])

    def above(self, other: PerPass) -> PerPass:
        """What this has more than `other`, a column of the same cells; may be negative."""
        return replace(self, values=self.values - other.values)

    def at_least_zero(self) -> PerPass:
        return replace(self, values=np.maximum(self.values, 0))

    def summed(self, rows: Ints, group: Ints, groups: int) -> PerPass:
        """For each of `groups` the sums over the rows in it: `rows[i]` is in `group[i]`."""
        cells = np.bincount(self.row, minlength=self.rows)
        first, length = (np.cumsum(cells) - cells)[rows], cells[rows]
        end = np.cumsum(length)
        cell = np.arange(int(length.sum())) + np.repeat(first - (end - length), length)
        sums = over_cells(np.repeat(group, length), self.number[cell], groups, self.passes)
        return sums(self.values[cell])

    def counts(self) -> Ints:
        """In how many passes each row is listed."""
        return np.bincount(self.row, minlength=self.rows)

    def totals(self) -> Floats:
        """Of each row over all passes."""
        return sum_by(self.row, self.values, self.rows)

    def any(self) -> list[bool]:
        """Of each row, whether it has a value other than 0 in any pass."""
        known: list[bool] = (np.bincount(self.row[self.values != 0], minlength=self.rows) > 0).tolist()
        return known

    def medians(self) -> list[float | None]:
        """Of each row over all passes; None where the trace has no passes."""
        if not self.passes:
            return [None] * self.rows
        cells = self.counts()
        if (cells[cells > 0] == self.passes).all():  # each row runs in every pass or in none
            medians = np.zeros(self.rows)
            medians[cells > 0] = np.median(self.values.reshape(-1, self.passes), axis=1)
            whole: list[float | None] = medians.tolist()
            return whole
        ordered = self.values[np.lexsort((self.values, self.row))]
        first, zeros = np.cumsum(cells) - cells, self.passes - cells
        negative = np.bincount(self.row[self.values < 0], minlength=self.rows)

        def ranked(rank: int) -> Floats:
            """The value of each row that has this rank, zeros standing between negative and other ones."""
            result = np.zeros(self.rows)
            below, above = rank < negative, rank >= negative + zeros
            result[below] = ordered[first[below] + rank]
            result[above] = ordered[(first - zeros)[above] + rank]
            return result

        middle: list[float | None] = (
            (ranked((self.passes - 1) // 2) + ranked(self.passes // 2)) / 2
        ).tolist()
        return middle

    def medians_us(self) -> list[float | None]:
        """`medians` of a column in ns."""
        return [None if value is None else value / 1000 for value in self.medians()]


def over_cells(row: Ints, number: Ints, rows: int, passes: int) -> Callable[[Any], PerPass]:
    """What sums a column of values, one for each of these rows and passes, over the cells.

    What has no row or no pass (`NOBODY`) is left out.
    """
    at = np.flatnonzero((row != NOBODY) & (number != NOBODY))
    cells, cell = numbered(pair_keys(row[at], number[at], passes))
    of_row, of_pass = (one.astype(np.int32) for one in np.divmod(cells, max(1, passes)))

    def summed(values: Any) -> PerPass:
        return PerPass(rows, passes, of_row, of_pass, sum_by(cell, values[at], len(cells)))

    return summed
