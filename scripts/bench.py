#!/usr/bin/env python3
"""What tracekit costs, as ratios that are measured side by side in one run.

    scripts/bench.py capture        a pass without profiler, under the plain profiler, and with scopes
    scripts/bench.py analyze        a large trace analysed, against decoding its JSON, and an older revision
    scripts/bench.py formats        a trace analysed and written, in each format and in all
    scripts/bench.py page           the page of 20,000 modules built and opened, against an empty page

`capture` runs where capture runs: with torch and transformers, on a GPU if there is one. `analyze` repeats
`--trace` in time until it has `--megabytes`. `analyze` and `formats` alternate the programs they compare,
each in a process of its own. `page` runs where the tests run, with their browser.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench_page import Timing, bench_page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


@dataclass(frozen=True)
class Case:
    """A Llama-shaped model of `layers` layers, and what one pass of it is fed."""

    name: str
    layers: int
    hidden: int
    ffn: int
    heads: int
    batch: int
    tokens: int


CASES = {
    "cpu": (
        Case("24 layers, compute-bound", 24, 512, 1408, 8, 1, 64),
        Case("24 layers, tiny: little but calls", 24, 64, 128, 4, 1, 8),
    ),
    "cuda": (
        Case("24 layers, GPU-bound", 24, 2048, 8192, 16, 4, 2048),
        Case("24 layers, launch-bound", 24, 896, 4864, 14, 1, 16),
    ),
}


@dataclass(frozen=True)
class Result:
    """Median times of a pass in ms; of neighbours with and without scopes, the ratio and its quartiles."""

    case: str
    modules: int
    plain_ms: float
    profiler_ms: float
    scopes_ms: float
    scopes_to_profiler: float
    quartiles: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["capture", "analyze", "formats", "page"])
    parser.add_argument("--device", help="cpu or cuda (default: the GPU if there is one)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs of the profiler (5)")
    parser.add_argument("--passes", type=int, default=20, metavar="N", help="pairs of passes in each (20)")
    parser.add_argument("--trace", metavar="FILE", help="the trace (a sample); analyze repeats it")
    parser.add_argument("--megabytes", type=float, default=50.0, help="analyze: size of its JSON (50)")
    parser.add_argument("--against", metavar="REVISION", help="analyze: also this revision of the repository")
    parser.add_argument("--smoke", action="store_true", help="the smallest sizes, to see that it runs")
    parser.add_argument("--json", metavar="FILE", help="the figures, also as JSON")
    options = parser.parse_args()
    results: list[Result] | list[Analysis] | list[Timing]
    if options.what == "capture":
        results = bench_capture(options.device, options.rounds, options.passes, options.smoke)
    elif options.what == "formats":
        results = bench_formats(Path(options.trace or SAMPLE), options.rounds)
    elif options.what == "page":
        results = bench_page(options.rounds, options.smoke)
    else:
        size = 0.0 if options.smoke else options.megabytes
        results = bench_analyze(Path(options.trace or SAMPLE), size, options.rounds, options.against)
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(result) for result in results], indent=1))


def bench_capture(device_name: str | None, rounds: int, passes: int, smoke: bool) -> list[Result]:
    """Measure and print every case for the device."""
    from tracekit.capture.build import resolve_device
    from tracekit.capture.metadata import device_description

    device = resolve_device(device_name)
    cases = CASES[device.type]
    if smoke:
        cases = (Case("smoke", 2, 32, 48, 4, 1, 4),)
    print(f"{device_description(device)['name']}, {rounds} × {passes} pairs of passes, median ms of a pass")
    print(f"{'case':36}{'modules':>8}{'plain':>10}{'profiler':>10}{'scopes':>10}{'scopes ÷ profiler':>28}")
    results = []
    for case in cases:
        result = measure(case, device, rounds, passes)
        low, high = result.quartiles
        ratio = f"{result.scopes_to_profiler:.3f} ({low:.3f} … {high:.3f})"
        print(
            f"{result.case:36}{result.modules:8}{result.plain_ms:10.3f}{result.profiler_ms:10.3f}"
            f"{result.scopes_ms:10.3f}{ratio:>28}",
            flush=True,
        )
        results.append(result)
    return results


def measure(case: Case, device: Any, rounds: int, passes: int) -> Result:
    """Pairs of neighbouring passes with and without scopes, so that drift falls on both alike."""
    from tracekit.capture.passes import Recorder, steady, synchronize
    from tracekit.capture.scopes import module_scopes

    work = build(case, device)

    def timed(with_scopes: bool) -> float:
        with module_scopes(work.model) if with_scopes else nullcontext():
            synchronize(device)
            start = time.perf_counter_ns()
            work.run()
            synchronize(device)
            return (time.perf_counter_ns() - start) / 1e6

    plain: list[float] = []
    pairs: list[tuple[float, float]] = []
    with steady(device):
        for _ in range(3):
            timed(False)
        for _ in range(rounds):
            plain += [timed(False) for _ in range(passes)]
            recorder = Recorder(device.type == "cuda")
            try:
                recorder.prepare()
                timed(True)
                recorder.start()
                for number in range(passes):
                    if number % 2:
                        with_scopes, without = timed(True), timed(False)
                    else:
                        without, with_scopes = timed(False), timed(True)
                    pairs.append((without, with_scopes))
            finally:
                recorder.stop()
    ratios = [with_scopes / without for without, with_scopes in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return Result(
        case=case.name,
        modules=sum(1 for _ in work.model.modules()),
        plain_ms=statistics.median(plain),
        profiler_ms=statistics.median(without for without, _ in pairs),
        scopes_ms=statistics.median(with_scopes for _, with_scopes in pairs),
        scopes_to_profiler=middle,
        quartiles=(low, high),
    )


def build(case: Case, device: Any) -> Any:
    """The case's workload, with random weights."""
    import torch

    from tracekit.capture.build import build_workload

    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": case.hidden,
        "intermediate_size": case.ffn,
        "num_hidden_layers": case.layers,
        "num_attention_heads": case.heads,
        "num_key_value_heads": case.heads // 2,
        "vocab_size": 1000,
        "max_position_embeddings": 4096,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.json")
        path.write_text(json.dumps(config))
        return build_workload(
            str(path),
            is_config_file=True,
            random_weights=True,
            name=case.name,
            batch_size=case.batch,
            sequence_length=case.tokens,
            dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
            device=device,
        )


