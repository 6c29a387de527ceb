"""Scopes: a range around every call of a module, put on and taken off again.

A scope replaces the module's `forward` on the instance. Forward hooks would be the obvious way, but they
miss a parent that calls `child.forward(...)`, do not close on `KeyboardInterrupt`, cost three times as
much (`__call__` leaves its fast path as soon as a hook exists), and change what is measured:
`nn.TransformerEncoderLayer` gives up its fused kernels when any module in it has a hook.

What a scope opens is a `record_function` range by default; counting and memory open their own. Nothing
here knows of profilers, passes or files.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import nn

from tracekit.capture.errors import CaptureError

_MARK = "_tracekit_scope"
_UNSAFE = re.compile(r'[^ -~]|["\\]')

# A numbered module is a block unless its type says that it only holds blocks.
_NUMBERED = re.compile(r"(^|\.)\d+$")
_HOLDS_BLOCKS = re.compile(r"Stage|^Sequential$|^ModuleList$|(Encoder|Decoder|Stack|Model|Tower)$")

Range: TypeAlias = AbstractContextManager[Any]

# The fast one takes about 0.5 µs a call, torch.profiler.record_function 7 µs: with a thousand modules that
# is the difference between a trace and a distorted one. It opens a new range per object, so a call
# constructs its own: calls nest, and several threads may run the same module.
_record_function: Callable[[str], Range] = getattr(
    torch._C._profiler, "_RecordFunctionFast", torch.profiler.record_function
)


def module_scope_name(index: int, path: str) -> str:
    """`tracekit:<index in the module table>:<path in ASCII>`; the index is what identifies the module.

    torch writes a quote unescaped into the trace, turns a backslash into a slash, and drops a name with
    non-ASCII letters altogether, hence `_` for each of them.
    """
    return f"tracekit:{index}:{_UNSAFE.sub('_', path)}"


def pass_scope(number: int) -> Range:
    """The scope `tracekit:forward:<number>` around one whole pass."""
    return _record_function(f"tracekit:forward:{number}")


def module_scope(index: int, path: str) -> Range:
    """A single call's scope, for code that runs a module without calling it (a CUDA graph's replay)."""
    return _record_function(module_scope_name(index, path))


@dataclass(frozen=True)
class Scoped:
    """Which modules have a scope, by index in `modules`, and which of them were called."""

    modules: tuple[tuple[str, nn.Module], ...]  # `model.named_modules()` as it was when the scopes went on
    indices: tuple[int, ...]
    callable: tuple[int, ...]  # those that have a forward, as a ModuleList has none
    compiled: tuple[int, ...]  # compiled regions: one scope each, none inside
    called: bytearray = field(repr=False)  # 1 per module called so far

    @property
    def not_called(self) -> tuple[int, ...]:
        return tuple(index for index in self.callable if not self.called[index])


@contextmanager
def module_scopes(
    model: nn.Module,
    *,
    which: str = "all",
    open_range: Callable[[int], Range] | None = None,
    on_error: Callable[[BaseException], object] | None = None,
) -> Iterator[Scoped]:
    """Inside, calls of the chosen modules of `model` are scopes; afterwards the model is as it was.

    A module is numbered by its place in `model.named_modules()`, which names a shared module once, by its
    first path. Modules inside a compiled or replicated one get
    no scope of their own. `open_range` opens something else than a profiler's range, by module index.
    `on_error` is told what a call of the root raises, once its scope is closed.

    Raises:
        CaptureError: the model has scopes already, or `which` is no choice (see `chosen_modules`).
    """
    closed = {id(inner) for module in model.modules() if _is_closed(module) for inner in _inside(module)}
    modules = tuple(model.named_modules())
    chosen = [index for index in chosen_modules(model, which) if id(modules[index][1]) not in closed]
    scoped = Scoped(
        modules=modules,
        indices=tuple(chosen),
        callable=tuple(index for index in chosen if _has_forward(modules[index][1])),
        compiled=tuple(
            index
            for index, (_, module) in enumerate(modules)
            if _is_compiled(module) and id(module) not in closed
        ),
        called=bytearray(len(modules)),
    )
    undo: list[Callable[[], None]] = []
    live = [True]
    try:
        for index in chosen:
            path, module = modules[index]
            key: Any = index
            if open_range is None:
                key = module_scope_name(index, path)
            opened: Callable[[Any], Range] = open_range or _record_function
            if on_error is not None and index == 0:
                opened = functools.partial(_reporting, opened, on_error)
            undo.append(_put_on(module, index, key, opened, scoped.called, live))
        yield scoped
    finally:
        live.clear()
        for take_off in reversed(undo):
            take_off()


@contextmanager
def _reporting(
    open_range: Callable[[Any], Range], on_error: Callable[[BaseException], object], key: object
) -> Iterator[None]:
    try:
        with open_range(key):
            yield
    except BaseException as error:
        on_error(error)
        raise


def chosen_modules(model: nn.Module, which: str) -> list[int]:
    """The indices of the modules that `which` chooses: the root always, and

    `all`; `blocks`: the model's repeated layers and what stands outside them, nothing inside them;
    `leaves`: modules without children; a number: modules at most that deep (the root is 0).

    Raises:
        CaptureError: `which` is none of these.
    """
    modules = list(model.named_modules())
    if which == "all":
        return list(range(len(modules)))
    if which == "leaves":
        return [index for index, (path, module) in enumerate(modules) if not path or _is_leaf(module)]
    if which == "blocks":
        blocks: set[str] = set()
        outside = []
        for index, (path, module) in enumerate(modules):
            if any(_is_inside(path, block) for block in _prefixes(path) if block in blocks):
                continue
            outside.append(index)
            if (
                _NUMBERED.search(path)
                and not _is_leaf(module)
                and not _HOLDS_BLOCKS.search(type(module).__name__)
            ):
                blocks.add(path)
        return outside
    if which.isdecimal():
        depth = int(which)
        return [index for index, (path, _) in enumerate(modules) if not path or path.count(".") < depth]
    raise CaptureError(f"--scopes {which}: must be all, blocks, leaves or a depth such as 2")


def _prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _is_inside(path: str, block: str) -> bool:
    return path.startswith(f"{block}.")


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _has_forward(module: nn.Module) -> bool:
    return getattr(module.forward, "__func__", None) is not nn.Module.forward


def _put_on(
    module: nn.Module,
    index: int,
    key: object,
    open_range: Callable[[Any], Range],
    called: bytearray,
    live: list[bool],
) -> Callable[[], None]:
    """Put a scope on one module; returns what takes it off. It opens ranges while `live` is not empty."""
    # A module after `module.compile()` calls `_compiled_call_impl` and never its own `forward`.
    slot = "_compiled_call_impl" if _is_compiled_in_place(module) else "forward"
    call = getattr(module, slot)
    if getattr(call, _MARK, None):  # a scope of an earlier capture, in somebody's wrapper, is no longer live
        raise CaptureError(
            f"{type(module).__name__} has a scope already: one capture of a model at a time, please"
        )
    # Through __dict__, because subclasses override __setattr__ (torch.compile's wrapper hands it on).
    attributes = module.__dict__
    was_there = slot in attributes
    scoped = attributes[slot] = _scoped(module, call, index, key, open_range, called, live)
    replicates = "_replicate_for_data_parallel" not in attributes
    if replicates:
        attributes["_replicate_for_data_parallel"] = functools.partial(_replica, module, slot)

    def take_off() -> None:
        if replicates:
            attributes.pop("_replicate_for_data_parallel", None)
        if attributes.get(slot) is not scoped:
            return  # somebody has laid a wrapper of their own over ours, and theirs is not ours to remove
        if was_there:
            attributes[slot] = call
        else:
            del attributes[slot]

    return take_off


def _scoped(
    module: nn.Module,
    call: Callable[..., Any],
    index: int,
    key: object,
    open_range: Callable[[Any], Range],
    called: bytearray,
    live: list[bool],
) -> Callable[..., Any]:
    """`call` inside a scope, of the same kind as `call`, with its signature.

    Where a compiled function calls the module, Dynamo traces through as if there were no scope: a range
    would break its graph, and inductor would drop it. A copy of the module, which copies the scope along,
    runs without.
    """
    is_compiling = torch.compiler.is_dynamo_compiling
    owner = id(module)
    if isinstance(call, types.MethodType) and call.__self__ is module:
        function = call.__func__

        @functools.wraps(function)
        def method(self: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
            if is_compiling() or not live or id(self) != owner:
                return function(self, *args, **kwargs)
            called[index] = 1
            with open_range(key):
                return function(self, *args, **kwargs)

        setattr(method, _MARK, live)
        return types.MethodType(method, module)

    @functools.wraps(call)
    def plain(*args: Any, **kwargs: Any) -> Any:
        if is_compiling() or not live:
            return call(*args, **kwargs)
        called[index] = 1
        with open_range(key):
            return call(*args, **kwargs)

    setattr(plain, _MARK, live)
    return plain


def _replica(module: nn.Module, slot: str) -> Any:
    """A replica for another device, without the scope, which would run the original's weights."""
    replica: Any = type(module)._replicate_for_data_parallel(module)
    for name in (slot, "_replicate_for_data_parallel"):
        replica.__dict__.pop(name, None)
    return replica


def _is_closed(module: nn.Module) -> bool:
    """Whether what is inside the module must not be touched.

    A compiled module is recompiled when anything in it changes; DataParallel copies the instance
    attributes of its child, so that every replica would run the original on the first device.
    """
    return _is_compiled(module) or isinstance(module, nn.DataParallel | torch.jit.ScriptModule)


def _is_compiled(module: nn.Module) -> bool:
    return type(module).__name__ == "OptimizedModule" or _is_compiled_in_place(module)


def _is_compiled_in_place(module: nn.Module) -> bool:
    return module.__dict__.get("_compiled_call_impl") is not None


def _inside(module: nn.Module) -> Iterator[nn.Module]:
    return (inner for inner in module.modules() if inner is not module)
