"""Every mode on every kind of model: captured, analysed, and held against torch's own hooks and counters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from tracekit.analysis import analyze
from tracekit.capture.build import Workload, build_workload
from tracekit.capture.cli import main
from tracekit.capture.factory import workload_from_factory
from tracekit.capture.modes import Scenario, scenario

from .tiny import MODELS
from .traces import Trace, read_trace

GENERATING = ("llama", "nemotron_h", "qwen3_moe", "deepseek_v3", "mamba2", "t5", "whisper")
CASES = [
    (name, mode)
    for name in (*GENERATING, "bert", "vit", "factory")
    for mode in ("forward", "prefill", "decode", "generate", "train")
    if name in GENERATING or mode in ("forward", "train")
]
ROUNDS = 2
LENGTH = 16

FACTORY = """
import torch
from torch import nn

class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 8, 3, groups=1)
        self.twice = nn.Linear(8, 8)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x, scale):
        x = self.conv(x).transpose(1, 2)
        return self.head(self.twice(self.twice(x))) * scale

def make():
    torch.manual_seed(0)
    return Shared(), {"x": torch.ones(2, 3, 10), "scale": torch.ones(1)}
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, config in MODELS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    (folder / "a_factory.py").write_text(FACTORY)
    return folder


def build(workplace: Path, name: str) -> Workload:
    device = torch.device("cpu")
    if name == "factory":
        return workload_from_factory("a_factory:make", name=None, dtype=None, device=device)
    return build_workload(
        str(workplace / f"{name}.json"),
        is_config_file=True,
        random_weights=True,
        name=None,
        batch_size=2,
        sequence_length=LENGTH,
        dtype=None,
        device=device,
        attn_implementation="eager",
    )


def passes(chosen: Scenario) -> Iterator[tuple[FlopCounterMode, Counter[nn.Module]]]:
    """Each pass of a round, counted by torch: its FLOPs and the calls of its modules."""
    calls: Counter[nn.Module] = Counter()
    with torch.enable_grad() if chosen.learns else torch.no_grad():
        for one in chosen.round():
            calls.clear()
            handle = register_module_forward_hook(lambda module, args, output: calls.update([module]))
            with FlopCounterMode(display=False) as counter:
                one.run()
            handle.remove()
            yield counter, calls
            if one.afterwards:
                one.afterwards()


def unknown_to_the_counter(trace: Trace) -> set[str]:
    """Paths of modules around an op that computes products of matrices and that `flop_counter` lacks."""
    known = {f"aten::{packet.__name__}" for packet in flop_registry if hasattr(packet, "__name__")}
    lacking = {"aten::_grouped_mm", "aten::_scaled_dot_product_flash_attention_for_cpu"} - known
    found = set()
    for event in trace.content["traceEvents"]:
        if event["name"] in lacking:
            start = int(event["ts"] * 1000)
            found |= {scope.rest for scope in trace.calls if scope.start <= start <= scope.end}
    return found


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_modules_and_flops_are_those_that_torch_counts(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: str
) -> None:
    monkeypatch.chdir(workplace)
    path = tmp_path / "t.json.gz"
    source = ["--factory", "a_factory:make"] if name == "factory" else ["--config", f"{name}.json"]
    sizes = ["--new-tokens", "2", "--passes", str(ROUNDS)]
    if name != "factory":
        sizes += ["--batch-size", "2", "--seq-len", str(LENGTH), "--attn-implementation", "eager"]
    assert main([*source, *sizes, "--mode", mode, "--device", "cpu", "--warmup", "1", "-o", str(path)]) == 0
    report = analyze(path)
    trace = read_trace(path)

    chosen = scenario(build(workplace, name), mode, new_tokens=2)
    paths = {module: path for path, module in chosen.work.model.named_modules()}
    calls: Counter[str] = Counter()
    flops: Counter[str] = Counter()
    root = type(chosen.work.model).__name__
    for counter, called in passes(chosen):
        calls.update({paths[module]: n for module, n in called.items() if module in paths})
        for module, ops in counter.get_flop_counts().items():
            if module == root or module.startswith(f"{root}."):
                flops[module[len(root) + 1 :]] += sum(ops.values())

    assert {row.path: row.calls for row in report.modules} == {p: ROUNDS * n for p, n in calls.items()}
    types = {path: type(module).__name__ for module, path in paths.items()}
    assert {row.path: row.type for row in report.modules} == {path: types[path] for path in calls}
    beyond = unknown_to_the_counter(trace)
    assert beyond <= {p for p in calls if name in ("qwen3_moe", "deepseek_v3") and not p.endswith("_proj")}
    ours = {row.path: row.matrix_flops for row in report.modules if row.path not in beyond}
    assert ours == {path: ROUNDS * flops[path] for path in ours}
    assert sum(flops[path] > 0 for path in ours) >= (4 if name == "factory" else 10)

    shares = report.accounting
    assert shares.gpu_events == 0
    metadata: Any = trace.metadata
    assert metadata["mode"] == mode
    assert len(metadata["pass_phases"]) == len(trace.passes) == report.time.passes
    table = [row["path"] for row in metadata["modules"]]
    assert table == [path for path, _ in chosen.work.model.named_modules()]
    assert {table[index] for index in metadata["not_called"]} & set(calls) == set()
