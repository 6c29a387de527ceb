"""`bench.py analyze`: what analysing large traces takes, step by step, beside a floor and beside others.

The floor is decompressing and decoding alone. Every program runs in a process of its own, one after another
in every round, and the best round counts: whatever else a machine does only ever adds. The trace is repeated
to each size, and is also measured compressed. Others run only once on large files, a chance too few for the
wall clock: how many times as long they take follows from processor seconds, and so does growth.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
STARTUP_GB = 0.001
SMOKE_GB = (0.002, 0.008)  # a part of a sample, and two copies of it
OTHERS_ONCE_GB = 0.5  # from this size on: it takes them a minute and gigabytes
WHOLE = "all steps"
_PARTS = ("read", "attribution", "costs", "rest of the analysis", "report.json")
# What gives a user a trace, as HTA's load does; the other steps are less than that.
_LIKE_A_LOAD = ("floor", "read", WHOLE, "all, two processes", "analyze", "json.load", "HTA's load")
_MARKED = re.compile(r"(?<=<!-- speed -->\n).*?(?=<!-- /speed -->)", re.DOTALL)


@dataclass(frozen=True)
class Measured:
    """One step on one file. Seconds are those of the best round, the peak is the highest of all rounds."""

    file: str  # "1 GB .json"
    bytes: int  # of the JSON
    events: int
    step: str
    seconds: float
    slowest_seconds: float
    cpu_seconds: float
    gb_per_second: float
    peak_mib: float
    to_floor: float
    cpu_to_floor: float  # the same of processor seconds, which a busy machine changes less
    hta_to_it: float | None  # how many times as many processor seconds HTA's load takes


@dataclass(frozen=True)
class Started:
    """Wall time of a whole command, the best of the rounds, and its peak memory."""

    command: str
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Benchmark:
    about: str
    machine: str
    steps: list[Measured] = field(default_factory=list)
    growth: dict[str, dict[str, float]] = field(default_factory=dict)  # exponents, by kind of file and step
    startup: list[Started] = field(default_factory=list)


@dataclass(frozen=True)
class File:
    path: Path
    kind: str  # ".json" or ".json.gz"
    size: str  # "1 GB"
    made: Mapping[str, Any]  # a LargeTrace
    smallest: bool


def bench_analyze(
    trace: Path,
    sizes: Sequence[float],
    rounds: int,
    *,
    share: float = 0.0,
    folder: Path | None = None,
    hta_python: str | None = None,
    against: str | None = None,
) -> Benchmark:
    """Measure and print. `share`: of names and shapes, that every copy has of its own."""
    if hta_python is None and importlib.util.find_spec("hta"):
        hta_python = sys.executable
    with _kept(folder) as place, _worktree(against) as older:
        files, small = _make(trace, place, sizes, share)
        runs: dict[Path, dict[str, list[dict[str, Any]]]] = {one.path: defaultdict(list) for one in files}
        for number in range(rounds):
            for file in files:
                for name, steps in _round(file, number, hta_python, older, against):
                    runs[file.path][name].append(steps)
                _check_events(file, runs[file.path])
        own = files[0].made["own_share"]
        result = Benchmark(
            f"{trace.name} repeated, best of {rounds} round{'s' if rounds > 1 else ''}"
            + (f"; {own:.1%} of the events of every copy have a name or shapes of their own" if own else ""),
            _machine(),
        )
        for file in files:
            result.steps.extend(_measured(file, runs[file.path]))
        result.growth.update(_growth(result.steps))
        result.startup.extend(_startup(small, rounds))
    _print(result)
    for one in result.steps:
        if one.step == "read" and one.cpu_to_floor < 1:
            print(f"WARNING {one.file}: reading takes less than the floor, which is therefore none")
    return result


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
    else:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)


@contextmanager
def _worktree(revision: str | None) -> Iterator[Path | None]:
    """The repository as it was at `revision`."""
    if revision is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        git, older = ["git", "-C", str(ROOT), "worktree"], Path(folder, "older")
        subprocess.run([*git, "add", "-q", "--detach", older, revision], check=True)
        try:
            yield older
        finally:
            subprocess.run([*git, "remove", "--force", older], check=True)


def _make(trace: Path, folder: Path, sizes: Sequence[float], share: float) -> tuple[list[File], Path]:
    """The files to measure, and a small one; made by another process.

    Linux counts what a process had in memory when it started another into the peak of that other.
    """
    wanted = ",".join(f"{size:g}" for size in (STARTUP_GB, *sizes))
    command = [sys.executable, SCRIPTS / "bench_traces.py", trace.resolve(), folder, "--sizes", wanted]
    made = json.loads(_output([*map(str, command), *(["--diverse", str(share)] if share else [])], ROOT))
    files = [
        File(Path(one[key]), kind, f"{size:g} GB", one, size == min(sizes))
        for size, one in zip(sizes, made[1:], strict=True)
        for key, kind in (("plain", ".json"), ("compressed", ".json.gz"))
    ]
    return files, Path(made[0]["plain"])


def _output(command: Sequence[str], root: Path) -> str:
    """What a command says that has the packages of `root` before all others."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(root),
        cwd=tempfile.gettempdir(),
    )
    if done.returncode:
        sys.exit(f"bench.py: {' '.join(command)} failed:\n{done.stderr}")
    return done.stdout.splitlines()[-1]


