"""Every command and every line of Python that docs/compare.md shows runs as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.runs import run
from tracekit.cli import commands, main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "compare.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One MLP of two takes a fifth longer after."""
    monkeypatch.chdir(tmp_path)
    for name, second_us in (("before", 20.0), ("after", 24.0)):
        passes = [{"layers.0.mlp": 30.0, "layers.1.mlp": second_us + one} for one in (0.1, 0.0, -0.1)]
        run(passes).write(tmp_path / f"{name}.json.gz")


def test_commands(tmp_path: Path) -> None:
    for line in block("bash").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "tracekit"
        assert main(arguments) == 0
    written = {path.name for path in (tmp_path / "before-vs-after-report").iterdir()}
    assert written >= set(re.findall(r"`(comparison\.\w+|waterfall\.png)`", PAGE.partition("## ")[0]))


def test_python(tmp_path: Path) -> None:
    names: dict[str, object] = {}
    exec(block("python"), names)
    assert list(names["slower"].path_after) == ["layers.1.mlp"]  # type: ignore[attr-defined]
    assert (tmp_path / "out" / "comparison.html").is_file()


def test_every_option_is_in_the_table() -> None:
    options = {name for one in commands.commands["compare"].params for name in one.opts if name[0] == "-"}
    rows = "".join(re.findall(r"^\| `.*$", PAGE, re.MULTILINE))
    assert {name for name in options if f"`{name}" not in rows} == {"--output", "--quiet"}


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
