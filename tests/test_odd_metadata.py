"""Whatever the metadata of a trace holds, there is a report that follows its schema, or one line of error."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.captures import generate, train
from tracekit.analysis import analyze
from tracekit.messages import UserError
from tracekit.report.i18n import Locale
from tracekit.report.json import SCHEMA_PATH, render_json
from tracekit.report.markdown import render_markdown
from tracekit.report.tables.csv import render_csv

ODD: list[Any] = [
    None, True, False, 0, 1, -1, -7.5, 0.5, 1e308, 10**30, -(10**30), 2**63, 2**62 - 1, "", "x", "7", "-1",
    "NaN", "None", "|`<b>\n\x1b[31m\u202e", "９", "a" * 5000, [], {}, [[]], [None], [1, "x", None, {}],
    {"0": "x"}, {"-1": 1}, {"99999999999": 1}, {"0": {"allocated_bytes": -1}}, {"name": "decode"},
    [{"name": "decode", "tokens": -1}] * 3, ["decode"] * 50,
    [{"index": "0"}, {"index": -1}, {"index": 10**20}],
]  # fmt: skip
DROP = object()


def full(builder: Any) -> dict[str, Any]:
    """The document of a trace with every key that capture may write."""
    gpu = {
        "index": 0, "sm_clock_mhz": 1500, "max_sm_clock_mhz": 1980, "memory_clock_mhz": 2619,
        "power_w": 650.5, "power_limit_w": 700, "performance_state": "P0", "temperature_c": 60,
        "throttle_reasons": ["sw_power_cap"], "source": "nvml",
    }  # fmt: skip
    builder.metadata["tracekit"] |= {
        "memory": {"peak_allocated_bytes": 9, "peak_reserved_bytes": 10, "allocated_before_bytes": 5},
        "module_memory": {"0": {"allocated_bytes": 5, "net_bytes": 1}, "1": {"allocated_bytes": 2}},
        "telemetry": {"before": [gpu], "after": [gpu]},
        "not_called": [4],
        "used_without_call": [{"module": 2, "by": 1}],
        "compiled": [1],
        "cuda_graph": True,
        "error": "out of memory",
        "redacted": True,
        "notes": ["shortened"],
        "options": {},
    }
    document: dict[str, Any] = builder.document()
    return document


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key below a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield value, key
        yield from places(item)


def mutated(document: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    for _ in range(dice.choice((1, 1, 2, 4))):
        container, key = dice.choice(list(places(changed["tracekit"])) or [(changed, "tracekit")])
        new = dice.choice([DROP, *ODD])
        if new is not DROP:
            container[key] = copy.deepcopy(new)
        elif isinstance(container, dict):
            container.pop(key)
        if not isinstance(changed["tracekit"], dict | list):
            break
    return changed


def check(path: Path) -> None:
    """The report is good in every form, or there is none and a reason."""
    try:
        report = analyze(path)
    except UserError:
        return
    document = json.loads(render_json(report), parse_constant=pytest.fail)
    jsonschema.Draft202012Validator(json.loads(SCHEMA_PATH.read_text())).validate(document)
    for lang in ("en", "ru"):
        text = render_markdown(report, Locale(lang))
        assert "\x1b" not in text
        assert " nan" not in text
    render_csv(report, Locale("en"))


@pytest.mark.parametrize("seed", range(25))
def test_mutations(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    built = (generate(), generate(shapes=False), train())
    document = full(dice.choice(built))
    for number in range(3):
        text = json.dumps(mutated(document, dice))
        if number == 2:
            text = text[: dice.randrange(len(text))]
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        check(path)


@pytest.mark.parametrize("odd", ODD, ids=lambda value: repr(value)[:20])
def test_every_key_may_be_anything(tmp_path: Path, odd: Any) -> None:
    document = full(generate())
    document["tracekit"] = dict.fromkeys(document["tracekit"], odd)
    path = tmp_path / "t.json"
    path.write_text(json.dumps(document))
    check(path)


def test_numbers_that_json_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(full(generate())).replace("450.0", "NaN").replace("22.5", "Infinity"))
    check(path)
