"""From the traces of a job to a `Job`: read and reduce each where a worker is, gather, number, combine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from tracekit import __version__
from tracekit.analysis.ranks.cache import Cache, cache_directory, cached, known
from tracekit.analysis.ranks.columns import VERSION, RankSummary, decode, encode
from tracekit.analysis.ranks.execute import Outcome, run
from tracekit.analysis.ranks.job import combine
from tracekit.analysis.ranks.numbers import Told, missing_note, rank_numbers
from tracekit.analysis.ranks.schema import Job, LostRank
from tracekit.analysis.ranks.sources import Source
from tracekit.analysis.ranks.summary import summary_of
from tracekit.attribution import attribute
from tracekit.messages import N_, UserError
from tracekit.trace import read
from tracekit.trace.parallel import usable_cores


def analyze_ranks(
    sources: Sequence[Source],
    *,
    executor: Executor | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    use_cache: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Job:
    """What the traces at `sources` say of the job of which each is a rank.

    They are read on `executor`, on the Dask cluster of `scheduler`, else on processes of this machine, on so
    many `workers` at a time. `progress` is told how many ranks are done, and of how many. A rank that cannot
    be read is among the lost ones; raises `UserError` where all are, or where it is not clear which rank
    each is.
    """
    is_here = executor is None and scheduler is None
    outcomes: dict[Source, Outcome] = {}
    work = partial(summarised, use_cache=use_cache)

    def gather(some: Iterable[Outcome]) -> None:
        for outcome in some:
            outcomes[outcome.source] = outcome
            if progress:
                progress(len(outcomes), len(sources))

    if is_here and use_cache:  # the workers would first have to start
        gather(_known(sources))
    unknown = [source for source in sources if source not in outcomes]
    if unknown:
        with closing(run(unknown, work, executor=executor, scheduler=scheduler, workers=workers)) as done:
            gather(done)
    return _combined([outcomes[source] for source in sources])


def _known(sources: Sequence[Source]) -> Iterator[Outcome]:
    """Of those whose traces were read before on this machine; hashing leaves the interpreter to others."""
    cache = Cache(cache_directory())
    look_up = partial(known, version=_version(), cache=cache)
    threads = ThreadPoolExecutor(usable_cores())
    try:
        for source, result in zip(sources, threads.map(look_up, sources), strict=True):
            if result is not None and _decoded(result) is not None:
                yield Outcome(source, result)
    finally:
        threads.shutdown(cancel_futures=True)


def _version() -> str:
    return f"{__version__} {VERSION}"


def summarised(source: Source, scratch: Path | None = None, *, use_cache: bool = True) -> bytes:
    """What a worker does: the encoded summary of a trace, or that of earlier of the same one."""
    cache = Cache(cache_directory()) if use_cache else None
    return cached(source, scratch, _version(), _reduced, cache)


def _reduced(path: Path) -> bytes:
    trace = read(path, processes=1)  # there are other ranks for the other cores
    return encode(summary_of(trace, attribute(trace)))


def _combined(outcomes: Sequence[Outcome]) -> Job:
    """The job of these traces; raises `UserError` where there are no summaries, or of no clear rank."""
    done = [None if one.result is None else _decoded(one.result) for one in outcomes]
    names = [one.source.name for one in outcomes]
    reasons = [one.reason or OTHER_VERSION for one in outcomes]
    if all(one is None for one in done):
        raise UserError(
            N_(
                "none of the {count} traces can be read; of the first: {reason}",
                count=len(outcomes),
                reason=reasons[0],
            )
        )
    told = [None if one is None else Told.of(one.rank, one.world_size) for one in done]
    ranks = rank_numbers(names, told)
    summaries, lost = [], []
    for summary, name, rank, reason in zip(done, names, ranks, reasons, strict=True):
        if summary is None or rank is None:
            lost.append(LostRank(path=name, rank=rank, reason=reason))
        else:
            world = Told.of(rank, summary.world_size).world_size
            summaries.append(replace(summary, rank=rank, path=name, world_size=world))
    job = combine(summaries, lost)
    if not job.missing_ranks or job.world_size is None:
        return job
    note = missing_note(job.missing_ranks, job.world_size)
    return msgspec.structs.replace(job, notes=(*job.notes, note))


OTHER_VERSION = N_("its worker has another version of tracekit; install the same everywhere")


def _decoded(result: bytes) -> RankSummary | None:
    try:
        return decode(result)
    except ValueError:
        return None
