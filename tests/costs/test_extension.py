"""Formulas of users: from a file, from a package, and what goes wrong with them."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.builder import TraceBuilder
from tracekit import UserError, analyze
from tracekit.costs import extension, registry
from tracekit.costs.registry import cost_of

FORMULA = """
import tracekit

@tracekit.costs.register("mylib::pair")
def pair(call):
    m, k = call.shape(0, 2)
    return tracekit.costs.Cost(matrix=2 * m * k * k, bytes=3, dtype=call.dtype(0))
"""


@pytest.fixture(autouse=True)
def _registry_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_prefixes", dict(registry._prefixes))


def trace(tmp_path: Path) -> Path:
    builder = TraceBuilder().op("mylib::pair", 0, 10, [[2, 3]], ["float"]).launch(1, 1).kernel(1, 5, 9)
    return builder.write(tmp_path / "t.json")


def test_a_file_of_formulas(tmp_path: Path) -> None:
    path = tmp_path / "costs.py"
    path.write_text(FORMULA)
    assert analyze(trace(tmp_path)).ops["matrix_flops"].isna().all()
    report = analyze(trace(tmp_path), costs_file=path)
    assert report.ops["matrix_flops"].tolist() == [2 * 2 * 3 * 3]
    assert report.ops["bytes"].tolist() == [3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("def", "SyntaxError"),
        ("import not_there", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise GeneratorExit('bye')", "GeneratorExit: bye"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E: E"),
    ],
)
def test_a_file_that_fails(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "costs.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        analyze(trace(tmp_path), costs_file=path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("name", "message"), [("", "no regular file"), ("x" * 5000, "no such file")])
def test_what_is_no_file(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        analyze(trace(tmp_path), costs_file=tmp_path / name)


@pytest.mark.parametrize(
    "body",
    [
        "raise KeyError('x')",
        "return None",
        "return 7",
        "return Cost(matrix=-1)",
        "return Cost(matrix=1.5)",
        "return Cost(matrix=10**30)",
        "return Cost(bytes='3')",
        "return Cost(bytes=[])",
        "return Cost(dtype=5)",
        "return Cost(matrix=5, causal_matrix=50)",
        "import sys; sys.exit(1)",
        "raise GeneratorExit",
    ],
)
def test_a_formula_that_fails_has_no_cost(body: str) -> None:
    names: dict[str, object] = {}
    exec(f"from tracekit.costs import *\n@register('mylib::bad')\ndef bad(call):\n    {body}\n", names)
    assert cost_of("mylib::bad", b"[[2]]", b'["float"]', b"") is None


def test_the_last_formula_and_the_longest_prefix_count() -> None:
    def formula(count: int):  # type: ignore[no-untyped-def]
        return lambda call: registry.Cost(matrix=count)

    registry.register("mylib::*")(formula(1))
    registry.register("mylib::gemm_*")(formula(2))
    registry.register("mylib::gemm_a")(formula(3))
    registry.register("mylib::gemm_a")(formula(4))
    found = [cost_of(name, b"[[2]]", b"", b"") for name in ("mylib::x", "mylib::gemm_b", "mylib::gemm_a")]
    assert [cost.matrix for cost in found if cost] == [1, 2, 4]


def test_packages_announce_formulas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "announced_costs.py").write_text(FORMULA.replace("mylib::pair", "announced::pair"))
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint("good", "announced_costs", extension.GROUP),
        EntryPoint("bad", "not_there", extension.GROUP),
    ]
    monkeypatch.setattr(extension, "entry_points", lambda group: [p for p in points if p.group == group])
    extension.load_packages.cache_clear()
    try:
        report = analyze(trace(tmp_path))
    finally:
        extension.load_packages.cache_clear()
    assert cost_of("announced::pair", b"[[2, 3]]", json.dumps(["float"]).encode(), b"") is not None
    failed = report.findings[report.findings["id"] == "costs.not_loaded"]
    assert failed["evidence"].str.contains("not_there").tolist() == [True]
