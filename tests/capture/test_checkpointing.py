"""Loops that train with activation checkpointing: FLOPs of a step against torch's own counter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from tracekit.analysis import analyze
from tracekit.capture import capture

from .traces import LLAMA


def flops_of(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("use_reentrant", [None, False, True])
def test_flops_of_a_step_are_those_that_torch_counts(tmp_path: Path, use_reentrant: bool | None) -> None:
    config = AutoConfig.for_model(**LLAMA)
    model: Any = AutoModelForCausalLM.from_config(config, attn_implementation="eager").train()
    tokens = torch.arange(22).reshape(2, 11)

    def forward() -> torch.Tensor:
        loss: torch.Tensor = model(tokens, labels=tokens, use_cache=False).loss
        return loss

    def step() -> None:
        forward().backward()

    of_forward, of_plain_step = flops_of(forward), flops_of(step)
    if use_reentrant is not None:
        model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    of_step = flops_of(step)
    assert (of_step > of_plain_step) == (use_reentrant is not None)
    path = tmp_path / "t.json.gz"
    with capture(model, path, warmup=3, steps=2) as c:
        for _ in range(5):
            step()
            c.step()
    report = analyze(path)
    assert report.flops.matrix_per_step == of_step
    assert report.flops.matrix_per_pass == of_forward == report.flops.counted_per_pass
    assert report.time.passes == 2
    rows = {row.path: row for row in report.modules}
    # nothing is multiplied outside the model: what is no forward, and not run again, is its backward
    assert rows[""].backward_matrix_flops == 2 * (of_plain_step - of_forward)
    for row in report.modules:
        if row.parent is not None:
            assert (row.backward_matrix_flops or 0) <= (rows[row.parent].backward_matrix_flops or 0)
    for block in report.blocks:
        assert block.attention_flops is not None
        assert block.ffn_flops is not None
        assert block.attention_flops + block.ffn_flops == block.matrix_flops
