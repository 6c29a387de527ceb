"""What the shapes of ops under modules prove of a model whose configuration nobody stored.

Every fact needs evidence that agrees throughout the model; a second piece of evidence decides where the first
allows several readings, and what stays ambiguous is not said. Where the modules hold shards of the model's
matrices, the sizes of the whole are unknown.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import msgspec
import numpy as np

from tracekit.analysis.model_card.mixers import softmax_type
from tracekit.attribution import NOBODY, Attribution, Block, pair_keys
from tracekit.trace import Trace

Shape: TypeAlias = tuple[int, ...]

_NORM = re.compile(r"norm", re.IGNORECASE)
_ATTENTION_OP = re.compile(r"scaled_dot_product|flash_attn|mha|attention|attn", re.IGNORECASE)
# A sum over devices within a layer: each of them holds a part of the layer's matrices.
_SUM_OVER_DEVICES = re.compile(r"all_?reduce|reduce_?scatter", re.IGNORECASE)
_TOWERS = ("vision", "audio", "encoder")
_DTYPES = {"float": "float32", "double": "float64", "Half": "float16", "BFloat16": "bfloat16"}
# What passes have in common, a few of them show.
MOST_PASSES = 4


@dataclass
class _Module:
    """The distinct ops directly in one module, in the order of their first calls."""

    ops: list[_Op] = field(default_factory=list)

    @property
    def linears(self) -> list[tuple[int, int]]:
        """Widths in and out of the matrix products with a weight, each op once."""
        found = [op.linear for op in self.ops if op.name == "aten::linear"]
        found = found or [op.linear for op in self.ops]
        return list(dict.fromkeys(pair for pair in found if pair is not None))


@dataclass(frozen=True)
class _Op:
    name: str
    shapes: tuple[Shape, ...]  # `()` for what is no tensor
    dtypes: tuple[str, ...]

    @cached_property
    def linear(self) -> tuple[int, int] | None:
        """Widths in and out, of the ops that multiply with a weight."""
        shapes = self.shapes
        if self.name == "aten::linear" and len(shapes) > 1 and len(shapes[0]) > 0 and len(shapes[1]) == 2:
            return shapes[1][1], shapes[1][0]
        weight = {"aten::mm": 1, "aten::addmm": 2}.get(self.name)
        if weight is not None and len(shapes) > weight and len(shapes[weight]) == 2:
            return shapes[weight][0], shapes[weight][1]
        return None

    @property
    def dtype(self) -> str | None:
        """Of the operand that a matrix product multiplies."""
        place = 1 if self.name == "aten::addmm" else 0
        if place >= len(self.dtypes) or not self.dtypes[place]:
            return None
        name = self.dtypes[place].removeprefix("c10::")
        return _DTYPES.get(name, name.lower())


def facts_from_shapes(
    trace: Trace, attribution: Attribution, blocks: Sequence[Block], *, was_captured: bool
) -> dict[str, Any]:
    """The fields of the card that are proven; empty without shapes or blocks.

    `was_captured`: capture wrote the trace, and knows batch size, sequence length and dtype better.
    """
    modules = _modules(trace, attribution)
    inside = _inside(attribution)
    blocks = _main_stack(blocks)
    if not modules or not blocks:
        return {}
    of_blocks = {index for block in blocks for index in inside[block.module]}
    hidden = _hidden_size(attribution, blocks, modules, inside)
    facts: dict[str, Any] = {"hidden_size": hidden}
    in_blocks = [op for index in of_blocks if index in modules for op in modules[index].ops]
    is_whole = not any(_SUM_OVER_DEVICES.search(op.name) for op in in_blocks)
    outside = [module for index, module in modules.items() if index not in of_blocks]
    vocabulary, indices = _embedding(outside, hidden)
    if hidden is not None and is_whole:
        facts |= {
            "intermediate_size": _ffn_size(blocks, modules, inside, hidden),
            "vocab_size": vocabulary,
            **_heads(blocks, modules, inside, hidden),
        }
        facts["attention_type"] = softmax_type(
            facts.get("num_attention_heads"), facts.get("num_key_value_heads")
        )
    if not was_captured:
        facts["dtype"] = _only(op.dtype for op in in_blocks if op.linear is not None)
        if indices and all(len(shape) == 2 for shape in indices):
            facts["batch_size"] = _only(shape[0] for shape in indices)
            facts["sequence_length"] = _only(shape[1] for shape in indices)
    return {name: value for name, value in facts.items() if value is not None}


def _only(values: Iterable[Any]) -> Any:
    """The value that all are, None if they differ or there is none."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _main_stack(blocks: Sequence[Block]) -> list[Block]:
    """The blocks that the card is about: those of no tower, where there are others."""
    others = [block for block in blocks if block.stack not in _TOWERS]
    return others or list(blocks)


