"""`comparison.json`: the fields of `Comparison` as they are, and the JSON Schema that they follow.

python -m tracekit.report.comparison.json      writes comparison.schema.json anew, after a change of these
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tracekit.analysis.compare.schema import SCHEMA, Comparison
from tracekit.report import json as report_json

SCHEMA_PATH = Path(report_json.__file__).with_name("comparison.schema.json")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `comparison.json`."""
    return report_json.schema_of(
        Comparison,
        SCHEMA,
        f"A comparison of two tracekit reports, schema {SCHEMA}",
        "Durations are in microseconds (_us) of one pass, the mean over passes; differences are after - "
        "before. What is unknown is null, never 0.",
    )


def schema_text() -> str:
    """What comparison.schema.json holds."""
    return report_json.schema_text(json_schema())


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
