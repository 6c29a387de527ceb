"""Which modules are the model's repeated layers: their stack, index and kind.

By paths, a block is `<stack>.<number>` with submodules; by frames, which carry no numbers, one of several
children of one parent that have the same type and submodules. Either way only the outermost ones count:
the experts within a layer are no blocks, and a stage that holds layers is none either.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tracekit.attribution.intervals import NOBODY
from tracekit.attribution.modules import Module, Table

_STACK_ROLES = (
    ("vision", re.compile(r"vision|visual|image|patch|\bvit|siglip|clip", re.IGNORECASE)),
    ("audio", re.compile(r"audio|speech", re.IGNORECASE)),
    ("encoder", re.compile(r"encoder", re.IGNORECASE)),
    ("decoder", re.compile(r"decoder", re.IGNORECASE)),
)
_LAYER_TYPE = re.compile(r"(Layer|Block)$")
_NO_LAYER_TYPE = re.compile(
    r"Stage|^Sequential$|^ModuleList$|(Experts?|Wrapper|Parallel|Stack|Encoder|Decoder|Model|Tower|Merger)$"
)
_NUMBERED = re.compile(r"(.*)\.(\d+)")
_EXPERTS = re.compile(r"(^|\.)experts?$")

# What a submodule's type or name says about the part of a block that it is, most telling first.
_PARTS = (
    (
        "moe",
        re.compile(r"MoeBlock|SparseMoe|FusedMoE|[Mm]o[Ee]$|MOE$|Experts$|^experts$|TopK?Router|MixtureOf"),
    ),
    ("mamba", re.compile(r"mamba|(^|_)ssm(_|$)", re.IGNORECASE)),
    ("linear_attention", re.compile(r"linear_?att|deltanet|lightning_?att|retention|rwkv", re.IGNORECASE)),
    ("attention", re.compile(r"attention|attn", re.IGNORECASE)),
    (
        "mlp",
        re.compile(r"mlp|ffn|feed_?forward|LayerFF|intermediate|Output(_\d+)?$|(^|_)(fc|linear)\d$", re.I),
    ),
    ("convolution", re.compile(r"conv(_?layer)?(\dd)?(_\d+)?$", re.IGNORECASE)),
)
_DEEPEST_PART = 8
_MIXERS = ("attention", "mamba", "linear_attention", "convolution")


@dataclass(frozen=True)
class Block:
    module: int  # index into the module list
    stack: str
    index: int
    kind: str  # "transformer", or what it is made of: "attention", "mlp", "mamba+moe", …
    parts: dict[int, str]  # the modules inside that are the top of a part: which part each is
    knows_parts: bool = True  # the modules inside are among those that ran


def find_blocks(modules: Sequence[Module], numbered: bool, table: Table | None = None) -> list[Block]:
    """The blocks among `modules`, by stack and index; `numbered` says that paths are attribute paths.

    `table` holds what is inside modules of which nothing inside was called: those without scopes, and layers
    that run as one fused operator.
    """
    table = table or {}
    children: dict[int, list[int]] = defaultdict(list)
    for index, module in enumerate(modules):
        children[module.parent].append(index)
    stacks = _numbered_stacks(modules, children, table) if numbered else _typed_stacks(modules, children)
    labels = _labels([stack for stack, _ in stacks])
    blocks = []
    for label, (_, members) in zip(labels, stacks, strict=True):
        for number, member in members:
            parts = _parts(modules, children, member)
            knows_parts = bool(children[member])
            found = set(parts.values()) if knows_parts else _parts_in_table(table, modules[member].path)
            blocks.append(Block(member, label, number, _kind(found), parts, knows_parts))
    return blocks


def _numbered_stacks(
    modules: Sequence[Module], children: dict[int, list[int]], table: Table
) -> list[tuple[str, list[tuple[int, int]]]]:
    stacks: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for index, module in enumerate(modules):
        match = _NUMBERED.fullmatch(module.path)
        has_inside = children[index] or module.path in table
        if match and has_inside and not _EXPERTS.search(match[1]) and _may_be_layer(module):
            stacks[match[1]].append((int(match[2]), index))
    paths = {f"{stack}.{number}" for stack, members in stacks.items() for number, _ in members}
    return [
        (stack, sorted(members))
        for stack, members in stacks.items()
        if not any(prefix in paths for prefix in _prefixes(stack)) and _is_repeated(modules, members)
    ]


def _is_repeated(modules: Sequence[Module], members: list[tuple[int, int]]) -> bool:
    """Several of one type, or one that calls itself a layer; not the odd parts of an `nn.Sequential`."""
    types = Counter(modules[index].type for _, index in members)
    if any(count > 1 for count in types.values()):
        return True
    return all(name is None or _LAYER_TYPE.search(name) for name in types)


def _typed_stacks(
    modules: Sequence[Module], children: dict[int, list[int]]
) -> list[tuple[str, list[tuple[int, int]]]]:
    stacks = []
    pending = list(children[NOBODY])[::-1]
    while pending:
        parent = pending.pop()
        inner = [index for index in children[parent] if children[index]]
        types = Counter(modules[index].type for index in inner if _may_be_layer(modules[index]))
        layers = {kind for kind, count in types.items() if count > 1 or (kind and _LAYER_TYPE.search(kind))}
        members = [index for index in inner if modules[index].type in layers]
        if members:
            stacks.append((modules[parent].path, list(enumerate(members))))
        pending.extend(index for index in reversed(inner) if index not in members)
    return stacks


def _may_be_layer(module: Module) -> bool:
    return module.type is None or not _NO_LAYER_TYPE.search(module.type)


def _prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _labels(stacks: list[str]) -> list[str]:
    """`encoder`, `decoder`, `vision` … where that tells the stacks apart, else their paths."""
    roles = [next((role for role, pattern in _STACK_ROLES if pattern.search(path)), path) for path in stacks]
    counts = Counter(roles)
    return [role if counts[role] == 1 else path for role, path in zip(roles, stacks, strict=True)]


def _kind(found: set[str]) -> str:
    """The kind of a block in which these parts were found."""
    if "moe" in found:
        found.discard("mlp")  # the shared expert, or the experts themselves
    if found - {"convolution", "mlp", "moe"}:
        found.discard("convolution")  # the short convolution within a Mamba mixer
    mixers = [part for part in _MIXERS if part in found]
    kinds = mixers + [part for part in ("mlp", "moe") if part in found]
    if kinds == ["attention", "mlp"]:
        return "transformer"
    return "+".join(kinds) if kinds else "other"


def _parts(modules: Sequence[Module], children: dict[int, list[int]], block: int) -> dict[int, str]:
    parts: dict[int, str] = {}
    pending = list(children[block])
    while pending:
        index = pending.pop()
        part = _part(modules[index].type, modules[index].name)
        if part == "mlp" and "moe" in _parts(modules, children, index).values():
            part = "moe"
        if part:
            parts[index] = part
        else:
            pending.extend(children[index])
    return parts


def _parts_in_table(table: Table, path: str, depth: int = 0) -> set[str]:
    found: set[str] = set()
    for inner, kind in table.get(path, ()) if depth < _DEEPEST_PART else ():
        part = _part(kind, inner.rpartition(".")[2])
        inside = _parts_in_table(table, inner, depth + 1) if part in (None, "mlp") else set()
        if part == "mlp" and "moe" not in inside:
            inside = {"mlp"}
        found |= inside if part in (None, "mlp") else {str(part)}
    return found


def _part(kind: str | None, name: str) -> str | None:
    for text in (kind, name):
        for part, pattern in _PARTS:
            if text and "norm" not in text.lower() and pattern.search(text):
                return part
    return None
