"""Whether a mean has grown by more than a limit, beyond what passes vary; knows nothing of reports."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tracekit.analysis.compare.noise import Sample

_WIDEST = 2.0**20  # a growth beyond that is no bound any more
_NEAREST, _STEP = 1e-3, 0.9


def p_value(before: Sample, after: Sample, ratio: float) -> float | None:
    """How likely means as far apart as these are, if `after` is at most `ratio` × `before` in truth.

    The null hypothesis is that nothing is wrong. So what passes vary by chance fails with the probability of
    the level at most, also where the truth stands right at the limit; and a growth beyond the limit is found
    once it exceeds the limit by more than chance would explain, which takes the fewer passes the larger it
    is. The reverse (fail unless it is shown that nothing has grown) would fail every noisy run; and to test
    for any growth at all, and look at the limit only in what was observed, would fail every other run whose
    true growth is just the one that is permitted.

    Welch's t-test (`scipy.stats.ttest_ind_from_stats`), one-sided, of `after` against `ratio` × `before`.
    Where one of the two is a single pass it is taken to vary as the other does (Student's test with the
    spread of both pooled, which is the other's). None where there is one pass each: what passes vary by is
    then unknown.
    """
    if before.passes < 2 and after.passes < 2:
        return None
    allowed, spread_allowed = ratio * before.mean_us, ratio * (before.std_us or 0.0)
    spread = after.std_us or 0.0
    if not spread_allowed and not spread:
        return float(after.mean_us <= allowed)
    from scipy.stats import ttest_ind_from_stats

    with np.errstate(all="ignore"):
        done = ttest_ind_from_stats(
            after.mean_us,
            spread,
            after.passes,
            allowed,
            spread_allowed,
            before.passes,
            equal_var=min(before.passes, after.passes) < 2,
            alternative="greater",
        )
    found = float(done.pvalue)
    return found if math.isfinite(found) else None


def growth_interval(before: Sample, after: Sample, level: float) -> tuple[float | None, float | None]:
    """The growths (0.1 for 10% more) around the observed one that `p_value` does not reject at `level`.

    That is on either side, so it is the interval of confidence 1 - 2 × `level` (Fieller's, with Welch's
    degrees of freedom), and its lower end is above a limit where the test rejects that limit. An end that
    does not exist is None, both where the noise is unknown or `before` is 0.
    """
    if before.mean_us <= 0 or p_value(before, after, 1.0) is None:
        return None, None

    def excess(ratio: float) -> float:
        found = p_value(before, after, ratio)
        return math.nan if found is None else found

    observed = after.mean_us / before.mean_us
    if not before.std_us and not after.std_us:
        return observed - 1, observed - 1
    # From what was observed downwards: near 0 the noise of `before` counts no more, and where that of few
    # passes is left the test may reject nothing there again.
    near = observed
    while near > observed * _NEAREST and excess(near) >= level:
        near *= _STEP
    low = _root(lambda ratio: excess(ratio) - level, near, observed)
    far = max(observed, 1e-9)
    while far < _WIDEST and excess(far) < 1 - level:
        far *= 2
    high = _root(lambda ratio: excess(ratio) - (1 - level), observed, far)
    return (-1.0 if low is None else low - 1), (None if high is None else high - 1)


def _root(function: Callable[[float], float], low: float, high: float) -> float | None:
    """Where `function` passes 0 from below to above; None where it does not."""
    if not (function(low) < 0 <= function(high)):
        return None
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-12))
