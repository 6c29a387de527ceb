"""No call, however odd, makes a formula raise."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tracekit.costs import cost_of, registry

SHAPES: list[Any] = [[], [0], [1], [4], [3, 4], [4, 3], [2, 0, 4], [2, 3, 4], [1, 2, 3, 4], [2, 3, 4, 5, 6]]
SHAPES += [[[2, 3], [4]], [[]], "?", None, 3]
TYPES = ["", "float", "c10::BFloat16", "Scalar", "ScalarList", "TensorList", "unknown", "int"]
VALUES: list[Any] = [
    "",
    "0",
    "1",
    "-1",
    "15",
    "0.",
    "True",
    "False",
    "[0, 0]",
    "[1, 1]",
    "[True, False, True]",
]
VALUES += ["[True, False, True]", "[]", "text", "None", "[2, [3]]", None]


@pytest.mark.parametrize("name", sorted(registry._entries))
def test_random_calls(name: str) -> None:
    draw = random.Random(name)
    for _ in range(200):
        length = draw.randrange(24)
        columns = [[draw.choice(kind) for _ in range(length)] for kind in (SHAPES, TYPES, VALUES)]
        cost_of(name, *(json.dumps(column).encode() for column in columns))
