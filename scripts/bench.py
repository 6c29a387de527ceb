#!/usr/bin/env python3
"""What tracekit costs, as ratios that are measured side by side in one run.

    scripts/bench.py capture        a pass without profiler, under the plain profiler, and with scopes

Runs where capture runs: with torch and transformers, on a GPU if there is one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
    parser.add_argument("what", choices=["capture"])
    parser.add_argument("--device", help="cpu or cuda (default: the GPU if there is one)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs of the profiler (5)")
    parser.add_argument("--passes", type=int, default=20, metavar="N", help="pairs of passes in each (20)")
    parser.add_argument("--smoke", action="store_true", help="the smallest sizes, to see that it runs")
    parser.add_argument("--json", metavar="FILE", help="the figures, also as JSON")
    options = parser.parse_args()
    results = bench_capture(options.device, options.rounds, options.passes, options.smoke)
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


if __name__ == "__main__":
    main()
