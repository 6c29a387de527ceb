"""Where modules come from: sources that all give the same thing, a `ModuleTree`.

tracekit's own scopes, `nn.Module` frames, user ranges that are plainly a module tree, or nothing: the best
that a trace has is used, never two at once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from tracekit.attribution.intervals import NOBODY, Mask, Nesting, nest, numbered, pair_keys
from tracekit.attribution.ranges import is_module_range
from tracekit.messages import N_, Message
from tracekit.trace import FRAME_PREFIX, Intervals, Ints, Trace

_SCOPE_NAME = re.compile(r"tracekit:(forward|\d{1,9}):(.*)", re.DOTALL)
# Modules nested deeper than this are no modules of their own: every path repeats those above it, and 5,000
# levels made a report of hundreds of megabytes. No model nests more than some tens of them on purpose.
MOST_LEVELS = 256
_TYPE_OF_FRAME = re.compile(r"(.*?)(?:_\d+)?", re.DOTALL)


Table: TypeAlias = Mapping[str, Sequence[tuple[str, str | None]]]
"""Path and type of each module directly below a path."""


@dataclass(frozen=True)
class Module:
    path: str
    name: str  # "Linear_75" for frames, the last part of the path otherwise
    type: str | None
    parent: int  # index into ModuleTree.modules by the first call's nesting, NOBODY for an outermost one
    table_index: int | None = None  # in capture's module table


@dataclass(frozen=True)
class ModuleTree:
    """The modules, in the order of their first calls, and their scopes."""

    source: str | None  # "scopes", "frames", "ranges"
    modules: Sequence[Module]
    scopes: Intervals
    module: Ints  # of each scope
    nesting: Nesting  # of the scopes
    forwards: Intervals  # capture's own scopes around passes
    is_scope_op: Mask  # per entry of trace.ops: is a scope, no op
    is_region: Mask  # per entry of trace.annotations: is a user's own range
    table: Table = field(default_factory=dict)  # of capture: it knows modules without scopes too
    warnings: tuple[Message, ...] = ()


def find_modules(trace: Trace) -> ModuleTree:
    """The modules of `trace`, from the best source that it has."""
    is_scope_name = np.array([_SCOPE_NAME.fullmatch(name) is not None for name in trace.names], np.bool_)
    is_scope_op = is_scope_name[trace.ops.name]
    is_scope_range = is_scope_name[trace.annotations.name]
    scopes = join(take(trace.ops, is_scope_op), take(trace.annotations, is_scope_range))
    if len(scopes):
        return _from_scopes(trace, scopes, is_scope_op, ~is_scope_range)
    nothing = take(trace.annotations, is_scope_range)
    if len(trace.frames):
        keys = pair_keys(trace.processes[trace.frames.thread], trace.frames.name, len(trace.names))

        def describe_frame(key: int, parent: Module | None) -> Module:
            name = trace.names[key % len(trace.names)].removeprefix(FRAME_PREFIX)
            match = _TYPE_OF_FRAME.fullmatch(name)
            path = f"{parent.path}.{name}" if parent else name
            return Module(path, name, match[1] if match else None, NOBODY)

        return _tree("frames", trace.frames, keys, describe_frame, nothing, is_scope_op, ~is_scope_range)
    is_module = is_module_range(trace)
    ranges = take(trace.annotations, is_module)

    def describe_range(key: int, parent: Module | None) -> Module:
        path = trace.names[key]
        return Module(path, path.rpartition(".")[2], None, NOBODY)

    return _tree(
        "ranges" if len(ranges) else None,
        ranges,
        ranges.name,
        describe_range,
        nothing,
        is_scope_op,
        ~is_module,
    )


def take(intervals: Intervals, at: Mask | Ints) -> Intervals:
    """The intervals at some positions, or where a mask is true."""
    return Intervals(intervals.name[at], intervals.thread[at], intervals.start[at], intervals.end[at])


def join(first: Intervals, second: Intervals) -> Intervals:
    """The intervals of both."""
    return Intervals(
        *(
            np.concatenate((getattr(first, column), getattr(second, column)))
            for column in ("name", "thread", "start", "end")
        )
    )


def _from_scopes(trace: Trace, scopes: Intervals, is_scope_op: Mask, is_region: Mask) -> ModuleTree:
    """From tracekit's own scopes; capture's module table says what an index stands for."""
    table = {row["index"]: row for row in _module_table(trace)}
    index_of_name = np.full(len(trace.names), NOBODY, np.int64)
    path_of_index: dict[int, str] = {}
    for code in np.unique(scopes.name):
        match = _SCOPE_NAME.fullmatch(trace.names[code])
        if match and match[1] != "forward":
            index_of_name[code] = int(match[1])
            path_of_index[int(match[1])] = match[2]
    index = index_of_name[scopes.name]

    def describe(key: int, parent: Module | None) -> Module:
        row = table.get(key, {})
        path, kind = row.get("path"), row.get("type")
        path = path if isinstance(path, str) else path_of_index[key]
        kind = kind if isinstance(kind, str) else None
        return Module(path, path.rpartition(".")[2] or kind or "", kind, NOBODY, key if row else None)

    is_module = index != NOBODY
    forwards = take(scopes, ~is_module)
    tree = _tree(
        "scopes", take(scopes, is_module), index[is_module], describe, forwards, is_scope_op, is_region
    )
    return replace(tree, table=_below(table.values()))


def _below(rows: Iterable[dict[str, Any]]) -> Table:
    found: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    for row in rows:
        path, kind = row.get("path"), row.get("type")
        if isinstance(path, str) and path:
            found[path.rpartition(".")[0]].append((path, kind if isinstance(kind, str) else None))
    return dict(found)


def _module_table(trace: Trace) -> list[dict[str, Any]]:
    """Capture's module table, as far as it has the form that capture gives it."""
    metadata = trace.metadata.get("tracekit")
    rows = metadata.get("modules") if isinstance(metadata, dict) else None
    return [
        row
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and isinstance(row.get("index"), int)
    ]


