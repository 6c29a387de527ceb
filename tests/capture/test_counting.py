"""FLOPs per module against `flop_counter`'s own table and paper; what works without being called."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from tracekit.capture.counting import counting
from tracekit.capture.modes import scenario
from tracekit.capture.record import Plan, capture_scenario
from tracekit.capture.workload import Workload


class Borrowing(nn.Module):
    """Uses a weight of one child without calling it, calls the second, and never touches the third."""

    def __init__(self) -> None:
        super().__init__()
        self.lent, self.called, self.idle = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.called.weight = nn.Parameter(torch.ones(4, 4))
        self.layers = nn.ModuleList([nn.ReLU()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.called(functional.linear(x, self.lent.weight))


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_a_weight_used_without_its_module_is_noticed(context: Any) -> None:
    model = Borrowing()
    with context(), counting(model) as counts:
        model(torch.ones(2, 4))
    indices = {path: index for index, (path, _) in enumerate(model.named_modules())}
    assert counts.used_without_call == {indices["lent"]: indices[""]}
    # a list of modules has no forward that anybody could call
    assert counts.not_called == (indices["lent"], indices["idle"], indices["layers.0"])
    # 2 rows through 4 × 4, twice; the borrowed one counts for who used it
    assert counts.flops == {indices[""]: 128, indices["called"]: 64}


def test_a_tied_weight_is_no_use_without_a_call() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    model[1].weight = model[0].weight
    with torch.inference_mode(), counting(model) as counts:
        model(torch.zeros(3, dtype=torch.int64))
    assert counts.used_without_call == {}
    assert counts.not_called == ()
    assert counts.flops == {0: 2 * 3 * 4 * 5, 1: 0, 2: 2 * 3 * 4 * 5}


def test_backward_is_not_counted_for_modules() -> None:
    model = nn.Linear(4, 4)
    with counting(model) as counts:
        model(torch.ones(2, 4, requires_grad=True)).sum().backward()
    assert counts.flops == {0: 64}


@pytest.mark.parametrize("name", ["llama", "nemotron_h"])
def test_modules_have_the_counts_that_flop_counter_gives_them(configs: Path, name: str) -> None:
    config = AutoConfig.from_pretrained(configs / f"{name}.json", attn_implementation="eager")
    model: Any = AutoModelForCausalLM.from_config(config).eval()
    inputs = torch.zeros((2, 9), dtype=torch.int64)
    with torch.no_grad(), counting(model) as counts:
        model(inputs)
    with torch.no_grad(), FlopCounterMode(display=False) as peer:
        model(inputs)
    class_name = type(model).__name__
    expected = {path: sum(ops.values()) for path, ops in peer.get_flop_counts().items()}
    ours = {
        f"{class_name}.{path}".rstrip("."): counts.flops[index]
        for index, (path, _) in enumerate(model.named_modules())
        if counts.flops.get(index)
    }
    assert {path: flops for path, flops in expected.items() if path != "Global"} == ours
    assert len(ours) > 10


def test_the_model_is_afterwards_as_it_was() -> None:
    model = Borrowing()
    before = [dict(module.__dict__) for module in model.modules()]
    with pytest.raises(ZeroDivisionError), counting(model):
        raise ZeroDivisionError
    assert [dict(module.__dict__) for module in model.modules()] == before


def test_parametrized_weights_are_counted_by_a_capture(tmp_path: Path) -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)))
    work = Workload(
        model=model,
        name="toy",
        args=(torch.ones(2, 4),),
        inputs={},
        settings={},
        dtype=torch.float32,
        device=torch.device("cpu"),
        batch_size=2,
        sequence_length=None,
    )
    metadata = capture_scenario(scenario(work, "forward"), tmp_path / "t.json.gz", Plan(), options={})
    assert metadata["notes"] == []
    assert metadata["phases"][0]["module_flops"]["1"] == 2 * 2 * 4 * 8


class InThreads(nn.Module):
    """Runs its child in two threads, and waits for them."""

    def __init__(self) -> None:
        super().__init__()
        self.child = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: list[torch.Tensor] = []
        threads = [threading.Thread(target=lambda: found.append(self.child(x))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found[0] + found[1]


def test_threads_of_a_forward_count_for_it() -> None:
    model = nn.Sequential(InThreads(), nn.Linear(4, 4))
    with counting(model) as counts:
        model(torch.ones(2, 4))
    assert counts.flops == {0: 3 * 64, 1: 2 * 64, 2: 2 * 64, 3: 64}
    assert counts.calls == {0: 1, 1: 1, 2: 2, 3: 1}


def test_threads_that_share_a_model_count_their_own_calls() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    with counting(model) as counts:
        threads = [
            threading.Thread(target=lambda: [model(torch.ones(2, 4)) for _ in range(20)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts.flops == {0: 80 * 64, 1: 80 * 64}
    assert counts.calls == {0: 80, 1: 80}


def test_what_a_checkpoint_runs_again_is_not_counted() -> None:
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> Any:
            return checkpoint(self.inner, x, use_reentrant=False)

    model = Checkpointed()
    with counting(model) as counts:
        model(torch.ones(2, 4, requires_grad=True)).sum().backward()
    assert counts.flops == {0: 128, 1: 128, 2: 64, 3: 0, 4: 64}


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.down(functional.silu(functional.rms_norm(self.up(x), (64,))))
        return y


def gradients(counted: bool) -> list[torch.Tensor | None]:
    torch.manual_seed(0)
    model = Gated().bfloat16()
    x = torch.randn(32, 64).bfloat16()
    with counting(model) if counted else nullcontext():
        model(x).float().square().mean().backward()
    return [parameter.grad for parameter in model.parameters()]


def test_the_counted_pass_computes_the_same_numbers() -> None:
    for plain, counted in zip(gradients(False), gradients(True), strict=True):
        assert plain is not None
        assert counted is not None
        assert torch.equal(plain, counted)


def test_what_is_compiled_stays_so() -> None:
    runs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        def run(*args: Any) -> Any:
            runs.append(1)
            return graph.forward(*args)

        return run

    for model in (torch.compile(Gated(), backend=backend, fullgraph=full) for full in (False, True)):
        module: Any = model
        x = torch.ones(2, 64)
        module(x)
        with counting(module) as counts:
            module(x)
        assert counts.flops[0] == 2 * 2 * 2 * 64 * 64
        runs.clear()
        module(x)
        assert runs == [1]


class Branching(nn.Module):
    """A higher-order op, and a gradient in the forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self.layer(x).sum(), x, create_graph=True)
        return torch.cond(slope.sum() > 0, torch.sin, torch.cos, (slope,))


