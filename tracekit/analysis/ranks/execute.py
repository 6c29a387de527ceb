"""Does a piece of work for every source: on processes of this machine, on any executor, or on a Dask cluster.

Knows nothing of traces. Results come as they are ready, and what fails takes nothing else along: who dies
with a worker is tried again alone, since only one of those that were being done is to blame.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tracekit.analysis.ranks.pool import process_pool, scratch_directory
from tracekit.analysis.ranks.sources import Source
from tracekit.messages import N_, Message, UserError
from tracekit.trace.fits import DoesNotFitError, available_bytes
from tracekit.trace.parallel import usable_cores

if TYPE_CHECKING:
    from distributed import Client

Work: TypeAlias = Callable[[Source, "Path | None"], bytes]
"""What is done with a source, which must be possible to pickle; the path is where it may leave a copy."""

# What a worker takes at most, and of the size of a file. Measured (VmHWM) on three samples of training that
# were repeated to 0.1 and 0.3 GB: 42 MiB, and 0.15 … 0.46 times the size of the JSON, which is 1.5 … 4.6
# times that of it compressed. The budget of `trace.fits` looks at what is there while a trace is read.
PROGRAM_BYTES = 64 << 20
SHARE_OF_PLAIN, SHARE_OF_COMPRESSED = 0.5, 5.0

CONNECT_SECONDS = 10
WATCH_SECONDS = 5.0
PATIENCE_SECONDS = 60.0  # with a cluster that has no worker

DIED = N_("the worker that read it alone died, perhaps for lack of memory")
BROKEN = N_("the workers of the executor died")
NO_WORKER = N_("no worker of the cluster is left")
NO_SCHEDULER = N_("the scheduler of the cluster does not answer any more")


@dataclass(frozen=True)
class Outcome:
    """What became of a source: a result, or the reason why there is none."""

    source: Source
    result: bytes | None = None
    reason: Message | None = None


class Failure(NamedTuple):
    """What comes back instead of a result; `may_fit_alone` if others took the memory that was needed."""

    reason: Message
    may_fit_alone: bool = False


_Answer: TypeAlias = "bytes | Failure | None"  # None: its worker died, or may have
_Open: TypeAlias = Callable[[int], AbstractContextManager[Executor]]  # for so many workers
_Watch: TypeAlias = Callable[[], "Message | None"]  # why there is no use in waiting any more


def run(
    sources: Sequence[Source],
    work: Work,
    *,
    executor: Executor | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
) -> Generator[Outcome, None, None]:
    """What `work` makes of every source, as it comes; close the iterator to end everything early.

    On the given `executor`, on the Dask cluster of `scheduler` ("tcp://host:8786"), else on processes of this
    machine; on so many `workers` at a time, by default as many as there are, or as there are cores and
    memory for. Raises `UserError` where there are none.
    """
    if executor is not None and scheduler is not None:
        raise UserError(N_("name either an executor or a scheduler, not both"))
    width = workers or len(sources)
    if executor is not None:
        yield from _rounds(_always(executor), sources, work, width)
    elif scheduler is not None:
        with _cluster(scheduler) as client, _cancelled(client.get_executor(pure=False)) as cluster:
            yield from _rounds(_always(cluster), sources, work, width, _Patience(client))
    else:
        with scratch_directory() as scratch:
            count = min(workers or worthwhile_workers(sources), len(sources))
            yield from _rounds(partial(process_pool, scratch=scratch), sources, work, count, scratch=scratch)


def _always(executor: Executor) -> _Open:
    return lambda _count: nullcontext(executor)


@contextmanager
def _cancelled(executor: Executor) -> Iterator[Executor]:
    """What is not done when this is left will not be."""
    try:
        yield executor
    finally:
        executor.shutdown(wait=False)


def worthwhile_workers(sources: Sequence[Source]) -> int:
    """As many processes as there are files, cores, and memory for the largest of the files on each."""
    needed = max(map(_expected_bytes, sources))
    return max(1, min(usable_cores(), len(sources), available_bytes() // needed))


def _expected_bytes(source: Source) -> int:
    share = SHARE_OF_PLAIN if source.url.endswith(".json") else SHARE_OF_COMPRESSED
    return PROGRAM_BYTES + round(share * (source.size_bytes or 0))


def attempt(work: Work, source: Source, scratch: Path | None = None) -> bytes | Failure:
    """What a worker does. It raises nothing: an exception that cannot be unpickled ends a pool."""
    try:
        return work(source, scratch)
    except UserError as error:
        return Failure(_portable(error.message), isinstance(error, DoesNotFitError))
    except MemoryError:
        reason = N_("{path}: does not fit into the memory of the worker", path=source.name)
        return Failure(reason, may_fit_alone=True)
    except Exception as error:
        if os.environ.get("TRACEKIT_DEBUG"):
            raise
        return Failure(
            N_(
                "internal error, please report it ({kind}: {text})",
                kind=type(error).__name__,
                text=" ".join(str(error).split()),
            )
        )


def _portable(message: Message) -> Message:
    """`message` with values that any encoding knows."""
    return Message(message.template, {name: _plain(value) for name, value in message.values.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Message):
        return str(value)
    return value if isinstance(value, str | int | float) else str(value)


def _rounds(
    open_pool: _Open,
    sources: Iterable[Source],
    work: Work,
    width: int,
    watch: _Watch | None = None,
    scratch: Path | None = None,
) -> Iterator[Outcome]:
    """All of them side by side; then, one by one, those that this did not become."""
    task = partial(attempt, work, scratch=scratch)
    waiting, alone = deque(sources), deque[Source]()
    while waiting or alone:
        is_alone = bool(alone)
        queue, count = (alone, 1) if is_alone else (waiting, width)
        with open_pool(count) as pool:
            for source, answer in _answers(pool, queue, count, task, watch):
                if isinstance(answer, bytes):
                    yield Outcome(source, answer)
                elif not is_alone and (answer is None or (answer.may_fit_alone and count > 1)):
                    alone.append(source)
                else:
                    yield Outcome(source, reason=DIED if answer is None else answer.reason)


def _answers(
    pool: Executor,
    waiting: deque[Source],
    width: int,
    task: Callable[[Source], bytes | Failure],
    watch: _Watch | None,
) -> Iterator[tuple[Source, _Answer]]:
    """Takes from `waiting`, `width` at a time; ends early, with the rest still waiting, if the pool breaks.

    Never are more with the pool than it does, so that few are under suspicion when it breaks.
    """
    flying: dict[Future[bytes | Failure], Source] = {}
    is_broken = False
    try:
        while flying or (waiting and not is_broken):
            while waiting and not is_broken and len(flying) < width:
                source = waiting.popleft()
                try:
                    flying[pool.submit(task, source)] = source
                except BrokenExecutor:
                    is_broken = True
                    yield source, Failure(BROKEN, may_fit_alone=True)
            done = wait(flying, WATCH_SECONDS if watch else None, FIRST_COMPLETED).done
            if not done and watch and (reason := watch()):
                given_up, flying = list(flying.values()), {}
                yield from ((source, Failure(reason)) for source in (*given_up, *waiting))
                waiting.clear()
            for future in done:
                is_broken = is_broken or isinstance(_error(future), BrokenExecutor)
                yield flying.pop(future), _answer(future)
    finally:
        for future in flying:
            future.cancel()


def _error(future: Future[Any]) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError as error:
        return error


def _answer(future: Future[bytes | Failure]) -> _Answer:
    error = _error(future)
    if error is None:
        return future.result()
    if isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker":
        return None
    if isinstance(error, CancelledError) or "Cancelled" in type(error).__name__:
        return Failure(NO_SCHEDULER)
    return Failure(
        N_(
            "its worker failed ({kind}: {text}); is the same tracekit on all workers and the scheduler?",
            kind=type(error).__name__,
            text=" ".join(str(error).split()),
        )
    )


@contextmanager
def _cluster(address: str) -> Iterator[Client]:
    try:
        from distributed import Client
        from distributed.comm.addressing import parse_address, parse_host_port
        from distributed.comm.registry import get_backend
    except ImportError:
        raise UserError(N_("a scheduler needs distributed: pip install 'tracekit[dask]'")) from None
    try:
        scheme, location = parse_address(address)  # a client that fails for it would still be tidied up
        get_backend(scheme)
        parse_host_port(location)
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="tracekit")
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            N_("{address}: no Dask scheduler answers there ({reason})", address=address, reason=reason)
        ) from None
    with client:
        yield client


class _Patience:
    """Gives up on a cluster whose scheduler has gone, or that has had no worker for long."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._idle_rounds = 0

    def __call__(self) -> Message | None:
        try:
            has_workers = bool(self._client.scheduler_info()["workers"])
        except (OSError, RuntimeError, KeyError):
            return NO_SCHEDULER
        self._idle_rounds = 0 if has_workers else self._idle_rounds + 1
        return NO_WORKER if self._idle_rounds * WATCH_SECONDS > PATIENCE_SECONDS else None
