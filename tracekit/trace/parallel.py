"""Decodes a large trace on several processes: each unpacks all of it and decodes every so-manieth chunk.

Where to cut does not depend on what decoding says, so all of them cut alike. It is the strict way: where any
chunk does not decode, nothing comes of it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracekit.trace import cut, source
from tracekit.trace.build import ColumnsBuilder, interleaved
from tracekit.trace.cut import Chunk, Cutter
from tracekit.trace.source import open_source
from tracekit.trace.strict import decode_chunk

MOST_PROCESSES = 4
WORTH_BYTES = 48 << 20
WORTH_COMPRESSED_BYTES = 3 << 20

_PLAIN = (b"{", b"[", b"\xef", b" ", b"\n")
_WORK = "import sys; sys.path[:0] = [sys.argv[1]]; from tracekit.trace.parallel import work; work()"


def worthwhile_processes(path: Path, size_bytes: int) -> int:
    """How many processes to decode the file on: one, where starting another takes longer than it saves."""
    if size_bytes < WORTH_COMPRESSED_BYTES or not path.is_file():
        return 1
    with path.open("rb") as file:
        is_plain = file.read(1) in _PLAIN
    if is_plain and size_bytes < WORTH_BYTES:
        return 1
    return min(usable_cores(), MOST_PROCESSES)


def usable_cores() -> int:
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # of Linux alone
        return os.cpu_count() or 1


class Share:
    """The chunks that one of `count` processes decodes: every `count`-th one, from `number` on."""

    def __init__(self, number: int, count: int) -> None:
        self.builder = ColumnsBuilder()
        self.chunks = 0  # of all processes
        self._number, self._count = number, count

    def take(self, chunk: Chunk) -> bool:
        """Decodes the next chunk if it is of this share; whether it could."""
        is_ours = self.chunks % self._count == self._number
        self.chunks += 1
        return not is_ours or decode_chunk(chunk.text, chunk.begin, self.builder)


class Helpers:
    """The other processes; each decodes its share of the file at `path`."""

    def __init__(self, path: Path, count: int) -> None:
        root = str(Path(__file__).resolve().parents[2])
        sizes = [str(cut.CHUNK_BYTES), str(source.PIECE_BYTES)]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-c", _WORK, root, str(path), str(number), str(count), *sizes],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for number in range(1, count)
        ]

    @property
    def ids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def have_failed(self) -> bool:
        return any(process.poll() for process in self._processes)

    def merged(self, share: Share) -> ColumnsBuilder | None:
        """What all of them and this one decoded, as if it had been one; None if any could not."""
        states = [share.builder.state()]
        for process in self._processes:
            data = process.communicate()[0]
            if process.returncode:
                return None
            # From a process that this one started, never from a trace.
            chunks, state = pickle.loads(data)
            if chunks != share.chunks:
                return None  # the file is being written
            states.append(state)
        return interleaved(states)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


@contextmanager
def helpers(path: Path, count: int) -> Iterator[Helpers | None]:
    """Starts the other processes; None where that is not possible."""
    try:
        started = Helpers(path, count)
    except (OSError, ValueError):  # no interpreter, no more processes
        yield None
        return
    try:
        yield started
    finally:
        started.stop()


def work() -> None:
    """What a helper does; its state goes to standard output. It ends with 1 where a chunk does not decode."""
    path, number, count, chunk_bytes, piece_bytes = sys.argv[2:]
    cut.CHUNK_BYTES, source.PIECE_BYTES = int(chunk_bytes), int(piece_bytes)
    share, cutter = Share(int(number), int(count)), Cutter()
    for piece in open_source(path).pieces():
        chunk = cutter.feed(piece)
        if chunk is not None and chunk.has_more and not share.take(chunk):
            sys.exit(1)
    pickle.dump((share.chunks, share.builder.state()), sys.stdout.buffer, protocol=5)
    sys.stdout.buffer.flush()
    os._exit(0)  # nothing is left to tidy up
