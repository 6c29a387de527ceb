"""Models spread over devices, here over several parts of the CPU, and where their inputs go."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tracekit.analysis import analyze
from tracekit.capture.build import Workload, build_workload
from tracekit.capture.errors import CaptureError
from tracekit.capture.modes import scenario
from tracekit.capture.placement import dispatched, input_device, parsed_device_map
from tracekit.capture.record import Plan, capture_scenario

from . import tiny

CPU = torch.device("cpu")
PARTS = {"model.embed_tokens": "cpu", "model.layers": "cpu", "model.norm": "cpu", "lm_head": "cpu"}
ON_CPU = '{"model.embed_tokens": "cpu", "model.layers": "cpu", "model.norm": "cpu", "lm_head": "cpu"}'

needs_accelerate = pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="needs accelerate"
)


def build(path: Path, **changes: Any) -> Workload:
    settings: dict[str, Any] = {"is_config_file": True, "random_weights": True, "device": CPU, **changes}
    return build_workload(str(path), name=None, batch_size=2, sequence_length=5, dtype=None, **settings)


@needs_accelerate
@pytest.mark.parametrize("device_map", ["auto", "balanced", "sequential", ON_CPU])
def test_random_and_loaded_weights_are_placed(tmp_path: Path, device_map: str) -> None:
    plain = build(tiny.config_file(tmp_path, "llama"))
    plain.model.save_pretrained(tmp_path / "llama")  # type: ignore[operator]
    with torch.inference_mode():
        expected: Any = plain.run()
    placed = build(tiny.config_file(tmp_path, "llama"), device_map=device_map)
    loaded = build(tmp_path / "llama", is_config_file=False, random_weights=False, device_map=device_map)
    for work in (placed, loaded):
        with torch.inference_mode():
            output: Any = work.run()
        assert work.device == next(work.model.parameters()).device
        assert torch.allclose(output.logits.cpu(), expected.logits, atol=1e-4)
        assert not work.model.training


@needs_accelerate
def test_a_spread_model_has_the_scopes_of_a_whole_one(tmp_path: Path) -> None:
    rows = []
    for name in ("whole", "spread"):
        work = build(tiny.config_file(tmp_path, "llama"))
        if name == "spread":
            dispatched(work.model, dict(PARTS), force_hooks=True)
        before = [dict(module.__dict__) for module in work.model.modules()]
        path = tmp_path / f"{name}.json.gz"
        capture_scenario(scenario(work, "forward"), path, Plan(warmup=1, rounds=2), options={})
        assert [dict(module.__dict__) for module in work.model.modules()] == before
        rows.append({row.path: (row.type, row.calls, row.matrix_flops) for row in analyze(path).modules})
    assert rows[0] == rows[1]
    # The root, the model in it, its embeddings, rotary positions, norm and head, and in each of two layers
    # itself, two norms, attention with four projections, and an MLP with three and an activation.
    assert len(rows[0]) == 6 + 2 * (1 + 2 + 5 + 5)


@needs_accelerate
def test_hooks_move_what_passes_between_the_parts(tmp_path: Path) -> None:
    work = build(tiny.config_file(tmp_path, "llama"))
    with torch.inference_mode():
        expected: Any = work.run()
        model = dispatched(work.model, dict(PARTS), force_hooks=True)
        assert [hasattr(part, "_hf_hook") for part in (model, model.lm_head, model.model.norm)] == [True] * 3
        output: Any = work.run()
    assert torch.equal(output.logits, expected.logits)
    assert list(work.labels()) == ["labels"]  # the signature is still that of the class


@pytest.mark.skipif(torch.cuda.device_count() < 1, reason="needs a GPU")
@needs_accelerate
def test_parts_on_the_gpu_and_on_the_cpu(tmp_path: Path) -> None:
    path = tiny.config_file(tmp_path, "llama")
    with torch.inference_mode():
        expected: Any = build(path).run()
        work = build(
            path, device=torch.device("cuda", 0), device_map=ON_CPU.replace('layers": "cpu"', 'layers": 0')
        )
        output: Any = work.run()
    assert torch.allclose(output.logits.cpu(), expected.logits, atol=1e-3)


def test_inputs_go_to_the_embeddings_or_to_the_first_weights() -> None:
    class Offloaded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(2, 2, device="meta")
            self.second = nn.Linear(2, 2)

        def get_input_embeddings(self) -> nn.Module:
            raise NotImplementedError

    assert input_device(Offloaded(), torch.device("cuda")) == CPU
    assert input_device(nn.Linear(2, 2, device="meta"), torch.device("cuda")) == torch.device("cuda")


@needs_accelerate
@pytest.mark.parametrize("text", ["nope", "[1]", "3", '{"": [1]}', '{"": true}'])
def test_what_is_no_device_map(text: str) -> None:
    with pytest.raises(CaptureError, match="must be auto, balanced, balanced_low_0, sequential or JSON"):
        parsed_device_map(text)


@needs_accelerate
@pytest.mark.parametrize(
    ("device_map", "text"),
    [
        ('{"model.embed_tokens": "cpu"}', "does not give any device"),
        ('{"": 99}', "spreading LlamaForCausalLM"),
    ],
)
def test_maps_that_do_not_fit_are_one_line(tmp_path: Path, device_map: str, text: str) -> None:
    with pytest.raises(CaptureError, match=text) as failure:
        build(tiny.config_file(tmp_path, "llama"), device_map=device_map)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("option", [{"device_map": "auto"}, {"quantization": "bitsandbytes_4bit"}])
def test_without_accelerate_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: dict[str, str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CaptureError, match=r"--\w+.* needs accelerate \(pip install accelerate\)"):
        build(tiny.config_file(tmp_path, "llama"), **option)
