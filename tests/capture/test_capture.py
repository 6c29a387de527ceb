"""A capture from end to end: what the command line leaves in the file, against the model itself."""

from __future__ import annotations

import gzip
import json
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

import tracekit
from tracekit.capture.build import Workload, build_workload
from tracekit.capture.cli import main
from tracekit.capture.errors import CaptureError
from tracekit.capture.modes import scenario
from tracekit.capture.record import Plan, capture_scenario

from .traces import Trace, read_trace

MODELS = pytest.mark.parametrize("name", ["llama", "nemotron_h"])


def build(configs: Path, name: str) -> Workload:
    return build_workload(
        str(configs / f"{name}.json"),
        is_config_file=True,
        random_weights=True,
        name=None,
        batch_size=2,
        sequence_length=11,
        dtype=None,
        device=torch.device("cpu"),
    )


def calls_by_path(work: Workload) -> Counter[str]:
    """How often one pass calls each module, counted with torch's own global hook."""
    paths = {module: path for path, module in work.model.named_modules()}
    calls: Counter[str | None] = Counter()
    handle = register_module_forward_hook(lambda module, args, output: calls.update([paths.get(module)]))
    try:
        work.run()
    finally:
        handle.remove()
    # Nemotron-H makes activation modules on the fly, which are no part of the model.
    return Counter({path: count for path, count in calls.items() if path is not None})


@MODELS
def test_every_call_of_every_module_is_a_scope(captured: dict[str, Trace], configs: Path, name: str) -> None:
    expected = calls_by_path(build(configs, name))
    scopes = Counter(scope.rest for scope in captured[name].calls)
    assert scopes == {path: 3 * calls for path, calls in expected.items()}
    assert expected[""] == 1
    assert len(expected) > 20


@MODELS
def test_scopes_carry_the_index_of_their_row(captured: dict[str, Trace], name: str) -> None:
    rows = captured[name].metadata["modules"]
    assert all(rows[int(scope.key)]["path"] == scope.rest for scope in captured[name].calls)


@MODELS
def test_scopes_nest_as_their_paths_say(captured: dict[str, Trace], name: str) -> None:
    trace = captured[name]
    called = {scope.rest for scope in trace.calls}
    for scope in trace.calls:
        parent = trace.parent(scope)
        assert parent is not None
        if scope.rest == "":
            assert parent.key == "forward"
            continue
        above = scope.rest
        while (above := above.rpartition(".")[0]) not in called:  # lists of modules are never called
            pass
        assert (parent.key != "forward", parent.rest) == (True, above)


@MODELS
def test_passes_are_numbered_and_hold_all_that_was_recorded(captured: dict[str, Trace], name: str) -> None:
    trace = captured[name]
    assert [(scope.key, scope.rest) for scope in trace.passes] == [("forward", str(n)) for n in range(3)]
    operators = [event for event in trace.content["traceEvents"] if event.get("cat") == "cpu_op"]
    assert len(operators) > 300
    for event in operators:  # an operator outside would be one of the warm-up's
        start = int(event["ts"] * 1000)
        assert any(scope.start <= start <= scope.end for scope in trace.passes)


@MODELS
def test_operators_have_shapes(captured: dict[str, Trace], name: str) -> None:
    products = [e for e in captured[name].content["traceEvents"] if e["name"] in ("aten::mm", "aten::addmm")]
    # logits for every position: 2 × 11 tokens, hidden size 32, vocabulary 100
    assert sum(event["args"]["Input Dims"][:2] == [[22, 32], [32, 100]] for event in products) == 3


@MODELS
def test_metadata_comes_first_and_torchs_own_keys_follow(captured: dict[str, Trace], name: str) -> None:
    keys = list(captured[name].content)
    assert keys[:2] == ["tracekit", "schemaVersion"]
    assert {"deviceProperties", "traceEvents"} <= set(keys)


def test_metadata_of_the_run(captured: dict[str, Trace], configs: Path) -> None:
    metadata = captured["llama"].metadata
    assert metadata["schema"] == "tracekit.capture/1"
    assert metadata["tracekit"] == tracekit.__version__
    assert metadata["torch"] == torch.__version__
    assert metadata["model"]["name"] == "llama"
    assert metadata["model"]["class"] == "LlamaForCausalLM"
    assert metadata["model"]["config"]["num_key_value_heads"] == 2
    assert metadata["inputs"] == [{"name": "input_ids", "shape": [2, 11], "dtype": "int64"}]
    assert (metadata["mode"], metadata["dtype"]) == ("forward", "float32")
    assert (metadata["device"]["type"], metadata["device"]["count"]) == ("cpu", 1)
    assert (metadata["batch_size"], metadata["sequence_length"]) == (2, 11)
    assert (metadata["warmup"], metadata["passes"]) == (2, 3)
    assert len(metadata["latencies_us"]) == 3
    assert all(latency > 0 for latency in metadata["latencies_us"])
    assert metadata["options"]["config"] == str(configs / "llama.json")
    assert metadata["options"]["random_weights"] is True


