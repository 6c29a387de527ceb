"""What each mode runs: cache lengths seen in the shapes of attention, training steps, what is refused."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from tracekit.analysis import analyze
from tracekit.capture.cli import main
from tracekit.capture.errors import CaptureError
from tracekit.capture.modes import loss_of, scenario
from tracekit.capture.workload import Workload

from .tiny import config_file
from .traces import Trace, read_trace


def captured(configs: Path, path: Path, name: str, *arguments: str) -> Trace:
    command = ["--config", str(configs / f"{name}.json"), "--device", "cpu", "-o", str(path)]
    assert main([*command, "--warmup", "1", *arguments]) == 0
    return read_trace(path)


def workload(model: nn.Module, **inputs: torch.Tensor) -> Workload:
    return Workload(
        model=model,
        name="toy",
        args=(),
        inputs=dict(inputs),
        settings={},
        dtype=torch.float32,
        device=torch.device("cpu"),
        batch_size=None,
        sequence_length=None,
    )


def attention_lengths(trace: Trace) -> list[tuple[int, int]]:
    """Query and key lengths of every call of attention, in the order of time."""
    calls = [e for e in trace.content["traceEvents"] if e["name"] == "aten::scaled_dot_product_attention"]
    shapes = [e["args"]["Input Dims"] for e in sorted(calls, key=lambda e: e["ts"])]
    return [(query[-2], key[-2]) for query, key, *_ in shapes]


def rotary_flops(tokens: int) -> int:
    """Angles of 8/2 frequencies at each position: a product of matrices, until transformers made it plain."""
    source = inspect.getsource(LlamaRotaryEmbedding.forward)
    return 2 * 4 * tokens if " @ " in source else 0


def test_prefill_fills_an_empty_cache_and_wants_the_last_logits(configs: Path, tmp_path: Path) -> None:
    trace = captured(configs, tmp_path / "t.json.gz", "llama", "--mode", "prefill", "--seq-len", "11")
    assert attention_lengths(trace) == [(11, 11)] * 2 * 5  # two layers, five passes
    assert trace.metadata["mode"] == "prefill"
    (phase,) = trace.metadata["phases"]
    assert (phase["name"], phase["passes"], phase["tokens"], phase["cache_length"]) == ("prefill", 5, 11, 0)
    heads = [e for e in trace.content["traceEvents"] if e["name"] == "aten::linear"]
    assert sum(e["args"]["Input Dims"][:2] == [[1, 1, 32], [100, 32]] for e in heads) == 5


def test_every_decode_pass_finds_the_same_cache(configs: Path, tmp_path: Path) -> None:
    arguments = ["--mode", "decode", "--cache-len", "30", "--batch-size", "2", "--passes", "3"]
    trace = captured(configs, tmp_path / "t.json.gz", "llama", *arguments)
    assert attention_lengths(trace) == [(1, 31)] * 2 * 3
    assert len(trace.passes) == 3
    metadata = trace.metadata
    assert (metadata["mode"], metadata["sequence_length"], metadata["batch_size"]) == ("decode", 1, 2)
    (phase,) = metadata["phases"]
    assert (phase["name"], phase["tokens"], phase["cache_length"]) == ("decode", 1, 30)
    # a token: 2 layers of q, k, v, o, MLP and, on 2 rows, attention over 31 keys; then the head
    hidden, ffn, kv, vocabulary = 32, 48, 16, 100
    projections = 2 * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * ffn)
    attention = 2 * 2 * hidden * 31
    report = analyze(tmp_path / "t.json.gz")
    expected = 2 * (2 * (projections + attention) + 2 * hidden * vocabulary)
    assert report.flops.matrix_per_pass == expected + rotary_flops(1)


def test_between_decode_passes_nothing_runs_on_the_device(configs: Path, tmp_path: Path) -> None:
    for name in ("llama", "nemotron_h"):
        arguments = ["--mode", "decode", "--cache-len", "12", "--passes", "3"]
        trace = captured(configs, tmp_path / "t.json.gz", name, *arguments)
        starts = [int(e["ts"] * 1000) for e in trace.content["traceEvents"] if e.get("cat") == "cpu_op"]
        assert len(starts) > 100
        assert all(any(one.start <= start <= one.end for one in trace.passes) for start in starts)


def test_generate_prefills_and_decodes_with_a_growing_cache(configs: Path, tmp_path: Path) -> None:
    arguments = ["--mode", "generate", "--seq-len", "11", "--new-tokens", "3", "--passes", "2"]
    trace = captured(configs, tmp_path / "t.json.gz", "llama", *arguments)
    one = [(11, 11)] * 2 + [(1, 12)] * 2 + [(1, 13)] * 2 + [(1, 14)] * 2
    assert attention_lengths(trace) == one * 2
    metadata = trace.metadata
    assert metadata["pass_phases"] == ["prefill", "decode", "decode", "decode"] * 2
    assert [(p["name"], p["passes"], p["tokens"], p["cache_length"]) for p in metadata["phases"]] == [
        ("prefill", 2, 11, 0),
        ("decode", 6, 1, 11),
    ]
    # five rounds of latencies were not asked for: two
    assert [len(phase["latencies_us"]) for phase in metadata["phases"]] == [2, 6]
    assert metadata["latencies_us"] == []
    assert len(trace.passes) == 8


def test_a_hybrid_keeps_its_state_from_prompt_to_token(configs: Path, tmp_path: Path) -> None:
    arguments = ["--mode", "generate", "--seq-len", "11", "--new-tokens", "2", "--passes", "1"]
    trace = captured(configs, tmp_path / "t.json.gz", "nemotron_h", *arguments)
    calls = Counter(scope.rest for scope in trace.calls)
    assert calls["model.layers.0"] == calls["model.layers.2"] == 3
    assert attention_lengths(trace) == [(11, 11), (1, 12), (1, 13)]


def test_generated_tokens_are_those_of_transformers_generate(configs: Path, tmp_path: Path) -> None:
    from tracekit.capture.build import build_workload

    work = build_workload(
        str(configs / "llama.json"),
        is_config_file=True,
        random_weights=True,
        name=None,
        batch_size=1,
        sequence_length=11,
        dtype=None,
        device=torch.device("cpu"),
    )
    fed: list[torch.Tensor] = []
    embed: nn.Module = work.model.get_input_embeddings()  # type: ignore[operator]
    handle = embed.register_forward_hook(lambda module, args, output: fed.append(args[0]))
    with torch.inference_mode():
        for one in scenario(work, "generate", new_tokens=5).round():
            one.run()
        handle.remove()
        generate: Any = work.model.generate
        expected = generate(**work.inputs, max_new_tokens=5, do_sample=False, eos_token_id=None)
    assert torch.cat(fed, 1).tolist() == expected.tolist()


def test_a_training_step(configs: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.json.gz"
    trace = captured(configs, path, "llama", "--mode", "train", "--seq-len", "11", "--passes", "2")
    ranges = Counter(e["name"] for e in trace.content["traceEvents"] if e.get("cat") == "user_annotation")
    assert ranges["ProfilerStep#0"] == ranges["ProfilerStep#1"] == 1
    assert ranges["backward"] == 2
    assert ranges["Optimizer.step#AdamW.step"] == 2
    metadata = trace.metadata
    assert [row["name"] for row in metadata["inputs"]] == ["input_ids", "labels"]
    assert len(metadata["step_latencies_us"]) == len(metadata["latencies_us"]) == 2
    for step, forward in zip(metadata["step_latencies_us"], metadata["latencies_us"], strict=True):
        assert step > forward
    # the backward pass computes the gradients of weights and of inputs: twice the forward's products
    # but those by the embedding, of which there are none
    report = analyze(path)
    forward_flops = report.flops.matrix_per_pass
    attention = 2 * 2 * 2 * 11 * 11 * 32
    products = forward_flops - attention if forward_flops else 0
    hidden, ffn, kv, vocabulary = 32, 48, 16, 100
    layer = 2 * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * ffn)
    products -= rotary_flops(11)  # which have no gradient
    assert products == 11 * (2 * layer + 2 * hidden * vocabulary)
    backward = sum(
        row.matrix_flops or 0 for row in report.ops if row.name in ("aten::mm", "aten::addmm", "aten::bmm")
    )
    assert backward == 2 * (3 * products + rotary_flops(11))


def test_weights_move_in_training(configs: Path, tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    work = workload(model, input=torch.ones(1, 2))
    (one,) = scenario(work, "train", optimizer="sgd").round()
    one.run()
    assert one.afterwards is not None
    one.afterwards()
    # the loss is the mean of two outputs, the gradient of every weight 1/2, the rate 1e-6
    assert torch.allclose(before - model.weight.detach(), torch.full((2, 2), 5e-7), atol=1e-7)
    assert model.weight.grad is None


def test_a_model_without_a_cache_cannot_decode(
    configs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bert.json").write_text(
        '{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,'
        ' "intermediate_size": 16, "vocab_size": 50, "architectures": ["BertForMaskedLM"]}'
    )
    for mode in ("prefill", "decode", "generate"):
        arguments = ["--config", str(tmp_path / "bert.json"), "--device", "cpu", "--mode", mode]
        assert main([*arguments, "-o", str(tmp_path / "t.json.gz")]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "need a model with a cache: BertForMaskedLM has none, use --mode forward or train" in error


def decoder(cache_name: str) -> nn.Module:
    """A model with a cache that it takes and returns as `cache_name`: all the tokens that it has seen."""

    class Decoder(nn.Module):
        def forward(self, input_ids: torch.Tensor, use_cache: bool = False, **inputs: Any) -> Any:
            seen = torch.cat([inputs.get(cache_name, input_ids[:, :0]), input_ids], 1)
            logits = nn.functional.one_hot(seen.sum(1, keepdim=True) % 7, 7).float()
            return SimpleNamespace(logits=logits, **{cache_name: seen if use_cache else None})

    names = ("self", "input_ids", "use_cache", cache_name)
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    Decoder.forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return Decoder()


@pytest.mark.parametrize(("name", "tokens"), [("whisper", 1), ("t5", 11)])
def test_a_decoder_behind_an_encoder_starts_with_one_token(tmp_path: Path, name: str, tokens: int) -> None:
    """Whisper hears, and so reads nothing; T5 reads the prompt with its encoder."""
    config_file(tmp_path, name)
    trace = captured(tmp_path, tmp_path / "t.json.gz", name, "--mode", "prefill", "--seq-len", "11")
    shapes = {row["name"]: row["shape"] for row in trace.metadata["inputs"]}
    assert shapes["decoder_input_ids"] == [1, 1]
    assert trace.metadata["sequence_length"] == trace.metadata["phases"][0]["tokens"] == tokens


def test_use_cache_may_be_among_any_keywords(tmp_path: Path) -> None:
    config_file(tmp_path, "llava")
    arguments = ["--mode", "generate", "--seq-len", "8", "--new-tokens", "2", "--passes", "1"]
    trace = captured(tmp_path, tmp_path / "t.json.gz", "llava", *arguments)
    prompt = trace.metadata["phases"][1]["cache_length"]
    decodes = [(query, key) for query, key in attention_lengths(trace) if query == 1]
    assert decodes == [(1, prompt + 1)] * 2 + [(1, prompt + 2)] * 2


@pytest.mark.parametrize("cache_name", ["cache", "past_key_values", "cache_params"])
def test_the_cache_has_another_name_in_every_age_of_transformers(cache_name: str) -> None:
    model = decoder(cache_name)
    fed: list[list[int]] = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: fed.append(kwargs["input_ids"][0].tolist()), with_kwargs=True
    )
    for one in scenario(workload(model, input_ids=torch.tensor([[1, 2]])), "generate", new_tokens=3).round():
        one.run()
    # each token is the sum of all before it, modulo 7
    assert fed == [[1, 2], [3], [6], [5]]


def test_the_loss_is_the_models_own_or_a_mean() -> None:
    class Output(dict[str, torch.Tensor]):
        loss = torch.tensor([1.0, 3.0], requires_grad=True)

    assert loss_of(Output()).item() == 2
    found = torch.tensor([2.0, 4.0], requires_grad=True)
    assert loss_of({"mask": torch.ones(2), "nested": ([found],)}).item() == 3
    with pytest.raises(CaptureError, match="no floating tensor"):
        loss_of((torch.ones(2), None))


def test_a_compiled_model_is_one_module(
    configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_module = nn.Module.compile
    # inductor needs a compiler for C++, which is not what is tested here
    monkeypatch.setattr(nn.Module, "compile", lambda self, mode: compile_module(self, backend="aot_eager"))
    path = tmp_path / "t.json.gz"
    trace = captured(configs, path, "llama", "--compile", "--seq-len", "11", "--passes", "2")
    assert Counter(scope.rest for scope in trace.calls) == {"": 2}
    metadata = trace.metadata
    assert metadata["compiled"] == [0]
    assert metadata["not_called"] == []
    # was counted before it was compiled, so the modules inside have FLOPs all the same
    assert len(metadata["phases"][0]["module_flops"]) > 20
    report = analyze(path)
    assert [module.path for module in report.modules] == [""]
    assert report.time.passes == 2


@pytest.mark.parametrize("mode", ["forward", "generate", "train"])
def test_a_cuda_graph_needs_a_gpu(
    configs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    arguments = ["--config", str(configs / "llama.json"), "--device", "cpu", "--cuda-graph", "--mode", mode]
    assert main([*arguments, "-o", str(tmp_path / "t.json.gz")]) == 2
    assert "--cuda-graph needs a GPU" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_replayed_graph_is_the_roots_call(configs: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.json.gz"
    arguments = ["--config", str(configs / "llama.json"), "--dtype", "bf16", "--mode", "decode"]
    assert main([*arguments, "--cuda-graph", "--passes", "3", "-o", str(path)]) == 0
    report = analyze(path)
    assert [module.path for module in report.modules] == [""]
    assert report.accounting.modules_forward.events == report.accounting.gpu_events > 0
