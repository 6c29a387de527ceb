"""Whatever a trace claims of a call, a formula gives a cost that can be, or none."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tracekit.costs import cost_of, formulas, registry

MODULES = [getattr(formulas, name) for name in formulas.__all__]
TYPES = ["float", "c10::BFloat16", "long int", "Scalar", "ScalarList", "TensorList", "GenericList", "", "?"]
VALUES = ["", "True", "3", "64", "[1]", "[-2, 0.5]", "0", "-1", "1e400", '"x"', "0.5"]


def names_of(module: Any) -> list[str]:
    entries = registry._entries | {f"{prefix}mm_0": entry for prefix, entry in registry._prefixes.items()}
    return [name for name, entry in entries.items() if entry.formula.__module__ == module.__name__]


def any_shape(chance: random.Random) -> Any:
    if chance.random() < 0.1:
        return [[2, 3], [4]]
    return [chance.choice([0, 1, 2, 4, 16]) for _ in range(chance.choice([0, 1, 2, 3, 4, 5]))]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_odd_calls(module: Any) -> None:
    chance = random.Random(0)
    names = names_of(module)
    assert names
    for name in names:
        for _ in range(200):
            count = chance.randrange(22)
            dims = [any_shape(chance) for _ in range(count)]
            types = [chance.choice(TYPES) for _ in range(max(0, count - chance.choice([0, 0, 2])))]
            values = [chance.choice(VALUES) for _ in range(count)]
            cost = cost_of(name, *(json.dumps(column).encode() for column in (dims, types, values)))
            if cost is None:
                continue
            numbers = [cost.matrix, cost.vector, cost.bytes, cost.causal_matrix]
            assert all(n is None or (isinstance(n, int) and n >= 0) for n in numbers), (name, dims, cost)
            assert cost.causal_matrix is None or cost.causal_matrix <= cost.matrix
