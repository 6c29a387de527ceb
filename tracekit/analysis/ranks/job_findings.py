"""What is worth changing in a job, the most expensive first. Gains are µs per step."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.findings.figures import ms, percent
from tracekit.analysis.ranks.schema import Job, Straggler
from tracekit.analysis.schema import Finding
from tracekit.messages import N_, Message

LEAST_SHARE = 0.05  # of a step, of what is said of all ranks
_MOST_STRAGGLERS = 3
_HIGH, _MEDIUM = 0.1, 0.03


def job_findings(job: Job) -> list[Finding]:
    """The findings of a job that has all else."""
    if job.time is None or not job.time.wall_us:
        return []
    found = [*_stragglers(job), *_waiting(job), *_exposed(job), *_imbalance(job)]
    return sorted(found, key=lambda one: -(one.gain_us or 0.0))


def _severity(share: float) -> str:
    return "high" if share >= _HIGH else "medium" if share >= _MEDIUM else "low"


def _stragglers(job: Job) -> Iterator[Finding]:
    steps = job.time.steps if job.time else 0
    for one in job.stragglers[:_MOST_STRAGGLERS]:
        yield Finding(
            id="ranks.straggler",
            severity=_severity(one.share),
            module=one.module,
            evidence=N_(
                "rank {rank} comes last to {last}% of its collectives; had it come with the last but one, "
                "the steps would have taken {time} ms less ({share}%)",
                rank=one.rank,
                last=percent(one.last_share),
                time=ms(one.delay_us),
                share=percent(one.share),
            ),
            gain_us=one.delay_us / steps if steps else None,
            advice=_advice(one),
        )


def _advice(one: Straggler) -> Message:
    lost = ms(one.lost_us or 0.0)
    if one.module is not None and one.cause == "waiting_for_host":
        return N_(
            "it loses {lost} ms more than the others while its device waits for the host in {module}: look "
            "for synchronisation and slow Python there, and at the load of its host",
            lost=lost,
            module=one.module or "model",
        )
    if one.module is not None:
        return N_(
            "it spends {lost} ms more than the others in {module}: compare what it gets there (sizes of "
            "inputs, tokens of experts) and the clocks of its device",
            lost=lost,
            module=one.module or "model",
        )
    if one.cause == "waiting_for_host":
        return N_(
            "it loses {lost} ms more than the others while nothing runs and no module does: look at its data "
            "loading and at the load of its host",
            lost=lost,
        )
    if one.cause == "outside_modules":
        return N_(
            "it spends {lost} ms more than the others in work of no module: optimizer, loss, copies",
            lost=lost,
        )
    return N_(
        "it does no more than the others before these collectives: it is late from a collective before, "
        "which it shares with other ranks"
    )


def _waiting(job: Job) -> Iterator[Finding]:
    time = job.time
    if time is None or not time.waiting_us or time.waiting_us < LEAST_SHARE * time.wall_us:
        return
    yield Finding(
        id="ranks.waiting",
        severity=_severity(time.waiting_us / time.wall_us),
        evidence=N_(
            "of a step, {time} ms ({share}%) of the collectives are waiting for ranks that come later, not "
            "transfer (median over the ranks)",
            time=ms(time.waiting_us),
            share=percent(time.waiting_us / time.wall_us),
        ),
        gain_us=time.waiting_us,
        advice=N_("balance the ranks: a faster network does not shorten this"),
    )


def _exposed(job: Job) -> Iterator[Finding]:
    """What of it is waiting is another finding, and nothing that overlapping would help."""
    time = job.time
    gain = time.communication_exposed_us - (time.waiting_us or 0.0) if time else 0.0
    if time is None or gain < LEAST_SHARE * time.wall_us:
        return
    yield Finding(
        id="ranks.exposed",
        severity=_severity(gain / time.wall_us),
        evidence=N_(
            "during {time} ms of a step ({share}%) collectives run and nothing is computed (median over the "
            "ranks)",
            time=ms(time.communication_exposed_us),
            share=percent(time.communication_exposed_us / time.wall_us),
        ),
        gain_us=gain,
        advice=N_("overlap them with computation: larger buckets, earlier launches, prefetching"),
    )


def _imbalance(job: Job) -> Iterator[Finding]:
    """The module whose own work differs most over the ranks, unless a straggler is one for that."""
    time, named = job.time, {one.module for one in job.stragglers[:_MOST_STRAGGLERS]}
    rows = [row for row in job.modules if row.ranks > 1 and row.path not in named]
    if time is None or not rows:
        return
    worst = max(rows, key=lambda row: row.own.max_us - row.own.mean_us)
    gain = worst.own.max_us - worst.own.mean_us
    if gain < LEAST_SHARE * time.wall_us:
        return
    yield Finding(
        id="ranks.imbalance",
        severity=_severity(gain / time.wall_us),
        module=worst.path,
        evidence=N_(
            "{module} takes {most} ms of a step on rank {rank} and {mean} ms on average",
            module=worst.path or "model",
            most=ms(worst.own.max_us),
            rank=worst.own.max_rank,
            mean=ms(worst.own.mean_us),
        ),
        gain_us=gain,
        advice=N_(
            "share its work out evenly over the ranks: tokens of experts, lengths of sequences, layers"
        ),
    )
