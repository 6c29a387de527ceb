"""What several outputs say of a job as a whole, in words."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.ranks.job import STRAGGLER_SHARE
from tracekit.analysis.ranks.schema import Job, JobTime
from tracekit.messages import N_, Message
from tracekit.report.i18n import Locale
from tracekit.report.job.words import MATCHED_BY, PARTS, Words

_MOST_RANKS = 10  # named beside one warning


def facts(job: Job, locale: Locale) -> Iterator[tuple[str, str]]:
    """Label and value: how many ranks, the step, and its parts."""
    _ = locale._
    yield _("Ranks"), ranks_text(job, locale)
    if job.time is not None:
        yield _("Step"), step_text(job, job.time, locale)
        for label, us in step_parts(job.time, locale):
            yield label, with_share(us, job.time.wall_us, locale)
    count = sum(row.count for row in job.collectives)
    if count:
        matched = locale.count(sum(row.matched for row in job.collectives))
        text = _("{matched} of {count} found on several ranks").format(
            matched=matched, count=locale.count(count)
        )
        yield _("Collectives"), text


def ranks_text(job: Job, locale: Locale) -> str:
    """How many were read, and how many not."""
    return ", ".join([ranks_read(job, locale), *ranks_lacking(job, locale)])


def ranks_read(job: Job, locale: Locale) -> str:
    """`6 of 8`."""
    read = locale.count(len(job.ranks))
    if job.world_size is None:
        return read
    return locale._("{read} of {size}").format(read=read, size=locale.count(job.world_size))


def ranks_lacking(job: Job, locale: Locale) -> list[str]:
    """How many are lost, and how many are missing."""
    _ = locale._
    texts = []
    if job.lost:
        texts.append(_("{count} could not be read").format(count=locale.count(len(job.lost))))
    if job.missing_ranks:
        texts.append(_("{count} without a trace").format(count=locale.count(len(job.missing_ranks))))
    return texts


def step_text(job: Job, time: JobTime, locale: Locale) -> str:
    """Its wall time, and over what that is a median."""
    remarks = [locale._("median over the ranks")] if len(job.ranks) > 1 else []
    source = Words(job, locale).step_source()
    if job.step_source != "trace":
        steps = locale.ngettext("{n} step", "{n} steps", time.steps)
        remarks.append(f"{steps}: {source}" if source else steps)
    else:
        remarks.append(source)
    return f"{locale.duration(time.wall_us)} ({'; '.join(remarks)})"


def step_parts(time: JobTime, locale: Locale) -> Iterator[tuple[str, float]]:
    """Label and µs of what a step is made of, and of what is known of its communication beside."""
    _ = locale._
    yield sentence_case(locale, PARTS["compute"]), time.compute_us
    yield sentence_case(locale, PARTS["communication"]), time.communication_exposed_us
    yield _("Overlapped communication"), time.communication_overlapped_us
    yield sentence_case(locale, PARTS["copy"]), time.copy_us
    yield sentence_case(locale, PARTS["idle"]), time.idle_us
    if time.waiting_us is not None:
        yield _("Waiting for later ranks"), time.waiting_us


def sentence_case(locale: Locale, message: Message) -> str:
    """With an initial capital."""
    text = locale.message(message)
    return text[:1].upper() + text[1:]


def with_share(us: float, whole: float, locale: Locale) -> str:
    """`12.00 ms (10.0%)`."""
    return f"{locale.duration(us)} ({locale.percent(us / whole)})" if whole else locale.duration(us)


def gain_per_step(us: float | None, locale: Locale) -> str:
    """A sentence on what acting on a finding would win; empty where that is not known."""
    if us is None:
        return ""
    return locale._("Gain: up to {time} of a step.").format(time=locale.duration(us))


def notes_of(job: Job, most: int) -> Iterator[Message]:
    """What could not be known, and what was wrong with the traces; `most` warnings."""
    yield from job.notes
    yield from _warnings(job, most)


def _warnings(job: Job, most: int) -> Iterator[Message]:
    """Each once, with the ranks that have it."""
    ranks: dict[str, list[int]] = {}
    texts: dict[str, Message] = {}
    for row in job.ranks:
        for warning in row.warnings:
            ranks.setdefault(str(warning), []).append(row.rank)
            texts.setdefault(str(warning), warning)
    for name, warning in list(texts.items())[:most]:
        having = ranks[name]
        if len(having) == 1:
            yield N_("rank {rank}: {warning}", rank=having[0], warning=warning)
        elif len(having) <= _MOST_RANKS:
            yield N_("ranks {ranks}: {warning}", ranks=having, warning=warning)
        else:
            yield N_("{count} ranks: {warning}", count=len(having), warning=warning)
    if len(texts) > most:
        yield N_("{count} more warnings are in {file}", count=len(texts) - most, file="job.json")


def method_lines(job: Job, locale: Locale) -> Iterator[str]:
    """Sentences on how the figures were worked out."""
    _ = locale._
    yield _(
        "exposed communication: a collective runs and nothing is computed beside it; a copy counts while "
        "neither runs, idle is the rest"
    )
    by = {row.matched_by for row in job.collectives if row.matched_by is not None}
    if by:
        names = ", ".join(locale.message(message) for name, message in MATCHED_BY.items() if name in by)
        yield _("collectives of ranks are matched within a process group by: {names}").format(names=names)
        yield _(
            "the last rank to arrive waits for nobody: the transfer time of a collective is the least "
            "duration over its ranks, what the others take beyond it they wait; no clock is needed for that"
        )
        yield _(
            "bus bandwidth: the size over the transfer time, times the factor of nccl-tests "
            "(doc/PERFORMANCE.md) for what each link carries"
        )
        yield _("a straggler costs the others at least {share} of the time of all steps").format(
            share=locale.percent(STRAGGLER_SHARE, 0)
        )
