"""The JSON Schema of `job.json`, whose fields are those of `Job` as they are.

python -m tracekit.report.job.json      writes job.schema.json anew, after a change of `Job`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tracekit.analysis.ranks.schema import JOB_SCHEMA, Job
from tracekit.report import json as report_json

SCHEMA_PATH = Path(report_json.__file__).with_name("job.schema.json")


def job_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `job.json`, which `tracekit.report.json.json_pieces` writes of a `Job`."""
    return report_json.schema_of(
        Job,
        JOB_SCHEMA,
        f"All ranks of a job, schema {JOB_SCHEMA}",
        "Durations are in microseconds (_us), bandwidths in 10^9 bytes per second (_gbs). What is unknown is "
        "null, never 0.",
    )


if __name__ == "__main__":
    SCHEMA_PATH.write_text(report_json.schema_text(job_schema()), encoding="utf-8")
