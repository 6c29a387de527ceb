"""Numbers and matrix products that count what they do, to check formulas against the algorithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Counter:
    """Counts FLOPs of the numbers made by `number` and of the products made by `product`."""

    def __init__(self) -> None:
        self.flops = 0

    def number(self, value: float) -> Counted:
        return Counted(value, self)

    def product(self, a: Any, b: Any) -> Any:
        self.flops += 2 * a.shape[0] * a.shape[1] * b.shape[1]
        return a @ b

    def unit_triangle_inverse(self, a: Any) -> Any:
        """The inverse of 1 + a, a strictly lower triangular, by substitution: a product, an addition each."""
        size = len(a)
        inverse = np.eye(size)
        for row in range(size):
            for column in range(row):
                inverse[row, column] = -a[row, column]
                for between in range(column + 1, row):
                    inverse[row, column] -= a[row, between] * inverse[between, column]
                    self.flops += 2
        return inverse


class Counted(float):
    """A float each of whose sums, differences, products, quotients and elementary functions counts as one."""

    counter: Counter

    def __new__(cls, value: float, counter: Counter) -> Counted:
        number = super().__new__(cls, value)
        number.counter = counter
        return number

    def _of(self, value: float) -> Counted:
        self.counter.flops += 1
        return Counted(value, self.counter)

    def __add__(self, other: float) -> Counted:
        return self._of(float(self) + float(other))

    def __sub__(self, other: float) -> Counted:
        return self._of(float(self) - float(other))

    def __mul__(self, other: float) -> Counted:
        return self._of(float(self) * float(other))

    def __truediv__(self, other: float) -> Counted:
        return self._of(float(self) / float(other))

    def exp(self) -> Counted:
        return self._of(math.exp(self))

    def larger(self, other: float) -> Counted:
        return self._of(max(float(self), float(other)))
