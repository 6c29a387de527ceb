import json
import subprocess
import sys

import jsonschema
import pytest

from tests.report import build
from tracekit.report.json import SCHEMA_PATH, render_json, schema_text


@pytest.mark.parametrize("name", build.ALL)
def test_documents_follow_the_published_schema(name):
    document = json.loads(render_json(build.ALL[name]()))
    jsonschema.Draft202012Validator(json.loads(SCHEMA_PATH.read_text())).validate(document)


def test_published_schema_is_that_of_the_code():
    assert SCHEMA_PATH.read_text() == schema_text(), "run: python -m tracekit.report.json"


def test_keys_are_those_of_the_contract():
    document = json.loads(render_json(build.hybrid()))
    top = "schema trace device model time accounting flops memory capture phases passes modules types blocks"
    later = "kernels ops regions block_kinds headroom uncosted findings timeline"
    assert " ".join(document) == f"{top} {later} statistics module_kernels op_kernels hta"
    assert document["schema"] == "tracekit.report/1"
    assert document["model"]["class"] == "NemotronHForCausalLM"
    assert document["accounting"]["outside_modules"] == {"events": 10, "us": 1000.0}
    assert document["modules"][1]["path"] == "backbone.layers.0.mixer.in_proj"
    assert document["modules"][1]["gpu_time_us"] == 4000.0


def test_messages_are_english_text():
    finding = json.loads(render_json(build.hybrid()))["findings"][0]
    assert finding["evidence"] == "one of its 20 calls takes 404.2 ms of CPU time, the median one 0.8 ms"


def test_unknown_is_null_and_nan_never_appears():
    report = build.empty()
    report = build.changed(
        report, time=build.changed(report.time, latency_us=float("nan"), gpu_span_us=float("inf"))
    )
    text = render_json(report).decode()
    document = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
    assert document["time"]["latency_us"] is None
    assert document["flops"]["matrix"] is None
    assert "None" not in text


def test_rows_with_what_json_has_not_are_written_too():
    """Not a number, and half a pair of surrogates, in rows that are else written without a copy."""
    report = build.hybrid()
    first, *others = report.kernels
    odd = build.changed(first, name="half \ud800", mean_us=float("nan"))
    plain = build.changed(first, mean_us=float("-inf"))
    document = json.loads(render_json(build.changed(report, kernels=(odd, plain, *others))))
    assert [(row["name"], row["mean_us"]) for row in document["kernels"][:2]] == [
        ("half \\ud800", None),
        (first.name, None),
    ]
    assert len(document["kernels"]) == len(others) + 2


def test_tables_longer_than_what_is_copied_at_a_time_are_whole(monkeypatch):
    report = build.hybrid()
    whole = render_json(report)
    monkeypatch.setattr("tracekit.report.json.ROWS_AT_ONCE", 2)
    assert render_json(report) == whole


def test_a_row_of_a_table_is_a_line():
    lines = render_json(build.hybrid()).decode().splitlines()
    assert sum('"name":"aten::mm"' in line for line in lines) == 1
    assert any(line.strip().startswith('{"name":"aten::mm"') for line in lines)


def test_the_json_way_loads_no_heavy_library(tmp_path):
    code = (
        "import sys, tracekit.report.json, tracekit.report.saving\n"
        "from tests.report import build\n"
        f"tracekit.report.saving.save(build.hybrid(), {str(tmp_path / 'r')!r}, ['json'])\n"
        "heavy = ('pandas', 'matplotlib', 'babel', 'jinja2', 'rich')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
