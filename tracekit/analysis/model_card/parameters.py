"""Parameters from capture's module table: in total, of the blocks by kind, and those that one token uses.

The table counts what modules share once in each module that holds it, and does not say what is shared; a sum
over modules is believed where it agrees with the count of the module around them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tracekit.analysis.checked import as_count, as_object, as_objects, as_text
from tracekit.analysis.schema import KindParameters
from tracekit.attribution import Block, Module

DEEPEST_PATH = 64
_EXPERTS = re.compile(r"(.*\.)?experts")


def parameters_of(metadata: dict[str, Any]) -> dict[int, int]:
    """Parameters, its children's included, by index in capture's module table."""
    rows = as_objects(as_object(metadata.get("tracekit")).get("modules"))
    known = {as_count(row.get("index")): as_count(row.get("parameters")) for row in rows}
    return {
        index: parameters
        for index, parameters in known.items()
        if index is not None and parameters is not None
    }


def parameters_by_path(metadata: dict[str, Any]) -> dict[str, int]:
    """The same by the modules' paths; the root's is empty."""
    found = {}
    for row in as_objects(as_object(metadata.get("tracekit")).get("modules")):
        path, parameters = row.get("path"), as_count(row.get("parameters"))
        if parameters is not None and (path == "" or as_text(path)):
            found[str(path)] = parameters
    return found


def active_parameters(
    total: int | None, by_path: dict[str, int], experts: int | None, active: int | None
) -> int | None:
    """`total` less the share of the routed experts that a token is not routed to.

    Routed experts are the modules named `experts`, whether they hold one module for each or the weights of
    all; None where there are experts and no such module, or unknown how many are chosen.
    """
    if total is None or experts is None:
        return total
    routed = sum(
        parameters
        for path, parameters in by_path.items()
        if _EXPERTS.fullmatch(path) and not any(map(_EXPERTS.fullmatch, _parents(path)))
    )
    if not routed or active is None or active > experts or routed > total:
        return None
    # Every expert has the same size.
    return total - routed * (experts - active) // experts


def _parents(path: str) -> list[str]:
    parts = path.split(".")[:DEEPEST_PATH]
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def parameters_by_kind(
    modules: Sequence[Module], blocks: Sequence[Block], by_index: dict[int, int], by_path: dict[str, int]
) -> tuple[KindParameters, ...]:
    """Of the blocks of each kind in each stack, in the order of the blocks."""
    of_stack: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    around: dict[str, str] = {}
    for block in blocks:
        module = modules[block.module]
        parameters = by_index.get(module.table_index) if module.table_index is not None else None
        if parameters is None:
            return ()
        of_stack[block.stack][block.kind].append(parameters)
        around[block.stack] = module.path.rpartition(".")[0]
    rows = []
    for stack, kinds in of_stack.items():
        whole = by_path.get(around[stack])
        summed = sum(map(sum, kinds.values()))
        for kind, sizes in kinds.items():
            total: int | None = sum(sizes)
            # The blocks share parameters if together they have more than the module around them.
            if whole is not None and summed > whole:
                total = whole if len(kinds) == 1 else None
            per_block = sizes[0] if len(set(sizes)) == 1 else None
            rows.append(KindParameters(stack, kind, len(sizes), total, per_block))
    return tuple(rows)
