"""Which rank a file is of."""

from __future__ import annotations

import pytest

from tracekit.analysis.ranks.numbers import (
    Told,
    missing_note,
    numbers_in,
    rank_numbers,
)
from tracekit.messages import UserError

NOTHING = Told()


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["rank0.json", "rank12.json"], [0, 12]),
        (["job/rank_0.json.gz", "job/rank_12.json.gz"], [0, 12]),
        (["run2-rank-3.json", "run2-Rank-4.json"], [3, 4]),
        (["step7_r3.json", "step7_r10.json"], [3, 10]),
        (["trace.7.json.gz", "trace.08.json.gz"], [7, 8]),
        (["2024-05-01/trace.7.json", "2024-05-01/trace.9.json"], [7, 9]),
        (["rank0/step100.json", "rank1/step101.json"], [0, 1]),
        (["node0/rank8_step5.json", "node1/rank9_step6.json"], [8, 9]),
        (["rank3_local_rank1.json", "rank11_local_rank1.json"], [3, 11]),
        (["frankfurt1.json", "frankfurt2.json"], [1, 2]),  # by the place, not as a label
        (["a0/rank1.json", "b0/rank2.json"], [1, 2]),
        (["hostA_4211.1712345678901.pt.trace.json", "hostA_4212.1712345678999.pt.trace.json"], None),
        (["trace_20240501.json", "trace_20240502.json"], None),  # days
        (["a1.json", "b2.json"], None),
        (["trace.json", "trace.1.json"], None),
        (["one.json"], None),
        (["rank5.json"], [5]),
    ],
)
def test_numbers_of_names(names: list[str], numbers: list[int] | None) -> None:
    assert numbers_in(names) == numbers


def test_what_the_traces_say_comes_first() -> None:
    told = [Told(1, 2), Told(0, 2)]
    assert rank_numbers(["rank0.json", "rank1.json"], told) == [1, 0]


def test_names_fill_in_where_they_do_not_contradict() -> None:
    names = ["trace.0.json", "trace.1.json", "trace.2.json"]
    assert rank_numbers(names, [Told(0, 4), NOTHING, None]) == [0, 1, 2]
    with pytest.raises(UserError, match=r"^trace\.1\.json: neither the trace nor its name says its rank"):
        rank_numbers(names, [Told(1, 4), NOTHING, None])


def test_an_unreadable_file_may_stay_without_a_number() -> None:
    assert rank_numbers(["a.json", "b.json"], [Told(3, 8), None]) == [3, None]


def test_a_file_that_is_no_trace_takes_no_number_from_others() -> None:
    """As the report of an earlier run, which a pattern finds too."""
    names = ["job/rank0.json", "out/job.json", "job/rank2.json"]
    assert rank_numbers(names, [Told(), None, Told()]) == [0, None, 2]


def test_rank_0_without_a_job_says_nothing_of_several_files() -> None:
    """As `cpu_only_train` and other traces of single processes have it."""
    assert rank_numbers(["t.4.json", "t.5.json"], [Told(0), Told(0)]) == [4, 5]
    assert rank_numbers(["t.4.json", "t.5.json"], [Told(0), Told(1)]) == [0, 1]


def test_the_hint_says_how_to_name_files() -> None:
    with pytest.raises(UserError) as caught:
        rank_numbers(["h_1.2.pt.trace.json.gz", "h_3.4.pt.trace.json.gz"], [NOTHING, NOTHING])
    assert str(caught.value) == (
        "h_1.2.pt.trace.json.gz: neither the trace nor its name says its rank; "
        "name the files after their ranks, as in rank0.json.gz"
    )


def test_two_files_of_one_rank_are_both_named() -> None:
    with pytest.raises(UserError) as caught:
        rank_numbers(["rank2_a.json", "rank1.json", "rank2_b.json"], [NOTHING] * 3)
    assert str(caught.value).startswith("rank2_a.json and rank2_b.json are both of rank 2; ")


def test_traces_of_several_jobs_are_refused() -> None:
    with pytest.raises(UserError) as caught:
        rank_numbers(["a.json", "b.json"], [Told(0, 8), Told(1, 16)])
    assert str(caught.value) == (
        "a.json is of a job of 8 ranks and b.json of one of 16; name the traces of one job"
    )


def test_missing_ranks_are_told_in_spans() -> None:
    assert str(missing_note([1, 3, 4, 6, 7], 8)) == (
        "of 5 of the 8 ranks of the job there is no trace: 1, 3-4, 6-7"
    )


def test_numbers_that_cannot_be_are_unknown() -> None:
    assert Told.of(3, 8) == (3, 8)
    assert Told.of(-1, 0) == (None, None)
    assert Told.of(1 << 40, 1 << 40) == (None, None)
