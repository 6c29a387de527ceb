"""What of a difference is more than noise, by the spread over passes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.analysis.compare.schema import Method
from tracekit.messages import N_, UserError

GPU_TIME, CPU_TIME = "gpu_time", "cpu_time"  # what is compared
TEST = "Welch's t-test"
TEST_FUNCTION = "scipy.stats.ttest_ind_from_stats"
CORRECTION = "Benjamini–Hochberg"
CORRECTION_FUNCTION = "scipy.stats.false_discovery_control"
LEVEL = 0.05
# Two captures of the same thing differ by more than their passes vary: other clocks, other places in memory.
MARGINS = {GPU_TIME: 0.02, CPU_TIME: 0.15}
LEAST_US = {GPU_TIME: 0.2, CPU_TIME: 5.0}


def method(quantity: str, level: float, margin: float | None) -> Method:
    """How changes of `quantity` are told from noise. Raises `UserError` for figures that make no sense."""
    if not 0 < level < 1:
        raise UserError(N_("the level is a probability between 0 and 1, such as 0.05"))
    if margin is not None and not (math.isfinite(margin) and margin >= 0):
        raise UserError(N_("the margin is a share from 0 on, such as 0.05 for 5%"))
    return Method(
        test=TEST,
        function=TEST_FUNCTION,
        correction=CORRECTION,
        correction_function=CORRECTION_FUNCTION,
        level=level,
        margin=MARGINS[quantity] if margin is None else margin,
        least_us=LEAST_US[quantity],
    )


@dataclass(frozen=True)
class Sample:
    """Mean, spread and median of one quantity over passes, µs; `std_us` is None where there is one pass."""

    mean_us: float
    std_us: float | None
    passes: int
    median_us: float


def summed(samples: Iterable[Sample], passes: int) -> Sample:
    """The sum of quantities of the same passes.

    Its spread is at most the sum of theirs, whatever they have to do with each other (Minkowski's
    inequality): this bound is what is taken. Its median is taken for the sum of theirs.
    """
    mean, spread, median = 0.0, 0.0, 0.0
    for one in samples:
        mean += one.mean_us
        spread += one.std_us or 0.0
        median += one.median_us
    return Sample(mean, spread if passes > 1 else None, passes, median)


def p_values(before: Sequence[Sample], after: Sequence[Sample], method: Method) -> list[float | None]:
    """For each pair the probability of such a difference by chance, uncorrected; None without any spread.

    The null hypothesis is that the means differ by no more than `allowed`, so that what nobody cares about is
    no change however exactly it was measured. Where the medians do not differ by as much too, only some
    passes were disturbed, which proves nothing. Where one side has one pass, that is taken to vary as the
    other side does (Student's test instead of Welch's).
    """
    from scipy.stats import ttest_ind_from_stats

    if not before:
        return []
    mean, std, count, median = zip(*(_columns(before), _columns(after)), strict=True)
    known = (count[0] > 1) | (count[1] > 1)
    allowed_us = np.maximum(method.margin * mean[0], method.least_us)
    difference = np.abs(mean[1] - mean[0])
    typical = np.sign(mean[1] - mean[0]) * (median[1] - median[0])
    pooled = (count[0] < 2) | (count[1] < 2)
    result = np.ones(len(before))
    for equal_var in (False, True):
        at = known & (pooled == equal_var) & (np.minimum(difference, typical) > allowed_us)
        if not at.any():
            continue
        sides = std[0][at], count[0][at], 0.0, std[1][at], count[1][at]
        with np.errstate(divide="ignore", invalid="ignore"):
            # Beyond the allowed difference on the side where it lies, or as far on the other side.
            near, far = (
                ttest_ind_from_stats(excess[at], *sides, equal_var=equal_var, alternative="greater").pvalue
                for excess in (difference - allowed_us, difference + allowed_us)
            )
        result[at] = np.minimum(1.0, near + far)
    return [float(p) if sure else None for p, sure in zip(result, known.tolist(), strict=True)]


def corrected(values: Sequence[float | None]) -> list[float | None]:
    """The p-values of all rows of a comparison, corrected for how many they are.

    False discoveries are controlled; where nothing has changed at all, that is the chance of any of them.
    """
    from scipy.stats import false_discovery_control

    known = [value for value in values if value is not None]
    if not known:
        return list(values)
    found = iter(false_discovery_control(known, method="bh").tolist())
    return [None if value is None else next(found) for value in values]


def _columns(samples: Sequence[Sample]) -> list[npt.NDArray[Any]]:
    rows = ((one.mean_us, one.std_us or 0.0, one.passes, one.median_us) for one in samples)
    return [np.array(column) for column in zip(*rows, strict=True)]
