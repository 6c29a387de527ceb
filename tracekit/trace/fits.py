"""Whether a trace fits into memory: found out while it is read, and refused before the system ends us.

Of a part of a file only what it holds is certain. What is behind it need not be like it: Kineto writes all
events of one kind together, and a part that is read first and as large as a tenth of the file may hold most
of what is kept of it, or nothing. So what has been read alone decides. That is early enough: reading takes
less than half of the memory that the analysis does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tracekit.messages import N_, Message, UserError

# The peak of a whole `tracekit analyze` (maximum resident set), without what the program takes, over the
# bytes of the columns. Most of it is taken by `measure` for ops that have costs; without shapes few have.
# Fitted to ten kinds of samples repeated to 0.25 … 1 GB, with 20 … 60 MB of columns: of inference, training,
# GPU events alone and ops alone. These take 0.88 … 1.1 times as much with what the program takes.
ANALYSIS_FACTOR = 4.0
ANALYSIS_FACTOR_WITHOUT_SHAPES = 2.5  # of the columns of ops
SIGNATURE_BYTES = 5000  # for each distinct one, in objects

# What another process has kept, at least, over what this one has. They take turns to take a chunk, so it is
# about as much. Where four of them read samples, each of the others had 0.76 of it on average at the worst.
HELPER_SHARE = 0.75

CHECK_EVERY_BYTES = 4 << 20  # of columns; with fewer there is nothing to ask
_UNLIMITED_BYTES = 1 << 60  # version 1 of control groups writes no limit as a large one


class DoesNotFitError(UserError):
    """The file may be read where more memory is free."""


class Kept(Protocol):
    """What there is so far of a trace."""

    @property
    def size_bytes(self) -> int:
        """What the columns take; asked for often."""

    @property
    def shapeless_bytes(self) -> int:
        """Those of them that are of ops without shapes."""

    @property
    def signature_count(self) -> int:
        """How many ops differ in name, shapes or types."""


@dataclass
class Budget:
    """The memory that reading and analysing one file may take."""

    path: Path
    _next: int = field(default_factory=lambda: CHECK_EVERY_BYTES)
    _program: int | None = None  # what the process takes without the trace

    def check(self, read_bytes: int, kept: Kept, helper_ids: Sequence[int] = ()) -> None:
        """Raises `UserError` where the analysis of what was read does not fit into the memory available.

        `read_bytes` are those of the file, compressed if it is. The processes `helper_ids` take turns with
        this one, and end before the analysis. Costs nothing most of the time: call it for every chunk.
        """
        if kept.size_bytes >= self._next:
            self._check(kept, helper_ids, read_bytes)
            self._next = kept.size_bytes + CHECK_EVERY_BYTES // (1 + len(helper_ids))

    def check_whole(self, kept: Kept) -> None:
        """The same when everything has been read, and no other process has any of it."""
        if kept.size_bytes >= CHECK_EVERY_BYTES:
            self._check(kept, (), None)

    def _check(self, kept: Kept, helper_ids: Sequence[int], read_bytes: int | None) -> None:
        resident = resident_bytes()
        if self._program is None:
            self._program = max(0, resident - kept.size_bytes)
        times = 1 + HELPER_SHARE * len(helper_ids)
        if self._program + most_analysis_bytes(kept, times) <= resident + available_bytes():
            return  # what would have to be looked at is not worth it
        needed = self._program + analysis_bytes(kept, times)
        free = resident + available_bytes(sum(map(unshared_bytes, helper_ids)))
        if needed > free:
            raise DoesNotFitError(self._refusal(_gigabytes(needed), _gigabytes(free), read_bytes))

    def _refusal(self, needed: float, free: float, read_bytes: int | None) -> Message:
        if read_bytes is None:
            return N_(
                "{path}: needs about {needed} GB of memory, {free} GB are free; "
                "capture fewer steps, or analyze it on a machine with more memory",
                path=self.path,
                needed=needed,
                free=free,
            )
        return N_(
            "{path}: its first {read} GB alone need about {needed} GB of memory, {free} GB are free; "
            "capture fewer steps, or analyze it on a machine with more memory",
            path=self.path,
            read=_gigabytes(read_bytes),
            needed=needed,
            free=free,
        )

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turns a `MemoryError` into a `UserError` that names the file."""
        try:
            yield
        except MemoryError:
            raise DoesNotFitError(
                N_(
                    "{path}: does not fit into memory; capture fewer steps, "
                    "or analyze it on a machine with more memory",
                    path=self.path,
                )
            ) from None


def most_analysis_bytes(kept: Kept, times: float = 1) -> int:
    """As much as `analysis_bytes`, or more: as if all ops had shapes."""
    return round(ANALYSIS_FACTOR * kept.size_bytes * times) + SIGNATURE_BYTES * kept.signature_count


def analysis_bytes(kept: Kept, times: float = 1) -> int:
    """What analysing so many events `times` over takes at its peak; more of anything never takes less."""
    shapeless = kept.shapeless_bytes
    columns = ANALYSIS_FACTOR * (kept.size_bytes - shapeless) + ANALYSIS_FACTOR_WITHOUT_SHAPES * shapeless
    return round(columns * times) + SIGNATURE_BYTES * kept.signature_count


def _gigabytes(count: int) -> float:
    """To three digits: what is needed and what is free are close where a file is refused early."""
    return float(f"{count / 1e9:.3g}")


def resident_bytes() -> int:
    """What this process takes now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def unshared_bytes(process_id: int) -> int:
    """What becomes free when another process ends; 0 where it has, or where nobody may know."""
    import psutil

    try:
        return int(psutil.Process(process_id).memory_full_info().uss)
    except psutil.Error:
        return 0


def available_bytes(returned_bytes: int = 0) -> int:
    """By how much this process can still grow: the least of what the machine and all limits allow.

    `returned_bytes` are those that other processes, under the same limits, are about to give back.
    """
    import psutil

    shared = [int(psutil.virtual_memory().available), *_group_rooms(Path("/"))]
    rooms = [room + returned_bytes for room in shared]
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            rooms.append(limit - int(psutil.Process().memory_info().vms))
    return max(0, min(rooms))


def _group_rooms(root: Path) -> Iterator[int]:
    """What the control groups of this process leave, in both versions, as containers have them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):  # no Linux
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inner = base / group.lstrip("/")
        for directory in (inner, *inner.parents):  # each has a limit of its own, and holds those in it
            if (room := _room(directory, *names)) is not None:
                yield room
            if directory == base:
                break


def _room(directory: Path, limit_name: str, usage_name: str, cache_name: str) -> int | None:
    """Limit less usage of a control group; None without a limit. Cached files go when they have to."""
    try:
        limit = int((directory / limit_name).read_text())
        usage = int((directory / usage_name).read_text())
        statistics = (directory / "memory.stat").read_text().split()
        cache = dict(zip(statistics[::2], statistics[1::2], strict=False)).get(cache_name, "0")
    except (OSError, ValueError):
        return None
    return limit - usage + int(cache) if limit < _UNLIMITED_BYTES else None
