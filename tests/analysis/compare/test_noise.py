"""Noise: p-values against SciPy's on the raw values, and how often chance is called a change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tracekit.analysis.compare.drafts import Draft, finish
from tracekit.analysis.compare.noise import GPU_TIME, Sample, corrected, method, p_values, summed
from tracekit.analysis.compare.schema import Change
from tracekit.messages import UserError

EXACT = method(GPU_TIME, level=0.05, margin=0.0)


def _sample(values: list[float]) -> Sample:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Sample(float(np.mean(values)), spread, len(values), float(np.median(values)))


def test_p_value_is_that_of_welch_on_the_raw_values() -> None:
    before, after = [10.0, 12.0, 11.0, 13.0], [14.0, 15.0, 13.5, 16.0, 15.5]
    (p,) = p_values([_sample(before)], [_sample(after)], EXACT)
    # No change of up to 0.2 µs is one: half of the two-sided hypothesis on either side of it.
    near = stats.ttest_ind([x - 0.2 for x in after], before, equal_var=False, alternative="greater").pvalue
    far = stats.ttest_ind([x + 0.2 for x in after], before, equal_var=False, alternative="greater").pvalue
    assert p == pytest.approx(near + far)


def test_a_single_pass_is_taken_to_vary_as_the_other_side_does() -> None:
    before = [10.0, 12.0, 11.0, 13.0]
    (p,) = p_values([_sample(before)], [_sample([20.0])], EXACT)
    near, far = (
        stats.ttest_ind([x], before, equal_var=True, alternative="greater").pvalue for x in (19.8, 20.2)
    )
    assert p is not None
    assert 0.5 * far < p < 2 * near + far


def test_noise_of_one_pass_each_is_unknown() -> None:
    assert p_values([Sample(1, None, 1, 1)], [Sample(2, None, 1, 2)], EXACT) == [None]


@pytest.mark.parametrize(
    ("level", "margin"), [(0.0, None), (1.0, None), (math.nan, None), (0.05, -0.1), (0.05, math.nan)]
)
def test_figures_that_make_no_sense_are_refused(level: float, margin: float | None) -> None:
    with pytest.raises(UserError, match=r"is a probability between|is a share from"):
        method(GPU_TIME, level, margin)


def test_what_is_within_the_margin_is_no_change_however_exact() -> None:
    loose = method(GPU_TIME, level=0.05, margin=0.02)
    assert p_values([Sample(100, 0.001, 50, 100)], [Sample(101.9, 0.001, 50, 101.9)], loose) == [1.0]
    (p,) = p_values([Sample(100, 0.001, 50, 100)], [Sample(102.1, 0.001, 50, 102.1)], loose)
    assert p is not None
    assert p < 1e-6


def test_spread_of_a_sum_is_at_most_the_sum_of_spreads() -> None:
    dice = np.random.default_rng(7)
    first = dice.normal(100, 3, 12)
    second = 2 * first + dice.normal(0, 1, 12)
    bound = summed([_sample(first.tolist()), _sample(second.tolist())], 12)
    exact = _sample((first + second).tolist())
    assert bound.mean_us == pytest.approx(exact.mean_us)
    assert bound.std_us is not None
    assert exact.std_us is not None
    assert exact.std_us <= bound.std_us


def test_correction_leaves_the_unknown_alone() -> None:
    # Benjamini and Hochberg: 0.01 × 3 ÷ 1, 0.02 × 3 ÷ 2, 0.04 × 3 ÷ 3
    assert corrected([0.02, None, 0.01, 0.04]) == pytest.approx([0.03, None, 0.03, 0.04])


def test_chance_is_called_a_change_in_at_most_5_of_100_comparisons() -> None:
    """400 comparisons of 60 rows whose passes vary alike, skewed as times are."""
    dice = np.random.default_rng(11)
    found = 0
    for _ in range(400):
        drafts = []
        for _row in range(60):
            sides = [_sample((20 + 4 * dice.lognormal(0, 0.8, 10)).tolist()) for _side in range(2)]
            drafts.append(Draft(Change, {}, *sides))
        found += any(row.verdict != "same" for row in finish(drafts, EXACT))
    assert found <= 20


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (Sample(100, 1, 10, 100), Sample(150, 1, 10, 150), "slower"),
        (Sample(100, 1, 10, 100), Sample(50, 1, 10, 50), "faster"),
        (Sample(100, 1, 10, 100), Sample(100.5, 1, 10, 100.5), "same"),
        (Sample(100, 60, 10, 100), Sample(120, 60, 10, 120), "same"),
        (Sample(100, None, 1, 100), Sample(101, None, 1, 101), "unknown"),
        (Sample(100, None, 1, 100), Sample(100, None, 1, 100), "same"),
        (None, Sample(100, 1, 10, 100), "appeared"),
        (Sample(100, None, 1, 100), None, "vanished"),
        (None, Sample(0.1, 0.01, 10, 0.1), "same"),
    ],
)
def test_verdicts(before: Sample | None, after: Sample | None, verdict: str) -> None:
    draft = Draft(Change, {}, before, after)
    there = before or after
    assert there is not None
    draft.passes = there.passes, there.passes
    (row,) = finish([draft], method(GPU_TIME, 0.05, None))
    assert row.verdict == verdict


def test_passes_that_something_disturbed_are_no_change() -> None:
    """Four passes of ten took three times as long, while something else ran; the typical one did not."""
    quiet = [100.0, 101, 99, 100, 102, 98, 100, 101, 99, 100]
    disturbed = [*quiet[:6], 300, 310, 305, 295]
    draft = Draft(Change, {}, _sample(quiet), _sample(disturbed))
    draft.passes = 10, 10
    assert stats.ttest_ind(quiet, disturbed, equal_var=False).pvalue < 0.05
    (row,) = finish([draft], method(GPU_TIME, level=0.05, margin=None))
    assert row.verdict == "same"
