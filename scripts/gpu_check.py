#!/usr/bin/env python3
"""The checks behind `gpu_check.sh`: `run` where the GPU is, `verify` where tracekit is installed.

`verify` analyses every trace that `run` wrote and holds it against what was measured another way: the
split of the GPU time must add up, matrix FLOPs per module must equal `torch.utils.flop_counter`'s where it
knows the operator, a pass's GPU time must not exceed its wall time, and a large GEMM and a large copy must
stay below the device table's peak and bandwidth.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "sample_traces" / "configs"
sys.path.insert(0, str(ROOT))

# name, configuration, arguments on a GPU, arguments of the smoke test (which shortens every model)
CAPTURES: tuple[tuple[str, str, str, str], ...] = (
    ("nemotron_nano_9b_v2", "nemotron_nano_9b_v2", "--seq-len 61 --passes 2", "--seq-len 61"),
    ("llama_8b_prefill", "llama_3_1_8b", "--mode prefill --seq-len 2048 --passes 3", "--mode prefill"),
    ("llama_8b_decode", "llama_3_1_8b", "--mode decode --cache-len 2048 --passes 5", "--mode decode"),
    ("llama_8b_generate", "llama_3_1_8b", "--mode generate --seq-len 512 --passes 1", "--mode generate"),
    (
        "llama_8b_compile",
        "llama_3_1_8b",
        "--mode prefill --seq-len 2048 --num-layers 8 --compile --passes 3",
        "--mode prefill",
    ),
    (
        "llama_8b_cuda_graph",
        "llama_3_1_8b",
        "--mode decode --cache-len 2048 --cuda-graph --passes 5",
        "--mode decode",
    ),
    ("qwen3_moe", "qwen3_30b_a3b", "--seq-len 1024 --num-layers 8 --passes 2 --memory", "--memory"),
    (
        "llama_1b_train",
        "llama_3_2_1b",
        "--mode train --seq-len 1024 --batch-size 2 --passes 2",
        "--mode train",
    ),
    ("vit_large", "vit_large", "--batch-size 32 --passes 3", "--batch-size 2"),
    ("t5_large", "t5_large", "--seq-len 512 --batch-size 4 --passes 2", ""),
    ("llama_1b_redacted", "llama_3_2_1b", "--seq-len 512 --passes 2 --redact", "--redact"),
)
# What the smoke test replaces in a configuration, so that every model is a toy of the same architecture.
_TOY = {
    "hidden_size": 32,
    "d_model": 32,
    "intermediate_size": 48,
    "d_ff": 48,
    "d_kv": 8,
    "moe_intermediate_size": 16,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "vocab_size": 100,
    "num_attention_heads": 4,
    "num_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "image_size": 32,
    "mamba_num_heads": 4,
    "mamba_head_dim": 8,
    "n_groups": 2,
    "ssm_state_size": 16,
    "chunk_size": 8,
    "num_hidden_layers": 2,
    "num_layers": 2,
    "hybrid_override_pattern": "M-*M",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run_command = commands.add_parser("run", help="capture and measure")
    run_command.add_argument("out", type=Path)
    run_command.add_argument("--smoke", action="store_true", help="toy sizes, also on a CPU")
    run_command.add_argument("--only", help="captures whose name contains this")
    verify_command = commands.add_parser("verify", help="analyse what `run` wrote")
    verify_command.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.command == "run":
        return run(options.out, smoke=options.smoke, only=options.only or "")
    return verify(options.out)


def run(out: Path, *, smoke: bool, only: str) -> int:
    """Captures, overhead and device; one that fails does not keep the others from running."""
    out.mkdir(parents=True, exist_ok=True)
    failures = 0
    for name, config, arguments, smoke_arguments in CAPTURES:
        if only not in name:
            continue
        path = CONFIGS / f"{config}.json"
        chosen = [*arguments.split(), "--warmup", "2", "--dtype", "bf16"]
        if smoke:
            path = _toy(path, out)
            chosen = ["--seq-len", "8", "--warmup", "1", "--passes", "1", *smoke_arguments.split()]
        chosen += ["--config", str(path), "--name", name, "-o", str(out / f"{name}.json.gz")]
        start = time.monotonic()
        failed = _capture(chosen, in_process=smoke)
        print(f"{name}: {'failed' if failed else 'ok'}, {time.monotonic() - start:.0f} s", flush=True)
        failures += failed
    if only in "overhead":
        failures += _overhead(out / "overhead.json", smoke)
    if only in "device":
        (out / "device.json").write_text(json.dumps(_device(smoke), indent=1), encoding="utf-8")
    return 1 if failures else 0


def _capture(arguments: list[str], *, in_process: bool) -> bool:
    """Run one capture; whether it failed. In a process of its own, so that each finds an empty GPU."""
    if in_process:
        from tracekit.capture.cli import main as capture

        return capture(arguments) != 0
    command = [sys.executable, str(ROOT / "scripts" / "capture.py"), *arguments]
    try:
        return subprocess.run(command, timeout=150, check=False).returncode != 0
    except subprocess.TimeoutExpired:
        print("took more than 150 s", flush=True)
        return True


def _toy(path: Path, out: Path) -> Path:
    """The configuration with the sizes of a toy."""
    config = json.loads(path.read_text(encoding="utf-8"))
    toy = {key: _TOY.get(key, value) for key, value in config.items()}
    for per_layer in ("layers_block_type", "layer_types"):
        toy.pop(per_layer, None)
    toy_path = out / f"toy_{path.name}"
    toy_path.write_text(json.dumps(toy), encoding="utf-8")
    return toy_path


def _overhead(path: Path, smoke: bool) -> bool:
    """`bench.py capture` into `path`, in a process of its own; whether it failed."""
    command = [sys.executable, str(ROOT / "scripts" / "bench.py"), "capture", "--json", str(path)]
    if smoke:
        command += ["--smoke", "--rounds", "2", "--passes", "1"]
    return subprocess.run(command, check=False).returncode != 0


def _device(smoke: bool) -> dict[str, Any]:
    """A large product of matrices and a large copy on the GPU: TFLOP/s and GB/s, best of several."""
    import torch

    from tracekit.capture.build import resolve_device
    from tracekit.capture.metadata import device_description
    from tracekit.capture.passes import Clock
    from tracekit.capture.telemetry import gpu_states

    device = resolve_device(None)
    size = 256 if smoke else 8192
    copied_bytes = (1 << 20) if smoke else (4 << 30)

    def best_us(work: Callable[[], object]) -> float:
        times = []
        for _ in range(12):
            clock = Clock(device)
            clock.mark()
            work()
            clock.mark()
            times += clock.laps_us()
        return min(times[2:])

    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    b = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    source = torch.ones(copied_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return {
        "device": device_description(device),
        "telemetry": gpu_states(device),
        "bf16_gemm_tflops": 2 * size**3 / best_us(lambda: a @ b) / 1e6,
        "copy_gbs": 2 * copied_bytes / best_us(lambda: target.copy_(source)) / 1e3,
    }


def verify(out: Path) -> int:
    """Print one line per trace and per figure; 1 if any check fails."""
    from tracekit.analysis import analyze
    from tracekit.hardware import lookup

    problems: list[str] = []
    for path in sorted(out.glob("*.json.gz")):
        metadata = json.loads(gzip.decompress(path.read_bytes()))["tracekit"]
        report = analyze(path)
        shares = report.accounting
        parts = (
            shares.modules_forward,
            shares.modules_backward,
            shares.outside_modules,
            shares.launched_before_trace,
        )
        found = []
        if sum(part.events for part in parts) != shares.gpu_events:
            found.append("accounting does not add up")
        if shares.launched_before_trace.events:
            found.append(f"{shares.launched_before_trace.events} GPU events from before the trace")
        if any(one.gpu_busy_us > one.wall_us * 1.001 for one in report.passes):
            found.append("GPU busy for longer than the pass")
        unequal = _unequal_flops(metadata, {row.path: row.matrix_flops for row in report.modules})
        latency = report.time.latency_us
        gpu_us = report.time.gpu_time_per_pass_us
        print(
            f"{path.name}: {path.stat().st_size / 2**20:.2f} MiB, {report.time.passes} passes, "
            f"{shares.gpu_events} GPU events, latency {_ms(latency)}, GPU time {_ms(gpu_us)}, "
            f"wall {_ms(report.time.pass_wall_us)}, modules whose FLOPs differ from the counter's: {unequal}"
        )
        problems += [f"{path.name}: {problem}" for problem in found]
    device_file = out / "device.json"
    if device_file.exists():
        measured = json.loads(device_file.read_text())
        spec = lookup(measured["device"]["name"])
        print(json.dumps(measured, indent=1))
        if spec is not None:
            peak, bandwidth = spec.peaks["bf16"], spec.bandwidth_gbs
            tflops, gbs = measured["bf16_gemm_tflops"], measured["copy_gbs"]
            print(f"GEMM {tflops:.0f} of {peak:.0f} TFLOP/s, copy {gbs:.0f} of {bandwidth:.0f} GB/s")
            if not 0.3 < tflops / peak <= 1:
                problems.append("the GEMM does not fit the device table's peak")
            if bandwidth and not 0.3 < gbs / bandwidth <= 1:
                problems.append("the copy does not fit the device table's bandwidth")
    if (out / "overhead.json").exists():
        print((out / "overhead.json").read_text())
    for problem in problems:
        print(f"PROBLEM {problem}")
    return 1 if problems else 0


def _unequal_flops(metadata: dict[str, Any], ours: dict[str, int | None]) -> int:
    """How many modules have other matrix FLOPs than the counter gave them, over all passes."""
    counted: dict[str, int] = {}
    for phase in metadata["phases"]:
        for index, flops in (phase["module_flops"] or {}).items():
            path = metadata["modules"][int(index)]["path"]
            counted[path] = counted.get(path, 0) + flops * phase["passes"]
    return sum(path in ours and ours[path] != flops for path, flops in counted.items())


def _ms(us: float | None) -> str:
    return "unknown" if us is None else f"{us / 1e3:.3f} ms"


if __name__ == "__main__":
    sys.exit(main())
