"""Modes: what one round of a workload runs, pass by pass: forward, prefill, decode, generate, train.

A round is a generator of passes. What a pass needs beforehand (an empty cache, a filled one) is made
between them, outside of everything that is timed. Knows models and caches, no profilers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tracekit.capture.build import Workload
from tracekit.capture.errors import CaptureError, failures_named
from tracekit.capture.inputs import forward_parameters, takes

MODES = ("forward", "prefill", "decode", "generate", "train")
OPTIMIZERS = ("adamw", "sgd", "none")

# What models of transformers call the cache, as an argument and in what they return: today, before 5.24, and
# those with nothing but a state.
_CACHE_NAMES = ("cache", "past_key_values", "cache_params", "state")


@dataclass(frozen=True)
class Pass:
    """One forward of the whole model: `run` is what is timed, `afterwards` belongs to the step only."""

    phase: str
    run: Callable[[], object]
    afterwards: Callable[[], object] | None = None


@dataclass(frozen=True)
class PhaseInfo:
    """What the passes of a phase have in common: new tokens per sequence, and tokens in the cache before."""

    name: str
    passes: int  # in one round
    tokens: int | None
    cache_length: int | None = None


@dataclass(frozen=True)
class Scenario:
    """A workload in a mode. `round()` yields the passes of one round, to be run one after the other."""

    work: Workload
    mode: str
    phases: tuple[PhaseInfo, ...]
    round: Callable[[], Iterator[Pass]]
    learns: bool = False  # needs gradients; each pass is part of a step

    @property
    def passes_per_round(self) -> int:
        return sum(phase.passes for phase in self.phases)


def scenario(
    work: Workload,
    mode: str,
    *,
    cache_length: int | None = None,
    new_tokens: int = 8,
    optimizer: str = "adamw",
) -> Scenario:
    """What `mode` does with `work`.

    `cache_length`: tokens in the cache before a decode pass (default: the workload's sequence length).
    `new_tokens`: decode passes of one generation. `optimizer`: of a training step.

    Raises:
        CaptureError: the model cannot run in this mode.
    """
    if mode == "forward":
        info = PhaseInfo("forward", 1, work.sequence_length)

        def forward_round() -> Iterator[Pass]:
            yield Pass("forward", work.run)

        return Scenario(work, mode, (info,), forward_round)
    if mode == "train":
        return _training(work, optimizer)
    decoder = _Decoder(work)
    if mode == "prefill":

        def prefill_round() -> Iterator[Pass]:
            yield Pass("prefill", decoder.prefill)

        return Scenario(decoder.work, mode, (decoder.prefill_info(1),), prefill_round)
    if mode == "decode":
        return _decoding(decoder, cache_length)

    def call_into(outputs: list[Any], inputs: Mapping[str, Any]) -> None:
        outputs.append(decoder.call(inputs))

    def generation() -> Iterator[Pass]:
        outputs: list[Any] = []
        yield Pass("prefill", lambda: outputs.append(decoder.prefill()))
        for _ in range(new_tokens):
            inputs = decoder.next_inputs(outputs.pop())
            yield Pass("decode", partial(call_into, outputs, inputs))

    decode = PhaseInfo("decode", new_tokens, 1, decoder.prompt_length)
    return Scenario(decoder.work, mode, (decoder.prefill_info(1), decode), generation)


def _decoding(decoder: _Decoder, cache_length: int | None) -> Scenario:
    """One token after a filled cache; every pass finds the cache as long as the others do."""
    if cache_length is not None:
        decoder = decoder.with_prompt_of(cache_length)
    filled: list[Any] = []

    def decode_round() -> Iterator[Pass]:
        if not filled:
            filled.append(decoder.next_inputs(decoder.prefill()))
        inputs = _with_own_objects(filled[0])
        yield Pass("decode", lambda: decoder.call(inputs))

    info = PhaseInfo("decode", 1, 1, decoder.prompt_length)
    work = replace(decoder.work, sequence_length=1)
    return Scenario(work, "decode", (info,), decode_round)


def _with_own_objects(inputs: dict[str, Any]) -> dict[str, Any]:
    """A copy that shares its tensors with `inputs`, so that making it moves nothing on the device.

    A cache appends by replacing its tensors with longer ones; the copy's replacement leaves `inputs` as
    they are. A recurrent state is overwritten in place, and is as large afterwards as before.
    """
    shared = {id(tensor): tensor for tensor in _tensors_inside(inputs, set())}
    return copy.deepcopy(inputs, shared)


def _tensors_inside(value: object, seen: set[int]) -> Iterator[torch.Tensor]:
    """The tensors that `value` holds, in collections and in attributes."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors_inside(inner, seen)
    elif isinstance(value, list | tuple | set):
        for inner in value:
            yield from _tensors_inside(inner, seen)
    elif hasattr(value, "__dict__"):
        yield from _tensors_inside(vars(value), seen)


class _Decoder:
    """A generating model: runs its prompt, and then single tokens with the cache that it returned."""

    def __init__(self, work: Workload) -> None:
        self._forward_names = frozenset(forward_parameters(work.model))
        name = type(work.model).__name__
        self._cache_name = next((each for each in _CACHE_NAMES if each in self._forward_names), "")
        if not self._cache_name or not takes(work.model, "use_cache"):
            raise CaptureError(
                f"--mode prefill, decode and generate need a model with a cache: {name} has none, "
                "use --mode forward or train"
            )
        self._token_name = "decoder_input_ids" if "decoder_input_ids" in work.inputs else "input_ids"
        tokens = work.inputs.get(self._token_name)
        if not isinstance(tokens, torch.Tensor) or tokens.ndim != 2 or not tokens.numel():
            raise CaptureError(
                f"{name} needs {self._token_name} of batch × tokens among its inputs to decode from"
            )
        # What generation asks for: the logits of the last position only.
        last_only = {"logits_to_keep": 1} if "logits_to_keep" in self._forward_names else {}
        inputs, length = dict(work.inputs), work.sequence_length
        if self._token_name == "decoder_input_ids":
            inputs[self._token_name] = self._tokens(work)[:, :1]  # generation starts from a single one
            length = length if "input_ids" in inputs else 1  # an encoder's text, if it reads any
        settings = {**work.settings, "use_cache": True, **last_only}
        self.work = replace(work, inputs=inputs, settings=settings, sequence_length=length)

    @property
    def prompt_length(self) -> int:
        """Tokens in the decoder's cache after the prompt."""
        return int(self._tokens(self.work).shape[1])

    def prefill_info(self, passes: int) -> PhaseInfo:
        return PhaseInfo("prefill", passes, self.work.sequence_length, 0)

    def with_prompt_of(self, length: int) -> _Decoder:
        """The same model with a prompt of `length` tokens, repeated from its own ones."""
        tokens = self._tokens(self.work)
        repeats = -(-length // tokens.shape[1])
        longer = copy.copy(self)
        inputs = {**self.work.inputs, self._token_name: tokens.repeat(1, repeats)[:, :length].contiguous()}
        longer.work = replace(self.work, inputs=inputs)
        return longer

    def prefill(self) -> Any:
        return self.work.run()

    def call(self, inputs: Mapping[str, Any]) -> Any:
        return self.work.model(**inputs, **self.work.settings)

    def next_inputs(self, output: Any) -> dict[str, Any]:
        """The inputs of the pass after the one that returned `output`: its likeliest token, its cache."""
        cache = getattr(output, self._cache_name, None)
        if cache is None:
            raise CaptureError(f"{type(self.work.model).__name__} returned no cache ({self._cache_name})")
        inputs = {self._token_name: output.logits[:, -1:].argmax(-1), self._cache_name: cache}
        encoded = getattr(output, "encoder_last_hidden_state", None)
        if encoded is not None and "encoder_outputs" in self._forward_names:
            inputs["encoder_outputs"] = (encoded,)
        return inputs

    def _tokens(self, work: Workload) -> torch.Tensor:
        tokens = work.inputs[self._token_name]
        assert isinstance(tokens, torch.Tensor)
        return tokens


def _training(work: Workload, optimizer_name: str) -> Scenario:
    """Forward with a loss, backward, and a step of the optimizer."""
    model = work.model
    trained = [one for one in model.parameters() if not is_lazy(one) and one.is_floating_point()]
    if not trained:
        raise CaptureError(f"{type(model).__name__} has no parameters to train")
    model.train()
    for parameter in trained:
        parameter.requires_grad_(True)
    with failures_named(f"making the optimizer {optimizer_name}"):
        optimizer = _optimizer(optimizer_name, trained)
    work = replace(work, inputs={**work.inputs, **work.labels()})
    losses: list[torch.Tensor] = []

    def forward() -> None:
        losses.append(loss_of(work.run()))

    def learn() -> None:
        with torch.profiler.record_function("backward"):
            losses.pop().backward()
        if optimizer is not None:
            optimizer.step()
        for parameter in trained:
            parameter.grad = None

    def step() -> Iterator[Pass]:
        yield Pass("forward", forward, learn)

    info = PhaseInfo("forward", 1, work.sequence_length)
    return Scenario(work, "train", (info,), step, learns=True)


def _optimizer(name: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer | None:
    """The optimizer `name` with so small a rate that random data do no harm."""
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=1e-6)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=1e-6)
    return None


def loss_of(output: object) -> torch.Tensor:
    """The loss that a model returned, else the mean of the first floating tensor in what it returned.

    Raises:
        CaptureError: there is none.
    """
    loss = getattr(output, "loss", None)
    if isinstance(loss, torch.Tensor):
        return loss.mean()  # one of each device, from DataParallel
    found = next(floating_tensors(output), None)
    if found is None:
        raise CaptureError("the forward returns no floating tensor to differentiate")
    return found.float().mean()


def floating_tensors(value: object) -> Iterator[torch.Tensor]:
    """The tensors with gradients in a nest of mappings and sequences, in its order."""
    if isinstance(value, torch.Tensor):
        if value.requires_grad:
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from floating_tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from floating_tensors(inner)
