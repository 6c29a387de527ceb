"""What there is to find in real traces, as reading their JSON event by event shows it.

h100_qwen1.5_0.5b: 24 layers with 49 RMSNorms of 16 × 559 × 1024 states, each eight kernels of some 147 µs
together (copy_, pow, mean, add, rsqrt, mul, copy_, mul: the first is 25.25 + 26.53 + 15.01 + 1.63 + 1.63 +
33.44 + 18.14 + 25.09 µs), and in each attention two rotary embeddings of 16 × 16 × 559 × 64 (mul, neg, cat,
mul, add) and contiguous copies before flash attention. One `aten::is_nonzero` of the model itself copies a
bool to the host and synchronizes its stream, for 7.7 µs. Attention is fused, types are bf16, sizes are even.
h100_bert_small: one GEMM of 30,522 columns, whose kernel is an `align2` one; queries, keys and values of four
layers by products of 141 × 512 × 512, 5.8 µs each; kernels take 0.31 of the 4.2 ms of a pass.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import pytest

from tracekit.analysis import analyze
from tracekit.analysis.schema import Finding

CORPUS = os.environ.get("TRACEKIT_CORPUS")

pytestmark = pytest.mark.skipif(not CORPUS, reason="TRACEKIT_CORPUS names no folder of real traces")


@cache
def findings(name: str) -> tuple[Finding, ...]:
    return analyze(Path(CORPUS or "") / f"{name}.json.gz").findings


def by_rule(name: str, rule: str) -> list[Finding]:
    return [one for one in findings(name) if one.id == rule]


@pytest.mark.parametrize("name", ["h100_qwen1.5_0.5b", "mi300x_qwen1.5_0.5b"])
def test_eager_norms_and_rotary_embeddings_are_chains(name: str) -> None:
    norms, attention = by_rule(name, "kernels.unfused")
    states = 16 * 559 * 1024  # as many as queries have: 16 × 16 × 559 × 64
    rows = 16 * 559
    assert (norms.module, norms.evidence.values["modules"]) == ("Qwen2RMSNorm", 49)
    assert norms.evidence.values["saved"] == f"{49 * (32 * states + 24 * rows) / 1e6:,.0f}"
    # Each rotary embedding makes three tensors and a half one that it reads again; keys are copied besides.
    assert (attention.module, attention.evidence.values["modules"]) == ("Qwen2Attention", 24)
    assert attention.evidence.values["saved"] == f"{24 * (2 * 14 + 4) * states / 1e6:,.0f}"
    assert attention.evidence.values["chains"] == "48"


def test_the_norms_of_qwen_would_gain_what_their_traffic_takes() -> None:
    norms = by_rule("h100_qwen1.5_0.5b", "kernels.unfused")[0]
    states, rows = 16 * 559 * 1024, 16 * 559
    expected = json.loads((Path(CORPUS or "") / "expected.json").read_text())["h100_qwen1.5_0.5b.json.gz"]
    time = sum(us for path, us in expected["modules_gpu_time_us"].items() if "RMSNorm" in path)
    saved, traffic = 32 * states + 24 * rows, 36 * states + 24 * rows + 2 * 1024
    assert norms.gain_us == pytest.approx(time * saved / traffic, rel=1e-4)
    assert norms.severity == "high"  # 6.6 of 35 ms


def test_the_one_synchronisation_of_qwen() -> None:
    (found,) = by_rule("h100_qwen1.5_0.5b", "gpu.synchronisation")
    assert found.module == "Qwen2Model_0"
    assert found.gain_us == pytest.approx(7.7, abs=0.1)  # the call's own time; the next launch is 135 µs away
    assert str(found.evidence).startswith(
        "aten::is_nonzero waits for the GPU in cudaStreamSynchronize: 1 a pass"
    )


def test_what_is_not_in_qwen() -> None:
    ids = {one.id for one in findings("h100_qwen1.5_0.5b")}
    assert not ids & {"attention.materialised", "gemm.fp32", "gemm.misaligned", "gemm.tiny", "copies.undone"}


def test_bert_waits_for_launches_and_has_small_and_odd_products() -> None:
    ids = [one.id for one in findings("h100_bert_small")]
    assert sorted(ids) == sorted(
        ["gpu.idle", "gemm.tiny", "gemm.misaligned", "gpu.synchronisation", "trace.no_latency"]
    )
    (idle,) = by_rule("h100_bert_small", "gpu.idle")
    assert ids[0] == "gpu.idle"
    assert 3500 < (idle.gain_us or 0) < 4217 - 309
    (odd,) = by_rule("h100_bert_small", "gemm.misaligned")
    assert (odd.evidence.values["n"], odd.evidence.values["kernel"], odd.gain_us) == (30522, "align2", None)
    (tiny,) = by_rule("h100_bert_small", "gemm.tiny")
    assert tiny.evidence.values["count"] == "12"
    assert tiny.gain_us == pytest.approx(4 * 2 * 5.75, rel=0.05)