def _tree(
    source: str | None,
    scopes: Intervals,
    keys: Ints,
    describe: Callable[[int, Module | None], Module],
    forwards: Intervals,
    is_scope_op: Mask,
    is_region: Mask,
) -> ModuleTree:
    """The tree of scopes that are calls of the modules `keys`; a module's place is that of its first call."""
    nesting = nest(scopes)
    distinct, module = numbered(keys)
    latest_first = np.lexsort((nesting.depth, scopes.start))[::-1]
    first_call = np.empty(len(distinct), np.int64)
    first_call[module[latest_first]] = latest_first  # of several calls the last one here is what stays
    by_time = np.lexsort((nesting.depth[first_call], scopes.start[first_call]))
    rank = np.empty(len(distinct), np.int32)
    rank[by_time] = np.arange(len(distinct))
    module = rank[module]
    modules: list[Module] = []
    levels: list[int] = []
    for key, call in zip(distinct[by_time], first_call[by_time], strict=True):
        parent_scope = nesting.parent[call]
        parent = int(module[parent_scope]) if parent_scope != NOBODY else NOBODY
        if parent >= len(modules):  # its first call is its own child's: a loop of recursion
            parent = NOBODY
        levels.append(1 if parent == NOBODY else levels[parent] + 1)
        if levels[-1] > MOST_LEVELS:
            modules.append(Module("", "", None, parent))
            continue
        described = describe(int(key), modules[parent] if parent != NOBODY else None)
        modules.append(Module(described.path, described.name, described.type, parent, described.table_index))
    is_shallow = np.array(levels, np.int64) <= MOST_LEVELS
    if is_shallow.all():
        return ModuleTree(source, modules, scopes, module, nesting, forwards, is_scope_op, is_region)
    # What stands in no deeper scope than these, counts as theirs.
    kept = is_shallow[module]
    tree = _tree(source, take(scopes, kept), keys[kept], describe, forwards, is_scope_op, is_region)
    return replace(tree, warnings=(_too_deep(int((~is_shallow).sum()), max(levels)),))


def _too_deep(modules: int, levels: int) -> Message:
    return N_(
        "modules are nested {levels} levels deep: {modules} of them, below level {most}, have no rows of "
        "their own; their time and work counts as that of the module at that level which they are in",
        levels=levels,
        modules=modules,
        most=MOST_LEVELS,
    )
