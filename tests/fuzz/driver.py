"""Runs a fuzzer with atheris, in a process of its own, and keeps what it finds.

`python -m tests.fuzz.driver reader|events FOLDER [libFuzzer's options]`. A finding does not end the run: its
smallest input is kept in FOLDER/found under the name of what went wrong. What ends the process (no memory, no
end, a fault in C) leaves its input there too, under libFuzzer's names.
"""

from __future__ import annotations

import json
import sys
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

INSTRUMENTED = {
    "reader": ["tracekit.trace"],
    "events": ["tracekit.trace", "tracekit.attribution", "tracekit.analysis", "tracekit.costs"],
}


class Recorder:
    """Runs one input after the other through `check`, and counts and keeps."""

    def __init__(self, check: Callable[[bytes], str], folder: Path) -> None:
        self._check = check
        self._found = folder / "found"
        self._counts_file = folder / "counts.json"
        self._found.mkdir(parents=True, exist_ok=True)
        self._counts: Counter[str] = Counter()
        if self._counts_file.exists():  # of a process that came to its end
            self._counts.update(json.loads(self._counts_file.read_text()))

    def one_input(self, data: bytes) -> None:
        try:
            outcome = self._check(data)
        except Exception as error:
            outcome = "found"
            self._keep(data, error)
        self._counts[outcome] += 1
        if sum(self._counts.values()) % 100 == 0:
            self.write_counts()

    def write_counts(self) -> None:
        self._counts_file.write_text(json.dumps(self._counts))

    def _keep(self, data: bytes, error: Exception) -> None:
        data = getattr(error, "document", data)
        name = signature(error)
        kept = self._found / name
        if not kept.exists() or len(data) < kept.stat().st_size:
            kept.write_bytes(data)
            kept.with_name(name + ".txt").write_text("".join(traceback.format_exception(error)))


def signature(error: Exception) -> str:
    """A file name that is the same for the same mistake: what is broken, or where it was raised."""
    kind = getattr(error, "kind", None)
    if kind is None:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/tracekit/" in frame.filename] or frames
        kind = f"{type(error).__name__} {Path(ours[-1].filename).name} {ours[-1].name}"
    words = "".join(letter if letter.isalnum() else "-" for letter in kind)[:80]
    return f"{words}-{zlib.crc32(kind.encode()):08x}"


def main() -> None:
    name, folder, *options = sys.argv[1:]
    with atheris.instrument_imports(include=INSTRUMENTED[name]):
        import tracekit.analysis
        import tracekit.trace  # noqa: F401
    setup: dict[str, Any] = {}
    if name == "reader":
        from tests.fuzz.mutate import crossed, mutated
        from tests.fuzz.oracles import check, memory_folder

        def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
            return mutated(data, most_bytes, seed) if seed % 4 else atheris.Mutate(data, most_bytes)

        setup = {"custom_mutator": mutate, "custom_crossover": crossed}
    else:
        from tests.fuzz.events import check, memory_folder
    with memory_folder() as memory:
        recorder = Recorder(lambda data: check(data, memory), Path(folder))
        atheris.Setup([sys.argv[0], *options], recorder.one_input, **setup)
        import atexit

        atexit.register(recorder.write_counts)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
