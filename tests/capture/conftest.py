"""The tiny configurations as files, and one capture of each that many tests read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tracekit.capture.cli import main

from .traces import LLAMA, NEMOTRON_H, Trace, read_trace


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `llama.json` and `nemotron_h.json`."""
    folder = tmp_path_factory.mktemp("configs")
    for name, config in (("llama", LLAMA), ("nemotron_h", NEMOTRON_H)):
        (folder / f"{name}.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def captured(configs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    """Both configurations, each captured in 3 passes of 2 × 11 tokens after 2 passes of warm-up."""
    folder = tmp_path_factory.mktemp("traces")
    traces = {}
    for name in ("llama", "nemotron_h"):
        path = folder / f"{name}.json.gz"
        arguments = ["--config", str(configs / f"{name}.json"), "--device", "cpu", "-o", str(path)]
        sizes = ["--batch-size", "2", "--seq-len", "11", "--warmup", "2", "--passes", "3"]
        assert main(arguments + sizes) == 0
        traces[name] = read_trace(path)
    return traces
