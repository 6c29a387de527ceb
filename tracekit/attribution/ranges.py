"""Which user ranges are plainly a module tree: dotted paths that nest as their prefixes say."""

from __future__ import annotations

import re

import numpy as np

from tracekit.attribution.intervals import NOBODY, Mask, nest
from tracekit.trace import Intervals, Trace

_PATH = re.compile(r"[^\W\d]\w*(\.\w+)*")
_LOOP_WORDS = frozenset(
    (
        "backward",
        "data",
        "dataloader",
        "eval",
        "forward",
        "generate",
        "iteration",
        "loss",
        "optimizer",
        "step",
        "train",
        "validation",
    )
)


def is_module_range(trace: Trace) -> Mask:
    """Per annotation, whether it is a call of a module.

    A tree is proven by ranges named `a.b` or `a.b.c` right inside ranges named `a`. To it belong all
    dotted names that start like it, and the plain identifiers beside its roots that are called as often
    (`lm_head` beside `backbone`), unless they name a part of a training loop.
    """
    annotations = trace.annotations
    is_path = np.array([_PATH.fullmatch(name) is not None for name in trace.names], np.bool_)
    candidate = np.flatnonzero(is_path[annotations.name])
    result = np.zeros(len(annotations), np.bool_)
    if not len(candidate):
        return result
    name, thread = annotations.name[candidate], annotations.thread[candidate]
    nesting = nest(Intervals(name, thread, annotations.start[candidate], annotations.end[candidate]))
    inside = np.flatnonzero(nesting.parent != NOBODY)
    pairs = {(int(p), int(c)) for p, c in zip(name[nesting.parent[inside]], name[inside], strict=True)}
    proven = {
        path
        for parent, child in pairs
        if trace.names[child].startswith(trace.names[parent] + ".")
        for path in (trace.names[parent], trace.names[child])
    }
    if not proven:
        return result
    first_parts = {path.partition(".")[0] for path in proven}
    roots = {path for path in proven if not any(path.startswith(f"{other}.") for other in proven)}
    counts = dict(zip(*(column.tolist() for column in np.unique(name, return_counts=True)), strict=True))
    root_calls = {counts[code] for code in counts if trace.names[code] in roots}
    enclosing_names = {parent for parent, _ in pairs}

    def belongs(code: int) -> bool:
        path = trace.names[code]
        if path in proven:
            return True
        if "." in path:
            return path.partition(".")[0] in first_parts
        beside_roots = code not in enclosing_names and counts[code] in root_calls
        return beside_roots and path.islower() and path not in _LOOP_WORDS

    is_module = np.zeros(len(trace.names), np.bool_)
    for code in counts:
        is_module[code] = belongs(code)
    result[candidate] = is_module[name]
    return result