def _modules(trace: Trace, attribution: Attribution) -> dict[int, _Module]:
    """The ops of forwards by the module that they are directly in."""
    ops = attribution.ops
    is_forward = (attribution.op_scope != NOBODY) & ~attribution.op_in_backward
    if len(passes := attribution.op_pass[is_forward & (attribution.op_pass != NOBODY)]):
        is_forward &= attribution.op_pass < passes.min() + MOST_PASSES
    chosen = np.flatnonzero(is_forward)
    chosen = chosen[np.argsort(ops.start[chosen], kind="stable")]
    module_of_op = attribution.tree.module[attribution.op_scope[chosen]]
    key = pair_keys(module_of_op, ops.signature[chosen], len(trace.signatures))
    distinct, first = np.unique(key, return_index=True)
    decoded: dict[int, _Op | None] = {}
    modules: dict[int, _Module] = defaultdict(_Module)
    for each in distinct[np.argsort(first)].tolist():
        module, code = divmod(each, len(trace.signatures))
        if code not in decoded:
            signature = trace.signatures[code]
            decoded[code] = _decode(signature.name, signature.shapes, signature.dtypes)
        op = decoded[code]
        if op is not None:
            modules[module].ops.append(op)
    return dict(modules)


def _decode(name: str, shapes: bytes, dtypes: bytes) -> _Op | None:
    try:
        sizes = msgspec.json.decode(shapes, type=list[Any]) if shapes else []
        types = msgspec.json.decode(dtypes, type=list[Any]) if dtypes else []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not sizes:
        return _Op(name, (), ())
    return _Op(
        name, tuple(_shape(size) for size in sizes), tuple(t if isinstance(t, str) else "" for t in types)
    )


def _shape(value: object) -> Shape:
    if isinstance(value, list) and all(type(size) is int and size > 0 for size in value):
        return tuple(value)
    return ()


def _inside(attribution: Attribution) -> dict[int, list[int]]:
    """The modules within each, itself included, in the order of their first calls."""
    modules = attribution.tree.modules
    inside: dict[int, list[int]] = defaultdict(list)
    for index in range(len(modules)):
        around = index
        for _depth in range(len(modules)):
            inside[around].append(index)
            around = modules[around].parent
            if around == NOBODY:
                break
    return inside


def _linears(modules: dict[int, _Module], indices: Iterable[int]) -> list[tuple[int, int]]:
    """Widths in and out of the linear layers among the modules, in the order of their calls."""
    return [pair for index in indices if index in modules for pair in modules[index].linears]


def _hidden_size(
    attribution: Attribution,
    blocks: Sequence[Block],
    modules: dict[int, _Module],
    inside: dict[int, list[int]],
) -> int | None:
    """The width that norms of every block work on and that its linear layers both take and give."""
    widths: list[set[int]] = []
    for block in blocks:
        pairs = _linears(modules, inside[block.module])
        normed = {
            op.shapes[0][-1]
            for index in inside[block.module]
            if index in modules and _NORM.search(attribution.tree.modules[index].type or "")
            for op in modules[index].ops
            if op.shapes and len(op.shapes[0]) > 1
        }
        widths.append(normed & {taken for taken, _given in pairs} & {given for _taken, given in pairs})
    common = set.intersection(*widths) if widths else set()
    return common.pop() if len(common) == 1 else None


def _parts(blocks: Sequence[Block], part: str, inside: dict[int, list[int]]) -> Iterator[list[int]]:
    """The modules in each part of that name."""
    for block in blocks:
        for top, name in block.parts.items():
            if name == part:
                yield inside[top]


