"""Short runs of both fuzzers; `scripts/fuzz` runs them for as long as one likes."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.events import Case, cases
from tests.fuzz.oracles import check, memory_folder
from tests.fuzz.seeds import seeds

ROOT = Path(__file__).parents[2]
READER_RUNS = 300
EVENTS_EXAMPLES = 120

needs_atheris = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris is not installed: there is none for this Python or system"
)


def test_reader_takes_what_its_fuzzer_starts_from(tmp_path: Path) -> None:
    outcomes = [check(seed, tmp_path) for seed in seeds()]
    assert set(outcomes) == {"whole", "damaged", "refused"}


@needs_atheris
def test_reader_takes_what_coverage_leads_to(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "reader",
        "--runs",
        str(READER_RUNS),
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"reader: {READER_RUNS} executions" in done.stdout


@settings(
    max_examples=EVENTS_EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(cases(dear=False))
def test_report_of_any_events(case: Case) -> None:
    with memory_folder() as folder:
        case.check(folder)
