"""`python -m tests.fuzz [reader|events] [--seconds N]`: runs one of the fuzzers and says what it found."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.oracles import memory_folder
from tests.fuzz.seeds import dictionary, seeds

ROOT = Path(__file__).resolve().parents[2]
MOST_MEGABYTES = 1024
MOST_RUNS = 4000  # of one process: the fuzzer itself keeps up to 100 KB for each input
MOST_SECONDS_FOR_AN_INPUT = 60  # of the clock; a quiet machine needs less than one
DRIVER = (sys.executable, "-m", "tests.fuzz.driver")
STATUS_EVERY_SECONDS = 60
LONGEST = {"reader": 8192, "events": 8192}
RANDOM_SEEDS = 50
_COVERAGE = re.compile(r"\bcov: (\d+) ft: (\d+) corp: (\d+)")


@dataclass
class Run:
    """One run of a fuzzer, of as many processes one after the other as it ends."""

    name: str
    folder: Path
    seed: int
    coverage: tuple[int, int, int] = (0, 0, 0)  # edges, features, inputs that reach some of their own
    last_lines: list[str] = field(default_factory=list)
    failed: bool = False

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        for part in ("corpus", "found"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "counts.json").unlink(missing_ok=True)

    def prepare(self) -> None:
        """Writes what the fuzzer starts from."""
        if self.name == "events":
            dice = random.Random(self.seed)
            for number in range(RANDOM_SEEDS):
                (self.folder / "corpus" / f"seed-{number:03}").write_bytes(
                    dice.randbytes(LONGEST["events"] // 2)
                )
            return
        (self.folder / "dictionary").write_text(dictionary())
        for number, seed in enumerate(seeds()):
            (self.folder / "corpus" / f"seed-{number:03}").write_bytes(seed)

    def run(self, seconds: int | None, runs: int | None) -> None:
        """For so long, or so many inputs; one process follows another while there is time left."""
        for number in range(1000):
            left = None if seconds is None else seconds - self.seconds
            if left is not None and left < 1:
                return
            ended_well = self._run_process(number, left, MOST_RUNS if runs is None else runs)
            if ended_well and runs is None:
                continue
            if ended_well:
                return
            if runs is not None or (number == 0 and not self.counts()):
                self.failed = not self.counts()
                return

    def _run_process(self, number: int, seconds: float | None, runs: int) -> bool:
        """Whether it came to its end as it should."""
        options = [
            f"-seed={self.seed + number}",
            f"-max_len={LONGEST[self.name]}",
            f"-rss_limit_mb={MOST_MEGABYTES}",
            f"-timeout={MOST_SECONDS_FOR_AN_INPUT}",
            f"-artifact_prefix={self.folder / 'found'}{os.sep}",
            "-reload=0",
            "-len_control=0",
            f"-runs={runs}",
        ]
        if seconds is not None:
            options.append(f"-max_total_time={max(1, round(seconds))}")
        if (dictionary := self.folder / "dictionary").exists():
            options.append(f"-dict={dictionary}")
        with memory_folder() as memory:
            places = [str(self.folder), str(memory)]
            process = subprocess.Popen(
                [*DRIVER, self.name, *places, *options, str(self.folder / "corpus")],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": "0"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
            assert process.stderr
            try:
                self._follow(process.stderr)
                return process.wait() == 0
            finally:
                process.kill()

    def _follow(self, lines: Iterable[str]) -> None:
        said = time.monotonic()
        for line in lines:
            if match := _COVERAGE.search(line):
                self.coverage = (int(match[1]), int(match[2]), int(match[3]))
            self.last_lines = [*self.last_lines[-30:], line]
            if time.monotonic() - said > STATUS_EVERY_SECONDS:
                said = time.monotonic()
                print(self.status(), flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def counts(self) -> dict[str, int]:
        """How many inputs were refused, read whole, read in part, or showed that something is wrong."""
        file = self.folder / "counts.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def found(self) -> list[Path]:
        """The inputs that showed something wrong, each the smallest of its kind."""
        return sorted(path for path in (self.folder / "found").iterdir() if path.suffix != ".txt")

    def status(self) -> str:
        executions = sum(self.counts().values())
        edges, features, inputs = self.coverage
        return (
            f"{self.name}: {executions} executions in {self.seconds:.0f} s, "
            f"{executions / max(self.seconds, 1e-9):.0f} a second; "
            f"coverage: {edges} edges, {features} features, {inputs} inputs in the corpus; "
            f"crashes: {len(self.found())}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing was found, 1 if something was, 2 where the fuzzer cannot run."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Fuzzes the reader or the whole analysis.")
    parser.add_argument("name", nargs="?", choices=("reader", "events"), default="reader")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: %(default)s)")
    parser.add_argument("--runs", type=int, help="how many inputs, instead of how long")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, help="for the corpus, which a later run goes on with, and crashes"
    )
    chosen = parser.parse_args(arguments)
    if find_spec("atheris") is None:
        print("fuzz: atheris is not installed; there is none for this Python or system", file=sys.stderr)
        return 2
    folder = (chosen.folder or Path(tempfile.gettempdir()) / f"tracekit-fuzz-{chosen.name}").resolve()
    run = Run(chosen.name, folder, chosen.seed)
    run.prepare()
    print(f"corpus and crashes: {folder}", flush=True)
    run.run(None if chosen.runs is not None else chosen.seconds, chosen.runs)
    print(run.status())
    print("inputs: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(run.counts().items())))
    if run.failed:
        print("".join(run.last_lines), file=sys.stderr)
        return 2
    for path in run.found():
        print(f"crash: {path}")
    return 1 if run.found() else 0


if __name__ == "__main__":
    sys.exit(main())
