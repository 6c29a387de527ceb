"""Whether a trace fits into memory: found out while it is read, and refused before the system ends us.

What is kept of a trace grows evenly with how much of it has been read, so a part tells what the whole takes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tracekit.messages import N_, UserError

# The peak of a whole `tracekit analyze` (maximum resident set) over the bytes of the columns, without what an
# empty program takes: 5.0 for 1 GB of h100_qwen1.5_0.5b repeated (58 MB of columns), 4.8 for 300 MB of
# a100_nccl_train (37 MB). Most of it is taken by `measure`, and reading on several processes takes less.
ANALYSIS_FACTOR = 5.0
PROGRAM_BYTES = 45 << 20

CHECK_EVERY_BYTES = 16 << 20
LEAST_SHARE = 0.05  # of the file, before it tells anything about the rest
_UNLIMITED_BYTES = 1 << 60  # version 1 of control groups writes no limit as a large one


@dataclass
class Budget:
    """The memory that reading and analysing one file may take; `size_bytes` is 0 where nobody knows it."""

    path: Path
    size_bytes: int
    _next_read: int = CHECK_EVERY_BYTES
    _next_kept: int = CHECK_EVERY_BYTES

    def check(self, read_bytes: int, kept_bytes: int) -> None:
        """Raises `UserError` where the analysis will not fit into the memory that is available.

        `read_bytes` are those of the file, compressed if it is, and `kept_bytes` those of the columns so far,
        of all processes together. Costs nothing most of the time: call it for every chunk.
        """
        if read_bytes < self._next_read and kept_bytes < self._next_kept:
            return
        self._next_read = max(self._next_read, read_bytes + CHECK_EVERY_BYTES)
        self._next_kept = max(self._next_kept, kept_bytes + CHECK_EVERY_BYTES)
        resident, available = resident_bytes(), available_bytes()
        needed = max(self.needed_bytes(read_bytes, kept_bytes), resident)
        if needed - resident > available:
            raise UserError(
                N_(
                    "{path}: needs about {needed} GB of memory, {free} GB are free; "
                    "capture fewer steps, or analyze it on a machine with more memory",
                    path=self.path,
                    needed=_gigabytes(needed),
                    free=_gigabytes(resident + available),
                )
            )

    def needed_bytes(self, read_bytes: int, kept_bytes: int) -> int:
        """What the analysis takes at its peak: of the whole file, or of what is read where that is little."""
        share = min(1.0, read_bytes / self.size_bytes) if self.size_bytes else 1.0
        columns = kept_bytes / share if share >= LEAST_SHARE else kept_bytes
        return PROGRAM_BYTES + round(ANALYSIS_FACTOR * columns)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turns a `MemoryError` into a `UserError` that names the file."""
        try:
            yield
        except MemoryError:
            raise UserError(
                N_(
                    "{path}: does not fit into memory; capture fewer steps, "
                    "or analyze it on a machine with more memory",
                    path=self.path,
                )
            ) from None


def _gigabytes(count: int) -> float:
    return round(count / 1e9, 1)


def resident_bytes() -> int:
    """What this process takes now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def available_bytes() -> int:
    """By how much this process can still grow: the least of what the machine and all limits allow."""
    import psutil

    rooms = [int(psutil.virtual_memory().available), *_group_rooms(Path("/"))]
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
