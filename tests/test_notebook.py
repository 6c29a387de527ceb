"""The example notebook runs from its first cell to its last, in the interpreter that runs the tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The outputs of the code cells as one text each, HTML where there is any."""
    home = tmp_path_factory.mktemp("notebook")
    shutil.copytree(ROOT / "sample_traces", home / "sample_traces")
    (home / "docs").mkdir()
    # A kernel of ours: one that is installed on the machine may be of another interpreter.
    spec = home / "jupyter" / "kernels" / "this"
    spec.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "this", "language": "python"})
    )
    variables = {
        "JUPYTER_PATH": str(home / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        client = nbclient.NotebookClient(
            notebook, kernel_name="this", timeout=120, resources={"metadata": {"path": str(home / "docs")}}
        )
        client.execute()
    assert (home / "docs" / "nemotron-report" / "report.xlsx").is_file()
    return ["\n".join(map(_text, cell.outputs)) for cell in notebook.cells if cell.cell_type == "code"]


def _text(output: dict[str, object]) -> str:
    data = output.get("data")
    if not isinstance(data, dict):
        assert output["output_type"] == "stream"
        assert "Warning" not in str(output["text"])
        return ""
    return str(data.get("text/html") or data.get("text/plain"))


def _rows(text: str) -> list[list[str]]:
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"(?s)<tr>.*?</tr>", text)]
    return [[re.sub(r"<[^>]*>", "", cell) for cell in row] for row in found]


def test_the_card_is_shown(executed: list[str]) -> None:
    assert '<div class="tracekit-card"' in executed[0]
    assert ["Latency", "173.71 ms"] in _rows(executed[0])


def test_modules(executed: list[str]) -> None:
    (modules,) = [_rows(text) for text in executed if ">CPU self time per pass (µs)<" in text]
    assert len(modules) == 1 + 10
    mixers = [row for row in modules if row[1] == "NemotronHMamba2Mixer"]
    # The text says so: more than half of a mixer's time is in its own code.
    assert len(mixers) == 5
    for row in mixers:
        own, whole = (float(cell.replace(",", "")) for cell in row[3:5])
        assert own > whole / 2


def test_blocks_by_kind(executed: list[str]) -> None:
    (output,) = [
        text for text in executed if ">Achieved on the CPU (GFLOP/s)<" in text and ">attention<" in text
    ]
    # Parameters and FLOPs as the README's excerpt of the report has them.
    by_kind = {row[0]: row[1:] for row in _rows(output)}
    assert (by_kind["mamba"][0], by_kind["mamba"][2]) == ("3,324,768", "1.044 GF")
    assert (by_kind["mlp"][0], by_kind["mlp"][2]) == ("2,195,760", "561.97 MF")
    assert (by_kind["attention"][0], by_kind["attention"][2]) == ("860,720", "262.14 MF")


def test_prefill_beside_decode(executed: list[str]) -> None:
    (phases,) = [_rows(text) for text in executed if ">New tokens per sequence<" in text]
    assert [row[:4] for row in phases[1:]] == [["prefill", "2", "128", "0"], ["decode", "16", "1", "128"]]
    (types,) = [_rows(text) for text in executed if ">prefill ÷ decode<" in text]
    assert types[0][1:] == ["decode", "prefill", "prefill ÷ decode"]
    assert types[2][0] == "Linear"
    # The text below says so.
    assert 1 < float(types[2][3]) < 128 / 4


def test_it_is_committed_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