def test_models_that_the_counter_of_torch_refuses() -> None:
    model = Branching()
    x = torch.ones(2, 4)
    with torch.no_grad():
        expected = model(x)
        with counting(model) as counts:
            found = model(x)
    assert torch.equal(found, expected)
    assert counts.failure is None
    assert counts.flops[1] == 2 * 2 * 4 * 1


def test_subclasses_of_tensors_are_asked_for_their_pieces() -> None:
    model = nn.Linear(4, 4)
    rows = torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(3, 4)], layout=torch.jagged)
    with torch.no_grad(), counting(model) as counts:
        model(rows)
    assert counts.failure is None
    assert counts.flops == {0: 2 * 5 * 4 * 4}


def test_the_mode_is_on_in_calls_only() -> None:
    model = nn.Linear(4, 4)
    with counting(model):
        with torch.inference_mode():
            model(torch.ones(2, 4))
        assert not _get_current_dispatch_mode_stack()
    assert torch.ones(2).sum() == 2  # and torch works on


def test_counts_follow_modules_that_move() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with counting(model) as counts:
        model(torch.ones(2, 4))
    last = model[0]
    model.insert(0, nn.Dropout())
    assert counts.flops == {0: 64, 1: 64, 2: 0}
    moved = counts.renumbered(list(model.modules()))
    assert list(model.modules())[2] is last
    assert moved.flops == {0: 64, 2: 64, 3: 0}
