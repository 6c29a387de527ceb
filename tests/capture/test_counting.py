"""FLOPs per module against `flop_counter`'s own table and paper; what works without being called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
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
