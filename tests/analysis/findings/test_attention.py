"""Attention in pieces, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.findings.timeline import B, F, Timeline


def attention(line: Timeline, length: int, softmax_in_module: bool = False) -> None:
    """Two sequences, eight heads of 64; scores scaled, masked, turned to fp32 and back; 10 µs a kernel."""
    scores = [2, 8, length, length]
    line.op("aten::bmm", [[16, length, 64], [16, 64, length]], B, 20)
    line.op("aten::mul", [scores, []], B, 11)
    line.op("aten::add", [scores, [2, 1, length, length], []], B, 12)
    if softmax_in_module:
        with line.module("attn.softmax", "Softmax"):
            line.op("aten::_softmax", [scores, [], []], B, 13)
    else:
        line.op("aten::_softmax", [scores, [], []], B, 13)
    line.op("aten::bmm", [[16, length, length], [16, length, 64]], B, 20)


@pytest.mark.parametrize("softmax_in_module", [False, True])
def test_attention_that_writes_its_scores(tmp_path: Path, softmax_in_module: bool) -> None:
    line = Timeline()
    with line.forward(), line.module("attn", "Attention"):
        attention(line, 1024, softmax_in_module)
    (found,) = line.findings(tmp_path, "attention.materialised")
    assert (found.gain_us, found.module) == (11 + 12 + 13, "attn")
    assert found.evidence.values["ops"] == "bmm → mul → add → _softmax → bmm"
    assert found.evidence.values["size"] == f"{2 * 8 * 1024 * 1024 * 2 / 1e6:.3g}"
    assert not line.findings(tmp_path, "kernels.unfused")  # the same µs


def test_short_sequences_are_left_alone(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward(), line.module("attn", "Attention"):
        attention(line, 64)
    assert not line.findings(tmp_path, "attention.materialised")


def test_a_softmax_without_products_around_it_is_none(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        line.op("aten::bmm", [[16, 512, 64], [16, 64, 512]], B)  # of other heads than the softmax
        line.op("aten::_softmax", [[4096, 1024], [], []], F)
        line.op("aten::bmm", [[16, 512, 512], [16, 512, 64]], B)
        line.op("aten::mm", [[4096, 1024], [1024, 1024]], B)  # makes the scores, but nothing takes them
        line.op("aten::_softmax", [[4096, 1024], [], []], F)
    assert not line.findings(tmp_path, "attention.materialised")


def test_a_fused_attention_is_none(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        line.op("aten::_scaled_dot_product_flash_attention", [[2, 8, 1024, 64]] * 3, B, 30)
        line.op("aten::_softmax", [[2, 8, 1024, 1024], [], []], B)
    assert not line.findings(tmp_path, "attention.materialised")


def test_a_product_of_as_many_elements_but_another_shape_takes_no_scores(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        line.op("aten::bmm", [[16, 1024, 64], [16, 64, 1024]], B)
        line.op("aten::_softmax", [[2, 8, 1024, 1024], [], []], B)
        line.op("aten::bmm", [[16, 512, 2048], [16, 2048, 64]], B)
    assert not line.findings(tmp_path, "attention.materialised")
