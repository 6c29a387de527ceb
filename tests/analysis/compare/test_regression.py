"""One-sided tests and their intervals, against SciPy on the raw values."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_ind

from tracekit.analysis.compare.noise import Sample
from tracekit.analysis.compare.regression import growth_interval, p_value

BEFORE, AFTER = [100.0, 102.0, 98.0, 101.0], [110.0, 115.0, 109.0]


def sample(values: list[float]) -> Sample:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Sample(statistics.mean(values), spread, len(values), statistics.median(values))


def of_raw(ratio: float, alternative: str = "greater") -> float:
    scaled = [ratio * value for value in BEFORE]
    return float(ttest_ind(AFTER, scaled, equal_var=False, alternative=alternative).pvalue)


@pytest.mark.parametrize("ratio", [1.0, 1.05, 1.11, 1.2])
def test_p_is_welch_s_of_the_raw_values_against_what_is_allowed(ratio: float) -> None:
    assert p_value(sample(BEFORE), sample(AFTER), ratio) == pytest.approx(of_raw(ratio))


def test_interval_holds_the_growths_that_neither_side_rejects() -> None:
    low, high = growth_interval(sample(BEFORE), sample(AFTER), 0.05)
    assert low is not None
    assert high is not None
    assert low < 111.333 / 100.25 - 1 < high
    assert of_raw(1 + low) == pytest.approx(0.05)
    assert of_raw(1 + high, "less") == pytest.approx(0.05)


def test_a_single_pass_is_taken_to_vary_as_those_of_the_other_side() -> None:
    # The prediction interval of a further value: t = (113 - 1.05 · mean) ÷ (1.05 · s · √(1 + 1/4)), 3 degrees
    mean, spread = statistics.mean(BEFORE), statistics.stdev(BEFORE)
    t = (113 - 1.05 * mean) / (1.05 * spread * (1 + 1 / 4) ** 0.5)
    assert p_value(sample(BEFORE), sample([113.0]), 1.05) == pytest.approx(student.sf(t, 3))
    assert p_value(sample([100.0]), sample([110.0]), 1.05) is None
    assert growth_interval(sample([100.0]), sample([110.0]), 0.05) == (None, None)


def test_passes_that_do_not_vary() -> None:
    before, after = Sample(100.0, 0.0, 3, 100.0), Sample(110.0, 0.0, 3, 110.0)
    assert [p_value(before, after, ratio) for ratio in (1.05, 1.1, 1.2)] == [0, 1, 1]
    assert growth_interval(before, after, 0.05) == (pytest.approx(0.1), pytest.approx(0.1))


def test_ends_that_do_not_exist() -> None:
    # Two passes of 1 and 99: before may be about 0, so that growth has no upper bound.
    wild, steady = Sample(50.0, 69.3, 2, 50.0), Sample(60.0, 1.0, 4, 60.0)
    low, high = growth_interval(wild, steady, 0.05)
    assert low is not None
    assert low < 0
    assert high is None
    assert growth_interval(Sample(0.0, 0.0, 3, 0.0), steady, 0.05) == (None, None)


def test_intervals_and_tests_say_the_same() -> None:
    # Without the noise of the first, two passes of the second reject nothing at this level, not even 0.
    before, after = Sample(100.0, 23.0, 5, 100.0), Sample(286.6, 1.5, 2, 286.6)
    rejected = p_value(before, after, 1.0)
    assert rejected is not None
    assert rejected < 0.001
    low, _high = growth_interval(before, after, 0.001)
    assert low is not None
    assert low > 0
    random = np.random.default_rng(1)
    for _ in range(200):
        means = [100 * 10 ** random.uniform(0, 0.5) for _side in range(2)]
        first, second = (
            Sample(mean, 10 ** random.uniform(-3, 2), int(random.integers(2, 6)), mean) for mean in means
        )
        p, limit = p_value(first, second, 1.05), growth_interval(first, second, 0.01)[0]
        assert p is not None
        assert limit is not None
        assert (p < 0.01) == (limit > 0.05)