def _environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(root)}


def _round(
    file: File, number: int, hta_python: str | None, older: Path | None, against: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The steps that each program measures on the file, by name."""

    def run(program: str, python: str = sys.executable, root: Path = ROOT) -> list[dict[str, Any]]:
        command = [python, str(SCRIPTS / "bench_programs.py"), program, str(file.path)]
        steps: list[dict[str, Any]] = json.loads(_output(command, root))
        return steps

    for program in ("floor", "stages", "two_processes"):
        steps = run(program)
        yield from ((step["step"], step) for step in steps)
        if program == "stages":
            yield WHOLE, _sum(steps)
    if older:
        yield "analyze", run("analysis")[0]
        yield f"analyze, {against}", run("analysis", root=older)[0]
    if file.kind != ".json" or (number > 0 and file.made["bytes"] >= OTHERS_ONCE_GB * 1e9):
        return
    if file.smallest:
        yield "json.load", run("json_load")[0]
    if hta_python:
        yield "HTA's load", run("hta", hta_python)[0]


def _sum(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "seconds": sum(step["seconds"] for step in steps),
        "cpu_seconds": sum(step["cpu_seconds"] for step in steps),
        "peak_mib": max(step["peak_mib"] for step in steps),
        "events": None,
    }


def _check_events(file: File, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Times of who does not read everything compare with nothing."""
    for name in ("floor", "read", "all, two processes", "json.load"):
        for step in runs.get(name, ()):
            if step["events"] != file.made["events"]:
                sys.exit(f"bench.py: {name} found {step['events']} of {file.made['events']} events")


def _measured(file: File, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Measured]:
    best, cpu = (
        {name: min(step[kind] for step in steps) for name, steps in runs.items()}
        for kind in ("seconds", "cpu_seconds")
    )
    for name, steps in runs.items():
        seconds = best[name]
        yield Measured(
            file=f"{file.size} {file.kind}",
            bytes=file.made["bytes"],
            events=file.made["events"],
            step=name,
            seconds=seconds,
            slowest_seconds=max(step["seconds"] for step in steps),
            cpu_seconds=cpu[name],
            gb_per_second=file.made["bytes"] / seconds / 1e9,
            peak_mib=max(step["peak_mib"] for step in steps),
            to_floor=seconds / best["floor"],
            cpu_to_floor=cpu[name] / cpu["floor"],
            hta_to_it=cpu["HTA's load"] / cpu[name] if "HTA's load" in cpu and name in _LIKE_A_LOAD else None,
        )


def _growth(steps: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """For every step the exponent of the growth of its processor seconds: 1 is linear, 2 quadratic."""
    points: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for one in steps:
        points[_kind(one)][one.step].append((math.log(one.bytes), math.log(one.cpu_seconds)))
    return {
        kind: {step: slope(found) for step, found in by_step.items() if len(found) > 1}
        for kind, by_step in points.items()
    }


def _exponent(value: float) -> str:
    """Without the sign of what is rounded to nothing."""
    return f"{round(value, 2) + 0.0:.2f}"


def _kind(one: Measured) -> str:
    return one.file.rpartition(" ")[2]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """That of the line through the points that has the least squares."""
    x_mean, y_mean = (sum(point[i] for point in points) / len(points) for i in (0, 1))
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / sum((x - x_mean) ** 2 for x, _ in points)


def _startup(small: Path, rounds: int) -> list[Started]:
    """Whole commands, with the start of the interpreter and all imports."""
    megabytes = f"{small.stat().st_size / 1e6:.0f} MB"
    report = str(small.with_suffix(".report"))
    commands = {
        "python -c pass": ["-c", "pass"],
        "tracekit --help": ["-m", "tracekit", "--help"],
        f"tracekit analyze, {megabytes}, --format json": [
            *("-m", "tracekit", "analyze", str(small), "--format", "json", "-q", "-o", report)
        ],
    }
    runs = [{name: _timed(arguments) for name, arguments in commands.items()} for _ in range(rounds)]
    return [
        Started(name, *(pick(run[name][i] for run in runs) for i, pick in ((0, min), (1, max))))
        for name in commands
    ]


def _timed(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak MiB of a run of Python."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        env=_environment(ROOT),
        cwd=tempfile.gettempdir(),
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench.py: python {' '.join(arguments)} failed")
    return seconds, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    name = model[1] if model else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {name}, Python {platform.python_version()}"


def _print(result: Benchmark) -> None:
    print(result.about)
    print(result.machine)
    for file in dict.fromkeys(one.file for one in result.steps):
        steps = [one for one in result.steps if one.file == file]
        growth = result.growth[_kind(steps[0])]
        print(f"\n{file}: {steps[0].bytes / 1e6:.1f} MB of JSON, {steps[0].events} events")
        print(
            f"{'step':24}{'s':>9}{'slowest':>9}{'CPU s':>9}{'GB/s':>8}{'peak MiB':>10}{'÷ floor':>9}"
            f"{'(CPU)':>9}{'HTA ÷ it':>10}{'growth':>8}"
        )
        for one in steps:
            hta = f"{one.hta_to_it:.2f}" if one.hta_to_it else "—"
            exponent = _exponent(growth[one.step]) if one.step in growth else "—"
            print(
                f"{one.step:24}{one.seconds:9.3f}{one.slowest_seconds:9.3f}{one.cpu_seconds:9.3f}"
                f"{one.gb_per_second:8.3f}{one.peak_mib:10.0f}{one.to_floor:9.3f}{one.cpu_to_floor:9.3f}"
                f"{hta:>10}{exponent:>8}"
            )
    print(f"\n{'command':48}{'s':>9}{'peak MiB':>10}")
    for start in result.startup:
        print(f"{start.command:48}{start.seconds:9.3f}{start.peak_mib:10.0f}")


def write_markdown(result: Benchmark, path: Path) -> None:
    """Writes the tables, where the file has `<!-- speed -->` and `<!-- /speed -->` only between these."""
    text = render_markdown(result)
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    new = _MARKED.sub(lambda _: text, old) if _MARKED.search(old) else text
    path.write_text(new, encoding="utf-8")


def render_markdown(result: Benchmark) -> str:
    """Seconds at each size, and all else at the largest one."""
    by_file = {(one.file, one.step): one for one in result.steps}
    plain = list(dict.fromkeys(one.file for one in result.steps if _kind(one) == ".json"))
    largest, events = plain[-1], by_file[plain[-1], "floor"].events
    compressed = f"{largest}.gz"
    sizes = [file.removesuffix(" .json") for file in plain]
    head = ["step", *(f"{size}, s" for size in sizes), f"{sizes[-1]} gzipped, s"]
    head += ["GB/s", "peak MiB", "÷ floor", "HTA's load ÷ it", "growth"]
    rows = [head, ["---", *["--:"] * (len(head) - 1)]]
    for step in dict.fromkeys(one.step for one in result.steps):
        found = [by_file.get((file, step)) for file in (*plain, compressed)]
        last = by_file.get((largest, step))
        exponent = result.growth[".json"].get(step)
        rows.append(
            [
                step,
                *(_digits(one.seconds) if one else "" for one in found),
                *(
                    (f"{last.gb_per_second:.2f}", f"{last.peak_mib:.0f}", f"{last.to_floor:.2f}")
                    if last
                    else [""] * 3
                ),
                f"{last.hta_to_it:.1f}" if last and last.hta_to_it else "",
                _exponent(exponent) if exponent is not None else "",
            ]
        )
    starts = [["command", "s", "peak MiB"], ["---", "--:", "--:"]]
    starts += [[f"`{one.command}`", f"{one.seconds:.2f}", f"{one.peak_mib:.0f}"] for one in result.startup]
    tables = ["\n".join(f"| {' | '.join(row)} |" for row in table) for table in (rows, starts)]
    about = f"{result.about}; {events:,} events in {sizes[-1]}; {result.machine}."
    return f"{about}\n\n{tables[0]}\n\n{tables[1]}\n"


def _digits(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds >= 1 else f"{seconds:.3f}"
