"""Modules that are alike: layers of one stack by their path without numbers, frames by their type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracekit.attribution import ModuleTree
from tracekit.trace import Ints

_NUMBER = re.compile(r"(?:(?<=\.)|^)\d+(?=\.|$)")
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
        else _NUMBER.sub("*", module.path)
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
