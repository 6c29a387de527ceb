"""Modules that are alike: those of one place in all layers, by path without numbers or by type."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracekit.attribution import NOBODY, ModuleTree
from tracekit.trace import Ints

_NUMBER = re.compile(r"(?:(?<=\.)|^)\d+(?=\.|$)")
_OBJECT_NUMBER = re.compile(r"_\d+$")
_EXPERT = re.compile(r"(?:^|\.)experts?\.\d+$")


@dataclass(frozen=True)
class Groups:
    """`names[of_module[i]]` is what a finding calls module i; the last name, "", stands for no module."""

    names: Sequence[str]
    of_module: Ints


def group_modules(tree: ModuleTree) -> Groups:
    """A group of one module has that module's own path."""
    labels = [
        (module.type or module.name)
        if tree.source == "frames" or not module.path
        else without_numbers(module.path)
        for module in tree.modules
    ]
    numbers: dict[str, int] = {}
    of_module = np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)
    members = np.bincount(of_module, minlength=len(numbers))
    names = list(numbers)
    for module, number in zip(tree.modules, of_module.tolist(), strict=True):
        if members[number] == 1:
            names[number] = module.path or module.type or module.name
    return Groups([*names, ""], of_module)


def is_expert(path: str) -> bool:
    """Whether a module is one of a list of experts, which do not depend on each other."""
    return _EXPERT.search(path) is not None


def without_numbers(path: str) -> str:
    """The path with `*` for the numbers of layers."""
    return _NUMBER.sub("*", path)


def places(tree: ModuleTree) -> list[str]:
    """Where each module stands, the same for its like in all blocks.

    By path with `*` for numbers; frames, which number objects, give their types, `Linear#2` for the second
    of several such in one parent.
    """
    if tree.source != "frames":
        return [without_numbers(module.path) for module in tree.modules]
    order: dict[tuple[int, str], list[int]] = defaultdict(list)
    for index, module in enumerate(tree.modules):
        order[module.parent, _OBJECT_NUMBER.sub("", module.name)].append(index)
    names = [""] * len(tree.modules)
    for (parent, name), members in order.items():
        # Layers are alike, whichever they are; the projections of one layer are not.
        alike = all(_has_children(tree, index) for index in members) or parent == NOBODY
        for number, index in enumerate(members, 1):
            names[index] = name if alike or len(members) == 1 else f"{name}#{number}"
    found: list[str] = []
    for index, module in enumerate(tree.modules):
        found.append(names[index] if module.parent == NOBODY else f"{found[module.parent]}.{names[index]}")
    return found


def _has_children(tree: ModuleTree, index: int) -> bool:
    return tree.modules[index + 1].parent == index if index + 1 < len(tree.modules) else False
