"""Scopes on models that do not behave, and the model afterwards."""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from tracekit.capture.errors import CaptureError
from tracekit.capture.scopes import chosen_modules, module_scope_name, module_scopes, pass_scope


def recorded(model: nn.Module, run: Callable[[], object]) -> list[str]:
    """The names of the scopes that a run of `model` leaves, in the order in which they open."""
    with module_scopes(model), profile(activities=[ProfilerActivity.CPU]) as profiler:
        run()
    events: Any = profiler.events()
    ours = (event for event in events if event.name.startswith("tracekit:"))
    return [event.name for event in sorted(ours, key=lambda event: event.time_range.start)]


def attributes(model: nn.Module) -> list[dict[str, Any]]:
    return [dict(module.__dict__) for module in model.modules()]


class Parent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.child = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.child.forward(x)  # past __call__, and so past every hook


class Recursive(nn.Module):
    def forward(self, x: torch.Tensor, depth: int = 0) -> torch.Tensor:
        return x if depth == 2 else self(x + 1, depth=depth + 1)


class Forgiving(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bad = nn.Linear(3, 3)
        self.good = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            self.bad(x)
        except RuntimeError:
            return self.good(x)
        raise AssertionError


X = torch.ones(1, 2)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "tracekit:7:"),
        ("layers.0.mlp", "tracekit:7:layers.0.mlp"),
        ('a"b\\c\td é~', "tracekit:7:a_b_c_d _~"),
    ],
)
def test_names_are_ascii_without_quotes(path: str, name: str) -> None:
    assert module_scope_name(7, path) == name


def test_a_forward_called_directly_has_a_scope() -> None:
    model = Parent()
    assert recorded(model, lambda: model(X)) == ["tracekit:0:", "tracekit:1:child"]


def test_a_module_that_calls_itself_has_a_scope_for_every_call() -> None:
    model = Recursive()
    assert recorded(model, lambda: model(X)) == ["tracekit:0:"] * 3


def test_a_scope_closes_when_its_forward_raises() -> None:
    model = Forgiving()
    with module_scopes(model), profile(activities=[ProfilerActivity.CPU]) as profiler:
        model(X)
    events: Any = profiler.events()
    spans = {event.name: event.time_range for event in events if event.name.startswith("tracekit:")}
    assert set(spans) == {"tracekit:0:", "tracekit:1:bad", "tracekit:2:good"}
    assert spans["tracekit:1:bad"].end <= spans["tracekit:2:good"].start


def test_hooks_run_and_may_replace_what_goes_in_and_comes_out() -> None:
    model = nn.Linear(2, 2)
    expected = model(X + 1) * 3
    model.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    model.register_forward_hook(lambda module, args, output: output * 3)
    seen: list[torch.Tensor] = []
    assert recorded(model, lambda: seen.append(model(X))) == ["tracekit:0:"]
    assert torch.equal(seen[0], expected)


def test_scopes_are_no_hooks() -> None:
    # nn.TransformerEncoderLayer gives up its fused path when it finds a hook
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.inference_mode(), module_scopes(model), profile(activities=[ProfilerActivity.CPU]) as profiler:
        model(torch.ones(1, 3, 8))
    events: Any = profiler.events()
    assert "aten::_transformer_encoder_layer_fwd" in {event.name for event in events}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_afterwards_the_model_is_as_it_was(error: type[BaseException]) -> None:
    model = nn.Sequential(Parent(), nn.ModuleList([nn.ReLU()]))
    before = attributes(model)
    with pytest.raises(error), module_scopes(model):
        raise error
    assert attributes(model) == before


def test_a_forward_on_the_instance_is_wrapped_and_put_back() -> None:
    model = nn.Linear(2, 2)
    own = model.forward = lambda x: x * 5
    seen: list[torch.Tensor] = []
    assert recorded(model, lambda: seen.append(model(X))) == ["tracekit:0:"]
    assert torch.equal(seen[0], X * 5)
    assert model.__dict__["forward"] is own


def test_a_wrapper_laid_over_ours_stays() -> None:
    model = nn.Linear(2, 2)
    with module_scopes(model):
        inner = model.forward
        theirs = model.forward = lambda x: inner(x)
    assert model.__dict__["forward"] is theirs
    assert model(X).shape == (1, 2)


def test_the_signature_stays() -> None:
    model = Recursive()
    plain = inspect.signature(model.forward)
    with module_scopes(model):
        assert inspect.signature(model.forward) == plain
        assert model.forward.__self__ is model


