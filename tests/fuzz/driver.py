"""Runs a fuzzer with atheris, in a process of its own, and keeps what it finds.

`python -m tests.fuzz.driver reader|events FOLDER MEMORY [libFuzzer's options]`. Inputs are files in
MEMORY. A finding does not end the run: its
smallest input is kept in FOLDER/found under the name of what went wrong. What ends the process (no memory, no
end, a fault in C) leaves its input there too, under libFuzzer's names.
"""

from __future__ import annotations

import atexit
import json
import sys
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
from hypothesis import HealthCheck, given, settings

INSTRUMENTED = {
    "reader": ["tracekit.trace"],
    "events": ["tracekit.trace", "tracekit.attribution", "tracekit.analysis", "tracekit.costs"],
}


Check = Callable[[bytes], str]


class FoundError(Exception):
    """What went wrong, and the document that was made of the bytes."""

    def __init__(self, error: Exception, document: bytes) -> None:
        super().__init__(str(error))
        self.error, self.document = error, document


class Recorder:
    """Runs one input after the other through `check`, and counts and keeps."""

    def __init__(self, check: Check, folder: Path) -> None:
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
        except FoundError as found:
            outcome = "found"
            self._keep(found.document, found.error)
        except Exception as error:
            outcome = "found"
            self._keep(data, error)
        self._counts[outcome] += 1
        if sum(self._counts.values()) % 100 == 0:
            self.write_counts()

    def write_counts(self) -> None:
        self._counts_file.write_text(json.dumps(self._counts))

    def _keep(self, data: bytes, error: Exception) -> None:
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
    name, folder, memory, *options = sys.argv[1:]
    with atheris.instrument_imports(include=INSTRUMENTED[name]):
        import tracekit.analysis
        import tracekit.trace  # noqa: F401
    check, setup = (_reader if name == "reader" else _events)(Path(memory))
    recorder = Recorder(check, Path(folder))
    atexit.register(recorder.write_counts)
    atheris.Setup([sys.argv[0], *options], recorder.one_input, **setup)
    atheris.Fuzz()


def _reader(memory: Path) -> tuple[Check, dict[str, Any]]:
    from tests.fuzz.mutate import crossed, mutated
    from tests.fuzz.oracles import check

    def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
        return mutated(data, most_bytes, seed) if seed % 4 else bytes(atheris.Mutate(data, most_bytes))

    return lambda data: check(data, memory), {"custom_mutator": mutate, "custom_crossover": crossed}


def _events(memory: Path) -> tuple[Check, dict[str, Any]]:
    """Hypothesis makes a document of the bytes."""
    from tests.fuzz.events import Case, cases

    outcomes = []

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(dear=True))
    def check_case(case: Case) -> None:
        try:
            outcomes.append(case.check(memory))
        except Exception as error:
            raise FoundError(error, case.document) from error

    def check(data: bytes) -> str:
        outcomes.clear()
        check_case.hypothesis.fuzz_one_input(data)
        return outcomes[0] if outcomes else "of no use"

    return check, {}


if __name__ == "__main__":
    main()
