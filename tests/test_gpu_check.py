"""`gpu_check.sh` at its smallest sizes on the CPU, and what `verify` finds in what it wrote."""

from __future__ import annotations

import gzip
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("check") / "out"
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "gpu_check.sh", out, "--smoke"],
        env={**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def verify(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "gpu_check.py", "verify", out]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_captures_every_workload(checked: Path) -> None:
    modes = {}
    for path in checked.glob("*.json.gz"):
        metadata = json.loads(gzip.decompress(path.read_bytes()))["tracekit"]
        modes[path.name.removesuffix(".json.gz")] = metadata["mode"]
    assert modes == {
        "nemotron_nano_9b_v2": "forward",
        "llama_8b_prefill": "prefill",
        "llama_8b_decode": "decode",
        "llama_8b_generate": "generate",
        "llama_8b_compile": "prefill",
        "llama_8b_cuda_graph": "decode",
        "qwen3_moe": "forward",
        "llama_1b_train": "train",
        "llama_1b_redacted": "forward",
        "vit_large": "forward",
        "t5_large": "forward",
    }


def test_overhead_and_device_are_measured(checked: Path) -> None:
    (overhead,) = json.loads((checked / "overhead.json").read_text())
    assert 0 < overhead["scopes_to_profiler"] < math.inf  # how much is a matter of the machine's load
    device = json.loads((checked / "device.json").read_text())
    assert device["bf16_gemm_tflops"] > 0
    assert device["copy_gbs"] > 0


def test_verify_passes_what_is_right(checked: Path) -> None:
    done = verify(checked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(".json.gz: ") == 11
    assert "PROBLEM" not in done.stdout


def test_verify_finds_a_device_faster_than_its_table(checked: Path, tmp_path: Path) -> None:
    device = json.loads((checked / "device.json").read_text())
    device["device"]["name"] = "NVIDIA H200"
    device |= {"bf16_gemm_tflops": 1200.0, "copy_gbs": 4000.0}
    (tmp_path / "device.json").write_text(json.dumps(device))
    done = verify(tmp_path)
    assert done.returncode == 1
    assert "PROBLEM the GEMM does not fit" in done.stdout
    assert "the copy does not fit" not in done.stdout