def test_a_copy_made_inside_runs_its_own_weights() -> None:
    model = nn.Linear(2, 2, bias=False)
    with module_scopes(model):
        clone = copy.deepcopy(model)
    nn.init.zeros_(clone.weight)
    assert clone(X).abs().sum() == 0


def test_threads_share_a_module() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    with module_scopes(model), profile(activities=[ProfilerActivity.CPU]):
        threads = [threading.Thread(target=lambda: [model(X) for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "forward" not in model.__dict__


def test_scopes_cannot_be_put_on_twice() -> None:
    model = Parent()
    before = attributes(model)
    with module_scopes(model), pytest.raises(CaptureError, match="a scope already"), module_scopes(model):
        pass
    assert attributes(model) == before


@pytest.mark.parametrize("in_place", [True, False])
def test_a_compiled_module_is_one_scope_and_is_not_recompiled(in_place: bool) -> None:
    compilations = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        compilations.append(graph)
        return graph.forward

    inner: Any = Parent()
    if in_place:
        inner.compile(backend=backend)
    else:
        inner = torch.compile(inner, backend=backend)
    model = nn.Sequential(inner, nn.ReLU())
    before = attributes(model)
    with torch.no_grad():
        model(X)
        assert len(compilations) == 1
        scopes = recorded(model, lambda: model(X))
    last = len(list(model.modules())) - 1
    assert scopes == ["tracekit:0:", "tracekit:1:0", f"tracekit:{last}:1"]
    assert len(compilations) == 1
    assert attributes(model) == before


class PartlyCompiled(nn.Module):
    """Calls one of its modules from within a compiled function, which may not break its graph."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(2, 2), nn.Linear(2, 2)
        self.compiled = torch.compile(self.part, fullgraph=True, backend="eager")

    def part(self, x: torch.Tensor) -> torch.Tensor:
        inner: torch.Tensor = self.inner(x)
        return inner + 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.outer(self.compiled(x))
        return y


def test_scopes_do_not_break_a_compiled_function() -> None:
    model = PartlyCompiled()
    expected = model(X)
    seen: list[torch.Tensor] = []
    assert recorded(model, lambda: seen.append(model(X))) == ["tracekit:0:", "tracekit:2:outer"]
    assert torch.equal(seen[0], expected)


def test_modules_that_were_not_called_are_known() -> None:
    model = PartlyCompiled()
    with module_scopes(model) as scoped:
        assert scoped.not_called == (0, 1, 2)
        model.outer(X)
        assert scoped.not_called == (0, 1)


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(2, 2)), Parent()])


def test_blocks_are_the_repeated_layers_and_what_is_outside() -> None:
    model = nn.Module()
    model.embed = nn.Linear(2, 2)
    model.stages = nn.ModuleList([Stage()])  # a stage holds blocks and is none
    model.layers = nn.ModuleList([Parent(), Parent()])
    paths = [path for path, _ in model.named_modules()]
    assert [paths[index] for index in chosen_modules(model, "blocks")] == [
        "",
        "embed",
        "stages",
        "stages.0",
        "stages.0.blocks",
        "stages.0.blocks.0",
        "stages.0.blocks.0.0",
        "stages.0.blocks.1",
        "layers",
        "layers.0",
        "layers.1",
    ]


def test_what_the_root_raises_is_told_once_its_scope_is_closed() -> None:
    model = nn.Sequential(Parent())
    told: list[BaseException] = []
    open_calls: list[int] = []

    @contextmanager
    def counted(index: int) -> Iterator[None]:
        open_calls.append(index)
        try:
            yield
        finally:
            open_calls.pop()

    def tell(error: BaseException) -> None:
        assert open_calls == []
        told.append(error)

    with module_scopes(model, open_range=counted, on_error=tell), pytest.raises(RuntimeError):
        model(torch.ones(1, 3))
    assert len(told) == 1


def test_a_scripted_module_is_one_scope() -> None:
    model = nn.Sequential(torch.jit.script(nn.Sequential(nn.ReLU())))
    assert recorded(model, lambda: model(X)) == ["tracekit:0:", "tracekit:1:0"]


def test_a_pass_has_a_scope_of_its_own() -> None:
    with profile(activities=[ProfilerActivity.CPU]) as profiler, pass_scope(4):
        torch.add(X, 1)
    events: Any = profiler.events()
    assert [event.name for event in events][:2] == ["tracekit:forward:4", "aten::add"]
