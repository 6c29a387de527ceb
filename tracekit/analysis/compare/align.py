"""Which module of one report is which of the other.

By path where both have paths. Frames have none, only numbers of objects: they are aligned by nesting and
order, as far as types allow. What only wraps a model (compiled, data parallel) is one with what it wraps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from tracekit.analysis.places import without_numbers
from tracekit.analysis.schema import Report

_WRAPPING_PARTS = frozenset(("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
_PARALLEL_TYPES = frozenset(("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel"))
_WRAPPING_TYPES = _PARALLEL_TYPES | {"OptimizedModule", "CheckpointWrapper"}
_HELD_AS = "module"  # the name that the parallel wrappers give to what they wrap
_OBJECT_NUMBER = re.compile(r"_\d+$")
# Longer lists of modules are paired by their number among those of their type, which takes no search.
_MOST_SEARCHED = 400


@dataclass(frozen=True)
class Pair:
    """One module of both reports, or of one of them: the rows of either that are it, wrappers first."""

    key: str
    place: str  # the key without the numbers of layers
    before: tuple[int, ...]
    after: tuple[int, ...]
    parent: int | None  # the pair above
    folded: bool = False  # with all that is below it on one side, of which the other side knows nothing


@dataclass(eq=False)
class _Node:
    rows: list[int]
    name: str  # its path without wrappers, or its type
    type: str | None
    children: list[_Node] = field(default_factory=list)


def align(before: Report, after: Report) -> list[Pair]:
    """Each row of the two reports' modules is in one pair. Parents come first."""
    by_path = all(one.trace.module_source != "frames" for one in (before, after))
    trees = _tree(before, by_path), _tree(after, by_path)
    pairs = _by_path(*trees) if by_path else _by_nesting(*trees)
    return _folded(pairs)


def _tree(report: Report, by_path: bool) -> list[_Node]:
    """The outermost modules, in the order of their first calls; named by path or by type."""
    rows = report.modules
    order = sorted(range(len(rows)), key=lambda row: (rows[row].order or 0, rows[row].depth))
    parallel = any(row.type in _PARALLEL_TYPES for row in rows if row.parent is None)
    nodes: dict[str, _Node] = {}
    roots: list[_Node] = []
    for number in order:
        row = rows[number]
        parent = None if row.parent is None else nodes.get(row.parent)
        name = _unwrapped(row.path, parallel) if by_path else row.type or _OBJECT_NUMBER.sub("", row.name)
        if by_path and parent is not None and parent.name == name:
            parent.rows.append(number)
            parent.type = row.type or parent.type
            nodes.setdefault(row.path, parent)
            continue
        node = _Node([number], name, row.type)
        nodes.setdefault(row.path, node)
        (roots if parent is None else parent.children).append(node)
    if not by_path:
        for node in nodes.values():
            _unwrap(node)
    return roots


def _unwrapped(path: str, parallel: bool) -> str:
    """The path without the parts that wrappers add to it; `parallel`: the whole model is wrapped in one."""
    parts = [part for part in path.split(".") if part not in _WRAPPING_PARTS]
    return ".".join(parts[1:] if parallel and parts[:1] == [_HELD_AS] else parts)


def _unwrap(node: _Node) -> None:
    """Makes a wrapper one with what it wraps."""
    while node.type in _WRAPPING_TYPES and len(node.children) == 1:
        (inner,) = node.children
        node.rows += inner.rows
        node.name, node.type, node.children = inner.name, inner.type, inner.children


def _by_path(before: Sequence[_Node], after: Sequence[_Node]) -> list[Pair]:
    found: dict[str, tuple[list[int], list[int]]] = {}
    above: dict[str, str | None] = {}
    for side, roots in enumerate((before, after)):
        for node, parent in _walk(roots):
            found.setdefault(node.name, ([], []))[side].extend(node.rows)
            above.setdefault(node.name, parent.name if parent else None)
    number: dict[str | None, int] = {name: position for position, name in enumerate(found)}
    return [
        Pair(name, without_numbers(name), tuple(rows), tuple(others), number.get(above[name]))
        for name, (rows, others) in found.items()
    ]


def _walk(nodes: Sequence[_Node], parent: _Node | None = None) -> Iterator[tuple[_Node, _Node | None]]:
    pending = [(node, parent) for node in reversed(nodes)]
    while pending:
        node, above = pending.pop()
        yield node, above
        pending += [(child, node) for child in reversed(node.children)]


