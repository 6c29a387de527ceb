import json

import jsonschema
import pytest

from tests.report.comparison import build
from tracekit.report.comparison.json import SCHEMA_PATH, schema_text
from tracekit.report.json import render_json


@pytest.mark.parametrize("name", build.ALL)
def test_documents_follow_the_published_schema(name):
    document = json.loads(render_json(build.ALL[name]()))
    jsonschema.Draft202012Validator(json.loads(SCHEMA_PATH.read_text())).validate(document)


def test_published_schema_is_that_of_the_code():
    assert SCHEMA_PATH.read_text() == schema_text(), "run: python -m tracekit.report.comparison.json"


def test_a_row_that_lacks_a_field_is_none():
    document = json.loads(render_json(build.llama()))
    del document["modules"][0]["verdict"]
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_PATH.read_text()))
    assert [error.validator for error in validator.iter_errors(document)] == ["required"]


def test_keys_values_and_texts():
    document = json.loads(render_json(build.llama()))
    assert " ".join(document) == (
        "schema before after quantity method summary notes differences phases places modules types ops "
        "kernels left_out"
    )
    assert document["schema"] == "tracekit.comparison/1"
    assert document["summary"][0] == "a pass takes 2.0 ms more"
    assert document["places"][0]["difference_us"] == 1200.0
    assert document["places"][3]["before_us"] is None
    assert document["phases"][0]["explained_by"] == [0, 1]
