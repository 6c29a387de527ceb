"""The report directory of a job, its summary in a terminal and its card in a notebook."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from tests.report.job import build
from tests.report.rendered import Rendered
from tracekit.analysis.ranks.schema import Job
from tracekit.api_ranks import Job as ApiJob
from tracekit.report.i18n import Locale
from tracekit.report.job.notebook import render_card
from tracekit.report.job.terminal import print_summary

CSVS = {
    *("ranks.csv", "lost.csv", "steps.csv", "groups.csv", "collectives.csv", "late.csv"),
    *("late_places.csv", "stragglers.csv", "modules.csv", "findings.csv", "heat_map.csv"),
}


def printed(job: Job, directory: Path | None = None, lang: str = "en") -> str:
    stream = io.StringIO()
    print_summary(job, directory, lang, stream)
    return stream.getvalue()


def words(text: str) -> str:
    return " ".join(text.split())


def test_all_formats_are_written(tmp_path: Path) -> None:
    directory = ApiJob(build.job()).save(tmp_path / "out")
    pictures = {"rank_time.png", "rank_heat_map.png", "bus_bandwidth.png"}
    shown = {path.name for path in directory.iterdir() if not path.name.startswith(".")}
    assert shown == {"job.md", "job.html", "job.json"} | pictures | CSVS
    found = list(csv.DictReader(io.StringIO((directory / "ranks.csv").read_text())))
    assert sum(float(row["compute_us"]) for row in found) == 2 * (3 * 6_000 + 8_000)
    assert len((directory / "heat_map.csv").read_text().splitlines()) == 1 + 4 * 4


def test_formulas_in_tables_are_disarmed(tmp_path: Path) -> None:
    data = build.job()
    rows = tuple(build.replaced(row, path="=cmd()") for row in data.ranks)
    directory = ApiJob(build.replaced(data, ranks=rows)).save(tmp_path / "out", ["csv"], lang="ru")
    assert "'=cmd()" in (directory / "ranks.csv").read_text()


def test_the_summary_names_the_late_rank_and_its_module() -> None:
    text = printed(build.job(), Path("out"))
    assert text.startswith("Job of 4 ranks\n")
    assert "rank 2 (most compute)" in text
    lines = [words(line) for line in text.splitlines()]
    assert "rank 2 (most compute) 8.000 1.000 0.200 0.800 10.000" in lines
    assert (
        "rank 2 last in 6 of 6 collectives, delays them by 4.00 ms; others wait 12.00 ms in all; "
        "why, mostly: model.layers.1.mlp" in words(text)
    )
    assert text.endswith("\nReport: out\n")


@pytest.mark.parametrize("name", build.ALL)
def test_the_summary_fits_a_terminal_and_names_do_nothing(name: str) -> None:
    for lang in ("en", "ru"):
        text = printed(build.ALL[name](), lang=lang)
        assert max(map(len, text.splitlines())) <= 80
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]|\bNone\b|\bnan\b", text)


def test_a_summary_of_thousands_of_ranks_is_as_long() -> None:
    small, large = (printed(build.job(*size)) for size in ((4, 2), (4_096, 2_000)))
    assert len(large.splitlines()) <= len(small.splitlines()) + 1


@pytest.mark.parametrize("name", build.ALL)
def test_the_card_has_no_markup_of_traces(name: str) -> None:
    found = Rendered(render_card(build.ALL[name](), Locale("en")))
    assert found.tags <= {"div", "style", "table", "tr", "td", "span", "b"}


def test_the_card_says_who_is_late() -> None:
    job = ApiJob(build.job())
    html = job._repr_html_()
    assert [html.count(f"rank {rank}<") for rank in (2, 3)] == [1, 0]
    text = Rendered(html).text
    assert "Job of 4 ranks" in text
    assert "model.layers.1.mlp" in text
    job.lang = "ru"
    assert 'lang="ru"' in job._repr_html_()
