"""Scopes: a `record_function` range around every call of every module, put on and taken off again.

A scope replaces the module's `forward` on the instance. Forward hooks would be the obvious way, but they
miss a parent that calls `child.forward(...)`, do not close on `KeyboardInterrupt`, cost three times as
much (`__call__` leaves its fast path as soon as a hook exists), and change what is measured:
`nn.TransformerEncoderLayer` gives up its fused kernels when any module in it has a hook.

Nothing here knows of profilers, passes or files.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from tracekit.capture.errors import CaptureError

_MARK = "_tracekit_scope"
_UNSAFE = re.compile(r'[^ -~]|["\\]')

# The fast one takes about 0.5 µs a call, torch.profiler.record_function 7 µs: with a thousand modules that
# is the difference between a trace and a distorted one. It opens a new range per object, so a call
# constructs its own: calls nest, and several threads may run the same module.
_record_function: Callable[[str], AbstractContextManager[Any]] = getattr(
    torch._C._profiler, "_RecordFunctionFast", torch.profiler.record_function
)


def module_scope_name(index: int, path: str) -> str:
    """`tracekit:<index in the module table>:<path in ASCII>`; the index is what identifies the module.

    torch writes a quote unescaped into the trace, turns a backslash into a slash, and drops a name with
    non-ASCII letters altogether, hence `_` for each of them.
    """
    return f"tracekit:{index}:{_UNSAFE.sub('_', path)}"


def pass_scope(number: int) -> AbstractContextManager[Any]:
    """The scope `tracekit:forward:<number>` around one whole pass."""
    return _record_function(f"tracekit:forward:{number}")


@contextmanager
def module_scopes(model: nn.Module) -> Iterator[None]:
    """Inside, every call of a module of `model` is a scope; afterwards the model is as it was.

    A module is numbered by its place in `model.named_modules()`, which names a shared module once, by its
    first path. Modules inside a compiled or replicated one get no scope of their own.

    Raises:
        CaptureError: the model has scopes already.
    """
    closed = {id(inner) for module in model.modules() if _is_closed(module) for inner in _inside(module)}
    undo: list[Callable[[], None]] = []
    try:
        for index, (path, module) in enumerate(model.named_modules()):
            if id(module) not in closed:
                undo.append(_put_on(module, module_scope_name(index, path)))
        yield
    finally:
        for take_off in reversed(undo):
            take_off()


def _put_on(module: nn.Module, name: str) -> Callable[[], None]:
    """Put a scope on one module; returns what takes it off."""
    # A module after `module.compile()` calls `_compiled_call_impl` and never its own `forward`.
    slot = "_compiled_call_impl" if _is_compiled_in_place(module) else "forward"
    call = getattr(module, slot)
    if hasattr(call, _MARK):
        raise CaptureError(f"module {name!r} has a scope already: two captures of one model at a time")
    # Through __dict__, because subclasses override __setattr__ (torch.compile's wrapper hands it on).
    attributes = module.__dict__
    was_there = slot in attributes
    scoped = attributes[slot] = _scoped(module, call, name)

    def take_off() -> None:
        if attributes.get(slot) is not scoped:
            return  # somebody has laid a wrapper of their own over ours, and theirs is not ours to remove
        if was_there:
            attributes[slot] = call
        else:
            del attributes[slot]

    return take_off


def _scoped(module: nn.Module, call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`call` inside a scope, of the same kind as `call`, with its signature."""
    record_function = _record_function
    if isinstance(call, types.MethodType) and call.__self__ is module:
        function = call.__func__

        @functools.wraps(function)
        def method(self: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
            with record_function(name):
                return function(self, *args, **kwargs)

        setattr(method, _MARK, name)
        return types.MethodType(method, module)

    @functools.wraps(call)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with record_function(name):
            return call(*args, **kwargs)

    setattr(plain, _MARK, name)
    return plain


def _is_closed(module: nn.Module) -> bool:
    """Whether what is inside the module must not be touched.

    A compiled module is recompiled when anything in it changes; DataParallel copies the instance
    attributes of its child, so that every replica would run the original on the first device.
    """
    is_compiled = type(module).__name__ == "OptimizedModule" or _is_compiled_in_place(module)
    return is_compiled or isinstance(module, nn.DataParallel | torch.jit.ScriptModule)


def _is_compiled_in_place(module: nn.Module) -> bool:
    return module.__dict__.get("_compiled_call_impl") is not None


def _inside(module: nn.Module) -> Iterator[nn.Module]:
    return (inner for inner in module.modules() if inner is not module)
