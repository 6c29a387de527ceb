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
from functools import lru_cache

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
    ("mamba", re.compile(r"mamba|bamba_?mixer|(^|_)ssm(_|$)", re.IGNORECASE)),
    (
        "linear_attention",
        re.compile(
            r"linear_?att|deltanet|delta_?att|lightning_?att|retention|mlstm|time_?mix"
            r"|rwkv(?!\w*(feed_?forward|channel|_c_?mix))",
            re.IGNORECASE,
        ),
    ),
    ("attention", re.compile(r"attention|attn", re.IGNORECASE)),
    (
        "mlp",
        re.compile(
            r"mlp|ffn|feed_?forward|channel_?mix|(^|_)c_?mix|LayerFF|Dense(Gated)?Act|intermediate"
            r"|Output(_\d+)?$|(^|_)(fc|linear)\d$",
            re.IGNORECASE,
        ),
    ),
    ("convolution", re.compile(r"conv(_?layer)?(\dd?)?(_\d+)?$|(?-i:SELayer$)", re.IGNORECASE)),
)
_NORM = re.compile(r"norm|(^|_)ln(_|\d|$)", re.IGNORECASE)
_NO_PART = re.compile(r"Drop(out|Path)|StochasticDepth|^Identity$")  # often named after what it follows
_DEEPEST_PART = 8
_MIXERS = ("attention", "mamba", "linear_attention", "convolution")


@dataclass(frozen=True)
class Block:
    module: int  # index into the module list
    stack: str
    index: int
    kind: str  # "transformer", or what it is made of: "attention", "mlp", "mamba+moe", …
    parts: dict[int, str]  # the modules inside that are the top of a part, none within another: which part
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
            path, own = modules[member].path, modules[member].type
            parts = _parts(modules, children, member)
            if not numbered:
                parts |= _nameless_mlp(modules, children[member], parts)
            knows_parts = bool(children[member])
            found = parts if knows_parts else _parts(*_inside_by_table(table, path, own), 0)
            kind = _kind(set(found.values()), own)
            blocks.append(Block(member, label, number, kind, parts, knows_parts))
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
    repeated = {stack: members for stack, members in stacks.items() if _is_repeated(modules, members)}
    paths = {f"{stack}.{number}" for stack, members in repeated.items() for number, _ in members}
    return [
        (stack, sorted(members))
        for stack, members in repeated.items()
        if not any(prefix in paths for prefix in _prefixes(stack))
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
        is_member = set(members)
        pending.extend(index for index in reversed(inner) if index not in is_member)
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


def _kind(parts: set[str], own: str | None) -> str:
    """The kind of a block with these parts; where it has none, the one that its own type says it is."""
    found = parts - {"norm"} or {_part(own, "", is_leaf=False)} - {None, "norm"}
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
        part = _part_of(modules, children, index)
        if part == "mlp" and "moe" in _parts(modules, children, index).values():
            part = "moe"
        if part and not _is_layer_of(part, modules, children, index):
            parts[index] = part
        else:
            pending.extend(children[index])
    return parts


def _nameless_mlp(
    modules: Sequence[Module], children: Sequence[int], parts: dict[int, str]
) -> dict[int, str]:
    """The MLP of a block whose `fc1` and `fc2` are its own, where frames keep their names to themselves.

    Matrices right in a block with attention and no other part are taken for it.
    """
    linear = [child for child in children if "Linear" in (modules[child].type or "")]
    is_lacking = set(parts.values()) - {"norm"} == {"attention"}
    return dict.fromkeys(linear, "mlp") if is_lacking and len(linear) > 1 else {}


def _part_of(modules: Sequence[Module], children: dict[int, list[int]], index: int) -> str | None:
    return _part(modules[index].type, modules[index].name, is_leaf=not children[index])


def _is_layer_of(part: str, modules: Sequence[Module], children: dict[int, list[int]], index: int) -> bool:
    """Holds the part, made of modules itself, and a norm beside it: a layer within the block, no part."""
    if part == "moe":  # its own routing belongs to the part
        return False
    inside = {_part_of(modules, children, child) for child in children[index] if children[child]}
    norms = (child for child in children[index] if _part_of(modules, children, child) == "norm")
    return part in inside and next(norms, None) is not None


def _inside_by_table(table: Table, path: str, kind: str | None) -> tuple[list[Module], dict[int, list[int]]]:
    """The module at `path`, first, and what the table knows to be inside it, no deeper than parts are."""
    modules = [Module(path, path.rpartition(".")[2], kind, NOBODY)]
    children: dict[int, list[int]] = defaultdict(list)
    level = [0]
    for _ in range(_DEEPEST_PART):
        above, level = level, []
        for parent in above:
            for inner, inner_kind in table.get(modules[parent].path, ()):
                children[parent].append(len(modules))
                level.append(len(modules))
                modules.append(Module(inner, inner.rpartition(".")[2], inner_kind, parent))
    return modules, children


@lru_cache(maxsize=4096)
def _part(kind: str | None, name: str, is_leaf: bool) -> str | None:
    """The part that a module of this type and name is the top of; `is_leaf`: holds no modules."""
    if kind and _NO_PART.search(kind):
        return None
    if is_leaf and kind and _NORM.search(kind):
        return "norm"
    for text in (kind, name):
        for part, pattern in _PARTS:
            if text and not _NORM.search(text) and pattern.search(text):
                return part
    return "norm" if _NORM.search(kind or "") or _NORM.search(name) else None