class Watched(nn.Module):
    """Notes at every pass whether a scope is on; fails in the pass that it is told to."""

    def __init__(self, fails_in: int | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.fails_in = fails_in
        self.scoped: list[bool] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.scoped.append("forward" in self.layer.__dict__)
        if len(self.scoped) == self.fails_in:
            raise ZeroDivisionError("told to")
        with torch.profiler.record_function('a "quoted" range'):
            return self.layer(x)


def workload(model: nn.Module) -> Workload:
    return Workload(
        model=model,
        name="toy",
        args=(),
        inputs={"x": torch.ones(2, 4)},
        settings={},
        dtype=torch.float32,
        device=torch.device("cpu"),
        batch_size=2,
        sequence_length=1,
    )


def capture_model(model: nn.Module, path: Path, *, warmup: int, passes: int) -> None:
    plan = Plan(warmup=warmup, rounds=passes, count_flops=False)
    capture_scenario(scenario(workload(model), "forward"), path, plan, options={"note": 'quo"te'})


def test_scopes_are_off_while_latencies_are_measured(tmp_path: Path) -> None:
    model = Watched()
    capture_model(model, tmp_path / "t.json.gz", warmup=2, passes=3)
    warm_up, latencies, settling, profiled = [False] * 2, [False] * 3, [True], [True] * 3
    assert model.scoped == warm_up + latencies + settling + profiled


def test_without_warm_up_the_first_call_is_recorded_unsettled(tmp_path: Path) -> None:
    model = Watched()
    capture_model(model, tmp_path / "t.json.gz", warmup=0, passes=1)
    assert model.scoped == [False, True]


@pytest.mark.parametrize("fails_in", [1, 3, 5, 7])  # warm-up, latency, settling, second profiled pass
def test_a_failing_forward_leaves_neither_file_nor_scopes(tmp_path: Path, fails_in: int) -> None:
    model = Watched(fails_in)
    path = tmp_path / "t.json.gz"
    with pytest.raises(CaptureError, match=r"running Watched.*ZeroDivisionError: told to"):
        capture_model(model, path, warmup=2, passes=2)
    assert list(tmp_path.iterdir()) == []
    assert "forward" not in model.__dict__
    assert "forward" not in model.layer.__dict__
    # and the profiler is free for the next capture
    capture_model(model, path, warmup=0, passes=1)
    assert len(read_trace(path).calls) == 2


def test_hostile_names_give_valid_json(tmp_path: Path) -> None:
    model = Watched()
    hostile = ['say "hi"', "back\\slash", "schön\n", "a,b:c", "\ud800"]
    model.layer = nn.Sequential(OrderedDict((name, nn.Linear(4, 4)) for name in hostile))
    path = tmp_path / "t.json.gz"
    capture_model(model, path, warmup=1, passes=1)
    trace = read_trace(path)
    rows = trace.metadata["modules"]
    assert [row["path"] for row in rows[2:]] == [f"layer.{name}" for name in [*hostile[:-1], "?"]]
    scopes = [(scope.key, scope.rest) for scope in trace.calls if scope.rest not in ("", "layer")]
    assert scopes == [
        ("2", "layer.say _hi_"),
        ("3", "layer.back_slash"),
        ("4", "layer.sch_n_"),
        ("5", "layer.a,b:c"),
        ("6", "layer._"),
    ]
    ranges = {event["name"].replace("'", '"') for event in trace.content["traceEvents"]}  # as torch 2.14 does
    assert 'a "quoted" range' in ranges


def test_shared_modules_are_scoped_at_every_call_under_their_first_path(tmp_path: Path) -> None:
    model = Watched()
    shared = nn.Linear(4, 4)
    model.layer = nn.Sequential(shared, nn.ReLU(), shared)
    path = tmp_path / "t.json.gz"
    capture_model(model, path, warmup=0, passes=2)
    trace = read_trace(path)
    assert Counter(scope.rest for scope in trace.calls) == {"": 2, "layer": 2, "layer.0": 4, "layer.1": 2}
    # one row for the two places; two Linear layers' worth of parameters would be 40
    assert [row["parameters"] for row in trace.metadata["modules"]] == [20, 20, 20, 0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@MODELS
def test_on_a_gpu_the_kernels_are_recorded(configs: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.json.gz"
    arguments = ["--config", str(configs / f"{name}.json"), "--dtype", "bf16", "--device", "cuda"]
    assert main([*arguments, "--seq-len", "11", "--passes", "2", "-o", str(path)]) == 0
    content = json.loads(gzip.decompress(path.read_bytes()))
    kernels = [event for event in content["traceEvents"] if event.get("cat") == "kernel"]
    launches = {e["args"]["correlation"] for e in content["traceEvents"] if e.get("cat") == "cuda_runtime"}
    assert kernels
    assert {event["args"]["correlation"] for event in kernels} <= launches
    assert content["tracekit"]["device"]["name"] == torch.cuda.get_device_name(0)
    assert content["tracekit"]["modules"][0]["dtype"] == "bfloat16"


@pytest.mark.parametrize("mode", ["forward", "train"])
def test_no_hook_and_no_scope_is_left(tmp_path: Path, mode: str) -> None:
    model = Watched()
    hooks = ["_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"]
    everywhere = [f"_global{name}" for name in hooks]
    before = [sorted(module.__dict__) for module in model.modules()]
    plan = Plan(warmup=1, rounds=1, memory=True)
    capture_scenario(scenario(workload(model), mode), tmp_path / "t.json.gz", plan, options={})
    for module in model.modules():
        assert [len(getattr(module, name)) for name in hooks] == [0] * 4
    assert [len(getattr(nn.modules.module, name)) for name in everywhere] == [0] * 4
    assert [sorted(module.__dict__) for module in model.modules()] == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_cannot_be_counted_is_a_note_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Watched(fails_in=1)  # the counted pass is the first
    capture_scenario(scenario(workload(model), "forward"), tmp_path / "t.json.gz", Plan(), options={})
    metadata = read_trace(tmp_path / "t.json.gz").metadata
    assert metadata["notes"] == ["FLOPs were not counted: ZeroDivisionError: told to"]
    assert metadata["phases"][0]["matrix_flops"] is None
    assert metadata["phases"][0]["module_flops"] is None