@dataclass(frozen=True)
class Analysis:
    """Medians over rounds of processes that do one thing each; `ratio` is to decoding, with its quartiles."""

    program: str
    seconds: float
    peak_mib: float
    ratio: float
    quartiles: tuple[float, float]


ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample_traces" / "nemotron_h_small.json.gz"
# Wall time of the work alone, without the start of the interpreter, and peak memory of the process.
_TIMED = """
import resource, sys, time
sys.path.insert(0, {root!r})
{prepare}
started = time.perf_counter()
{work}
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def bench_analyze(trace: Path, megabytes: float, rounds: int, against: str | None) -> list[Analysis]:
    """Measure and print what analysing takes, and with `against` what it took then."""
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder, "large.json")
        events = repeat(trace, large, megabytes)
        print(
            f"{trace.name} repeated to {large.stat().st_size / 1e6:.1f} MB, {events} events, {rounds} rounds"
        )
        analyze = ("from tracekit.analysis import analyze", f"analyze({str(large)!r})")
        programs = {
            "decode JSON": script(
                ROOT, "import msgspec", f"msgspec.json.decode(open({str(large)!r}, 'rb').read())"
            ),
            "analyze": script(ROOT, *analyze),
        }
        if against:
            older = Path(folder, "older")
            subprocess.run(
                ["git", "-C", ROOT, "worktree", "add", "-q", "--detach", older, against], check=True
            )
            programs[f"analyze, {against}"] = script(older, *analyze)
        try:
            runs = [{name: run(code) for name, code in programs.items()} for _ in range(rounds)]
        finally:
            if against:
                subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", older], check=True)
    results = compared(runs, "decode JSON")
    if against:
        ratios = [one["analyze"][0] / one[f"analyze, {against}"][0] for one in runs]
        print(f"analyze ÷ analyze, {against}: {statistics.median(ratios):.3f}")
    return results


def bench_formats(trace: Path, rounds: int) -> list[Analysis]:
    """Measure and print what a report takes in each format, from the trace on, and in all of them."""
    from tracekit.report.save import FORMATS

    print(f"{trace.name}, {rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        chosen = {name: [name] for name in ("json", *(one for one in FORMATS if one != "json"))}
        chosen["all of them"] = list(FORMATS)
        programs = {
            name: script(
                ROOT,
                "import tracekit",
                f"tracekit.analyze({str(trace.resolve())!r}).save({str(Path(folder, name))!r}, {formats!r})",
            )
            for name, formats in chosen.items()
        }
        runs = [{name: run(code) for name, code in programs.items()} for _ in range(rounds)]
    return compared(runs, "json")


def compared(runs: Sequence[Mapping[str, tuple[float, float]]], to: str) -> list[Analysis]:
    """Prints and returns the medians of every program, and how many times as long as `to` it took."""
    results = []
    for name in runs[0]:
        ratios = [one[name][0] / one[to][0] for one in runs]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        seconds, peak = (statistics.median(one[name][i] for one in runs) for i in (0, 1))
        results.append(Analysis(name, seconds, peak, middle, (low, high)))
        print(f"{name:24}{seconds:9.3f} s{peak:9.0f} MiB{middle:9.3f} × {to} ({low:.3f} … {high:.3f})")
    return results


def script(root: Path, prepare: str, work: str) -> str:
    return _TIMED.format(root=str(root), prepare=prepare, work=work)


def run(code: str) -> tuple[float, float]:
    """Seconds and MiB that a process of its own says it took."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def repeat(trace: Path, target: Path, megabytes: float) -> int:
    """Writes the events of `trace` again and again, one copy after another in time; returns their number."""
    opened = gzip.open if trace.suffix == ".gz" else open
    with opened(trace, "rb") as file:
        document = json.load(file)
    events = document.pop("traceEvents")
    times = [event["ts"] for event in events if isinstance(event.get("ts"), int | float)]
    span = max(times) - min(times) + 1e6
    correlations = [event.get("args", {}).get("correlation", 0) for event in events]
    stride = max((one for one in correlations if isinstance(one, int)), default=0) + 1
    count = 0
    with target.open("w") as out:
        out.write(json.dumps(document)[:-1] + (", " if document else "") + '"traceEvents": [')
        while not count or out.tell() < megabytes * 1e6:
            copy = count // len(events)
            for event in events:
                shifted = dict(event)
                if isinstance(event.get("ts"), int | float):
                    shifted["ts"] = event["ts"] + copy * span
                if isinstance(event.get("args", {}).get("correlation"), int):
                    shifted["args"] = {
                        **event["args"],
                        "correlation": event["args"]["correlation"] + copy * stride,
                    }
                if "id" in event and event.get("ph") in ("s", "f"):
                    shifted["id"] = f"{copy}:{event['id']}"
                out.write((",\n" if count else "") + json.dumps(shifted))
                count += 1
        out.write("]}")
    return count


if __name__ == "__main__":
    main()
