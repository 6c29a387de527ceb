"""Counting: matrix FLOPs of every module in one pass, and which modules work without being called.

Each outermost call of a module runs under a dispatch mode of ours, which applies the formulas of
`torch.utils.flop_counter`, so that traces without shapes keep FLOPs, and ours have something to be compared
with. Not under its `FlopCounterMode`: that takes ops apart that have kernels of their own, so that the pass
which it counts computes other numbers than the rest; it knows no higher-order ops; its hooks hang on the
graph of gradients; and it would stay on while code runs that is not the model's.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from tracekit.capture.errors import one_line
from tracekit.capture.scopes import module_scopes


@dataclass
class Counts:
    """What a counted stretch of work did; modules by their place in `modules`."""

    modules: tuple[nn.Module, ...] = ()
    flops: dict[int, int] = field(default_factory=dict)  # with children
    calls: dict[int, int] = field(default_factory=dict)  # outermost ones of each module
    not_called: tuple[int, ...] = ()
    used_without_call: dict[int, int | None] = field(default_factory=dict)  # module → by whose code
    failure: str | None = None  # why there are no FLOPs

    def renumbered(self, modules: Sequence[nn.Module]) -> Counts:
        """The same by place in `modules`; of modules that are not among them nothing stays."""
        place = {id(module): index for index, module in enumerate(modules)}
        new = {index: place[id(module)] for index, module in enumerate(self.modules) if id(module) in place}

        def moved(values: Mapping[int, int]) -> dict[int, int]:
            return {new[index]: value for index, value in values.items() if index in new}

        return Counts(
            modules=tuple(modules),
            flops=moved(self.flops),
            calls=moved(self.calls),
            not_called=tuple(new[index] for index in self.not_called if index in new),
            used_without_call={
                new[index]: None if by is None else new.get(by)
                for index, by in self.used_without_call.items()
                if index in new
            },
            failure=self.failure,
        )


@contextmanager
def counting(
    model: nn.Module, *, on_error: Callable[[BaseException], object] | None = None
) -> Iterator[Counts]:
    """Count what runs inside; the result is complete at the end. `on_error`: see `module_scopes`.

    FLOPs are those of the forwards, not of the backward pass, nor of what a checkpoint runs again in it.
    What is compiled runs as it was written meanwhile.
    """
    counts = Counts(modules=tuple(model.modules()))
    work = _Work(model)
    with module_scopes(model, open_range=work.call, on_error=on_error) as scoped, _uncompiled():
        yield counts
    counts.flops, counts.calls, counts.failure = work.flops, work.calls, work.failure
    if work.failure:
        counts.flops = {}
    counts.not_called = scoped.not_called
    called = set(scoped.indices) - set(scoped.not_called)
    counts.used_without_call = {module: by for module, by in work.used.items() if module not in called}


def _uncompiled() -> AbstractContextManager[Any]:
    # Dynamo would give up what it finds under a dispatch mode, and for good.
    set_stance: Any = getattr(torch.compiler, "set_stance", None)
    stance: AbstractContextManager[Any] = nullcontext() if set_stance is None else set_stance("force_eager")
    return stance


@dataclass
class _Call:
    """A call of a module that is open."""

    module: int
    flops: int = 0


class _Thread(threading.local):
    """The open calls of a thread, and below them those of another thread that they work for."""

    def __init__(self) -> None:
        self.stack: list[_Call] = []
        self.is_counting = False


class _Work:
    """What calls have done so far, of whichever thread."""

    def __init__(self, model: nn.Module) -> None:
        self.flops: dict[int, int] = defaultdict(int)
        self.calls: dict[int, int] = defaultdict(int)
        self.used: dict[int, int | None] = {}
        self.failure: str | None = None
        self._thread = _Thread()
        self._lock = threading.Lock()
        self._roots: list[list[_Call]] = []  # stacks of the threads in which the root is running
        self._owners: dict[int, list[int]] = defaultdict(list)
        for index, module in enumerate(model.modules()):
            for parameter in module.parameters(recurse=False):
                self._owners[id(parameter)].append(index)

    @contextmanager
    def call(self, index: int) -> Iterator[None]:
        """The range of a call of the module `index`."""
        thread = self._thread
        if thread.is_counting:
            with self._opened(index):
                yield
            return
        if _runs_in_backward():
            yield
            return
        # A thread that the root's forward has started works for the calls that are waiting for it.
        thread.stack = list(self._roots[0]) if index != 0 and len(self._roots) == 1 else []
        if index == 0:
            self._roots.append(thread.stack)
        thread.is_counting = True
        try:
            with self._opened(index), _Mode(self, thread.stack):
                yield
        finally:
            thread.is_counting = False
            if index == 0:
                self._roots = [stack for stack in self._roots if stack is not thread.stack]

    @contextmanager
    def _opened(self, index: int) -> Iterator[None]:
        stack = self._thread.stack
        call = _Call(index)
        stack.append(call)
        try:
            yield
        finally:
            stack.pop()
            if all(outer.module != index for outer in stack):  # a call within itself is part of the outer one
                with self._lock:
                    self.flops[index] += call.flops
                    self.calls[index] += 1

    def add(self, stack: Sequence[_Call], flops: int) -> None:
        with self._lock:
            for call in stack:
                call.flops += flops

    def notice_use(self, stack: Sequence[_Call], values: Sequence[object]) -> None:
        """Note parameters that are used while none of the modules that hold them is being called."""
        inside = {call.module for call in stack}
        for value in values:
            for tensor in value if isinstance(value, list | tuple) else (value,):
                owners = self._owners.get(id(tensor)) if isinstance(tensor, torch.Tensor) else None
                if owners and inside.isdisjoint(owners):
                    for owner in owners:
                        self.used.setdefault(owner, stack[-1].module)


class _Mode(TorchDispatchMode):  # type: ignore[misc]
    """Sees every op of a call; `stack` are the calls that are open when it runs."""

    supports_higher_order_operators = True

    def __init__(self, work: _Work, stack: list[_Call]) -> None:
        super().__init__()
        self._work, self._stack = work, stack

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if any(kind not in (torch.Tensor, nn.Parameter) for kind in types):
            return NotImplemented  # a subclass takes its ops apart, and is asked again for the pieces
        self._work.notice_use(self._stack, (*args, *kwargs.values()))
        packet = getattr(func, "_overloadpacket", None)
        if packet is None:  # a higher-order op
            return func(*args, **kwargs)
        formula = flop_registry.get(packet)
        if formula is None and _is_made_of_others(func, args):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if formula is not None:
            try:
                self._work.add(self._stack, int(formula(*args, **kwargs, out_val=result)))
            except Exception as error:  # a formula that does not fit is no reason to stop the model
                self._work.failure = f"{func}: {type(error).__name__}: {one_line(str(error))}"
        return result


def _is_made_of_others(func: Any, args: Sequence[object]) -> bool:
    """Whether the op has no kernel of its own on this device; autograd takes such ones apart before.

    In inference mode there is no autograd in between.
    """
    devices = {value.device.type for value in args if isinstance(value, torch.Tensor)}
    key = "CUDA" if "cuda" in devices else "CPU"
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    return has_kernel(func.name(), "CompositeImplicitAutograd") and not has_kernel(func.name(), key)


def _runs_in_backward() -> bool:
    """Whether this thread executes a graph of gradients: a call in it is a checkpoint's second run."""
    task: Any = getattr(torch._C, "_current_graph_task_id", None)
    return task is not None and task() != -1