def _ffn_size(
    blocks: Sequence[Block], modules: dict[int, _Module], inside: dict[int, list[int]], hidden: int
) -> int | None:
    """What the layers of dense FFNs that lead back to the residual stream take.

    The layers before them have to give as much, or twice as much where gate and value are one matrix.
    """
    of_parts = [pair for part in _parts(blocks, "mlp", inside) for pair in _linears(modules, part)]
    size = _only(taken for taken, given in of_parts if given == hidden and taken != hidden)
    widened = {given for taken, given in of_parts if taken == hidden and given != hidden}
    return size if size is not None and widened and widened <= {size, 2 * size} else None


def _heads(
    blocks: Sequence[Block], modules: dict[int, _Module], inside: dict[int, list[int]], hidden: int
) -> dict[str, int | None]:
    """Heads and their sizes, from the operands of attention and the linear layers around it."""
    sizes: set[tuple[int, int, int]] = set()
    shared: set[int] = set()
    for part in _parts(blocks, "attention", inside):
        ops = [op for index in part if index in modules for op in modules[index].ops]
        operands = [read for op in ops if (read := _read(op))]
        linears = _linears(modules, part)
        outputs = {taken for taken, given in linears if given == hidden}
        # Only the true number of heads makes the width that the output projection takes.
        readings = {
            (query[place], query[-1], value[-1], key[place])
            for query, key, value in operands
            for place in range(len(query) - 1)
            if query[place] * value[-1] in outputs and query[place] % key[place] == 0
        }
        if len(readings) != 1:
            continue
        heads, dim, value_dim, key_heads = readings.pop()
        sizes.add((heads, dim, value_dim))
        projected = _key_value_heads(linears, hidden, heads, dim, value_dim)
        if key_heads < heads or projected is not None:
            shared.add(key_heads if key_heads < heads else projected or key_heads)
    if len(sizes) != 1:
        return {}
    heads, dim, value_dim = sizes.pop()
    return {
        "num_attention_heads": heads,
        "num_key_value_heads": _only(shared),
        "head_dim": dim,
        "value_head_dim": value_dim if value_dim != dim else None,
    }


def _read(op: _Op) -> tuple[Shape, Shape, Shape] | None:
    """Queries, keys and values of an attention op, of three or four dimensions with head size last."""
    if not _ATTENTION_OP.search(op.name) or len(op.shapes) < 3:
        return None
    query, key, value = op.shapes[:3]
    if not len(query) == len(key) == len(value) or len(query) not in (3, 4) or query[-1] != key[-1]:
        return None
    return query, key, value


def _key_value_heads(
    linears: Sequence[tuple[int, int]], hidden: int, heads: int, dim: int, value_dim: int
) -> int | None:
    """Heads of keys and values by the width of their projections: before attention they may be repeated."""
    output = (heads * value_dim, hidden)
    if output not in linears:
        return None
    rest = list(linears)
    del rest[len(rest) - 1 - rest[::-1].index(output)]
    if not rest or any(taken != hidden for taken, _given in rest):
        return None
    widths = [given for _taken, given in rest]
    if len(widths) == 3:
        # Queries, then keys and values.
        if widths[0] != heads * dim or widths[1] % dim or widths[1] // dim * value_dim != widths[2]:
            return None
        count = widths[1] // dim
    elif len(widths) == 1 and (left := widths[0] - heads * dim) > 0 and left % (dim + value_dim) == 0:
        count = left // (dim + value_dim)
    else:
        return None
    return count if count and heads % count == 0 else None


def _embedding(outside: Collection[_Module], hidden: int | None) -> tuple[int | None, list[Shape]]:
    """Rows of the vocabulary's embedding, and the shapes of the indices that it is read with.

    A model may have others, of positions and token types: then it is the one with as many rows as the
    output layer has columns.
    """
    indices: dict[int, list[Shape]] = defaultdict(list)
    for module in outside:
        for op in module.ops:
            if op.name == "aten::embedding" and len(op.shapes) > 1 and len(op.shapes[0]) == 2:
                rows, width = op.shapes[0]
                if width == hidden and op.shapes[1]:
                    indices[rows].append(op.shapes[1])
    # A layer between the last block and the output keeps the width.
    outputs = {given for module in outside for taken, given in module.linears if taken == hidden != given}
    rows_of = [rows for rows in indices if len(indices) == 1 or rows in outputs]
    if len(rows_of) != 1:
        return None, []
    return rows_of[0], indices[rows_of[0]]