def _by_nesting(before: Sequence[_Node], after: Sequence[_Node]) -> list[Pair]:
    pairs: list[Pair] = []

    def add(before: Sequence[_Node], after: Sequence[_Node], above: Pair | None, parent: int | None) -> None:
        matches = _matched(before, after)
        firsts = [first or second for first, second in matches]
        names = Counter(node.name for node in firsts if node)
        # Layers are alike, whichever they are; the projections of one layer are not.
        unlike = {node.name for node in firsts if node and not node.children and above is not None}
        seen: Counter[str] = Counter()
        for node, (first, second) in zip(firsts, matches, strict=True):
            assert node is not None  # one of the two is there
            seen[node.name] += 1
            numbered = f"{node.name}#{seen[node.name]}" if names[node.name] > 1 else node.name
            of_place = numbered if node.name in unlike else node.name
            pair = Pair(
                key=f"{above.key}.{numbered}" if above else numbered,
                place=f"{above.place}.{of_place}" if above else of_place,
                before=tuple(first.rows) if first else (),
                after=tuple(second.rows) if second else (),
                parent=parent,
            )
            pairs.append(pair)
            children = (first.children if first else ()), (second.children if second else ())
            if any(children):
                add(*children, pair, len(pairs) - 1)

    add(before, after, None, None)
    return pairs


def _matched(before: Sequence[_Node], after: Sequence[_Node]) -> list[tuple[_Node | None, _Node | None]]:
    """Children of one module on both sides, in their order; of different types where they stand alike."""
    if max(len(before), len(after)) > _MOST_SEARCHED:
        return _matched_by_number(before, after)
    names = [node.name for node in before], [node.name for node in after]
    found: list[tuple[_Node | None, _Node | None]] = []
    for kind, start, end, other_start, other_end in SequenceMatcher(
        None, *names, autojunk=False
    ).get_opcodes():
        some, others = before[start:end], after[other_start:other_end]
        if kind == "equal" or len(some) == len(others):
            found += zip(some, others, strict=True)
        else:
            found += [(node, None) for node in some] + [(None, node) for node in others]
    return found


def _matched_by_number(
    before: Sequence[_Node], after: Sequence[_Node]
) -> list[tuple[_Node | None, _Node | None]]:
    numbered: list[dict[tuple[str, int], _Node]] = []
    for nodes in (before, after):
        seen: Counter[str] = Counter()
        numbered.append({})
        for node in nodes:
            seen[node.name] += 1
            numbered[-1][node.name, seen[node.name]] = node
    first, second = numbered
    return [(first.get(key), second.get(key)) for key in dict.fromkeys((*first, *second))]


def _folded(pairs: Sequence[Pair]) -> list[Pair]:
    """What is only on one side, below a module that has nothing below it on the other, becomes part of it."""
    below: list[list[bool]] = [[False, False] for _ in pairs]
    for pair in pairs:
        if pair.parent is not None:
            for side, rows in enumerate((pair.before, pair.after)):
                below[pair.parent][side] |= bool(rows)
    into: list[int | None] = [None] * len(pairs)  # where each pair goes
    members: list[tuple[list[int], list[int]]] = [(list(pair.before), list(pair.after)) for pair in pairs]
    folded = [False] * len(pairs)
    for number, pair in enumerate(pairs):
        if (pair.before and pair.after) or pair.parent is None:
            continue
        parent, above = pairs[pair.parent], into[pair.parent]
        if above is None and parent.before and parent.after and below[pair.parent].count(True) == 1:
            above = pair.parent
        if above is not None:
            into[number], folded[above] = above, True
            members[above][0].extend(pair.before)
            members[above][1].extend(pair.after)
    position: dict[int, int] = {}
    result: list[Pair] = []
    for number, pair in enumerate(pairs):
        if into[number] is not None:
            continue
        position[number] = len(result)
        above = pair.parent if pair.parent is None else into[pair.parent]
        above = pair.parent if above is None else above
        before, after = members[number]
        result.append(
            replace(
                pair,
                before=tuple(before),
                after=tuple(after),
                parent=None if above is None else position[above],
                folded=folded[number],
            )
        )
    return result
