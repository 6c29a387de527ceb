"""Counting: matrix FLOPs of every module in one pass, and which modules work without being called.

One pass runs under `torch.utils.flop_counter` with scopes that read the counter as they open and close, so
that traces without shapes keep FLOPs, and ours have something to be compared with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tracekit.capture.scopes import module_scopes


@dataclass
class Counts:
    """What a counted stretch of work did; modules by index in `model.named_modules()`."""

    flops: dict[int, int] = field(default_factory=dict)  # with children
    calls: dict[int, int] = field(default_factory=dict)  # outermost ones of each module
    not_called: tuple[int, ...] = ()
    used_without_call: dict[int, int | None] = field(default_factory=dict)  # module → by whose code


@contextmanager
def counting(model: nn.Module) -> Iterator[Counts]:
    """Count what runs inside; the result is complete at the end.

    FLOPs are those of the forwards (and of what a checkpoint runs again), not of the backward pass.
    """
    counts = Counts()
    counter = FlopCounterMode(display=False)
    watch = _Watch(model)
    inside: dict[int, int] = defaultdict(int)  # calls of each module that are open

    @contextmanager
    def open_range(index: int) -> Iterator[None]:
        before = counter.get_total_flops()
        inside[index] += 1
        stack = watch.stacks[get_ident()]
        stack.append(index)
        try:
            yield
        finally:
            stack.pop()
            inside[index] -= 1
            if not inside[index]:  # a call within itself is part of the outer one
                counts.flops[index] = counts.flops.get(index, 0) + counter.get_total_flops() - before
                counts.calls[index] = counts.calls.get(index, 0) + 1

    with module_scopes(model, open_range=open_range) as scoped, counter, watch:
        yield counts
    counts.not_called = scoped.not_called
    called = set(scoped.indices) - set(scoped.not_called)
    counts.used_without_call = {module: by for module, by in watch.used.items() if module not in called}


class _Watch(TorchDispatchMode):  # type: ignore[misc]
    """Notices the use of a parameter while none of the modules that hold it is being called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.stacks: dict[int, list[int]] = defaultdict(list)  # open calls by thread
        self.used: dict[int, int | None] = {}
        self._owners: dict[int, list[int]] = defaultdict(list)
        for index, module in enumerate(model.modules()):
            for parameter in module.parameters(recurse=False):
                self._owners[id(parameter)].append(index)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        stack = self.stacks[get_ident()]
        if stack:  # outside of any call it is an optimizer's or a user's own business
            for value in (*args, *kwargs.values()):
                for tensor in value if isinstance(value, list | tuple) else (value,):
                    owners = self._owners.get(id(tensor)) if isinstance(tensor, torch.Tensor) else None
                    if owners and not any(owner in stack for owner in owners):
                        for owner in owners:
                            self.used.setdefault(owner, stack[-1])
        return func(*args, **kwargs)
