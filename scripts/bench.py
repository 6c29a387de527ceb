#!/usr/bin/env python3
"""What tracekit costs, as ratios that are measured side by side in one run.

    scripts/bench.py capture        a pass without profiler, under the plain profiler, and with scopes
    scripts/bench.py analyze        large traces analysed, each step against decoding alone, and others
    scripts/bench.py formats        a trace analysed and written, in each format and in all
    scripts/bench.py page           the page of 20,000 modules built and opened, against an empty page
    scripts/bench.py ranks          all ranks of a job, on processes and on Dask clusters of this machine
    scripts/bench.py noise          captures of the same compared: how often chance is called a change

`capture` runs where capture runs: with torch and transformers, on a GPU if there is one. `analyze` repeats
`--trace` in time to each of `--sizes`, and also has Holistic Trace Analysis load it where that is installed.
`analyze` and `formats` alternate the programs they compare, each in a process of its own. `page` runs where
the tests run, with their browser.
"""

from __future__ import annotations

import argparse
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

from bench_analyze import SMOKE_GB, Benchmark, bench_analyze, write_markdown
from bench_noise import Noise, bench_noise
from bench_page import Timing, bench_page
from bench_ranks import Run, bench_ranks

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
    parser.add_argument("what", choices=["capture", "analyze", "formats", "page", "ranks", "noise"])
    parser.add_argument("--device", help="cpu or cuda (default: the GPU if there is one)")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="runs of what is measured (5; analyze: 3; ranks: 1)"
    )
    parser.add_argument(
        "--passes", type=int, default=20, metavar="N", help="capture: pairs of passes in each; noise (20)"
    )
    parser.add_argument("--trace", metavar="FILE", help="the trace (a sample); analyze and ranks repeat it")
    parser.add_argument("--ranks", type=int, default=256, metavar="N", help="ranks: so many (256)")
    parser.add_argument("--repetitions", type=int, default=100, metavar="N", help="noise: comparisons (100)")
    parser.add_argument("--sizes", default="0.1,0.3,1", help="analyze: of the JSON, in GB (0.1,0.3,1)")
    parser.add_argument(
        "--diverse",
        nargs="?",
        type=float,
        const=0.25,
        default=0.0,
        metavar="SHARE",
        help="analyze: of its names and shapes every copy has this share for itself (0.25)",
    )
    parser.add_argument(
        "--folder", metavar="DIR", help="analyze: keeps the large traces there for the next time"
    )
    parser.add_argument("--hta-python", metavar="FILE", help="analyze: the Python that has HTA (this one)")
    parser.add_argument("--against", metavar="REVISION", help="analyze: also this revision of the repository")
    parser.add_argument("--smoke", action="store_true", help="the smallest sizes, to see that it runs")
    parser.add_argument("--json", metavar="FILE", help="the figures, also as JSON")
    parser.add_argument("--markdown", metavar="FILE", help="analyze: the figures, also as tables in Markdown")
    options = parser.parse_args()
    results: list[Result] | list[Analysis] | list[Timing] | list[Benchmark] | list[Run] | list[Noise]
    usual = {"analyze": 1 if options.smoke else 3, "ranks": 1}
    rounds = options.rounds or usual.get(options.what, 5)
    if options.what == "capture":
        results = bench_capture(options.device, rounds, options.passes, options.smoke)
    elif options.what == "formats":
        results = bench_formats(Path(options.trace or SAMPLE), rounds)
    elif options.what == "page":
        results = bench_page(rounds, options.smoke)
    elif options.what == "ranks":
        sample = Path(options.trace or ROOT / "sample_traces" / "llama_small.json.gz")
        results = bench_ranks(sample, 4 if options.smoke else options.ranks, rounds)
    elif options.what == "noise":
        results = bench_noise(options.repetitions, options.passes)
    else:
        results = [
            bench_analyze(
                Path(options.trace or SAMPLE),
                SMOKE_GB if options.smoke else sorted(map(float, options.sizes.split(","))),
                rounds,
                share=options.diverse,
                folder=Path(options.folder) if options.folder else None,
                hta_python=options.hta_python,
                against=options.against,
            )
        ]
        if options.markdown:
            write_markdown(results[0], Path(options.markdown))
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


def bench_formats(trace: Path, rounds: int) -> list[Analysis]:
    """Measure and print what a report takes in each format, from the trace on, and in all of them."""
    from tracekit.report.saving import FORMATS

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


if __name__ == "__main__":
    main()
