"""`job.md`: what is said, that tables add up, that names do nothing, that it stays short."""

from __future__ import annotations

import re

import cmarkgfm
import pytest
from rich.cells import cell_len

from tests.report.job import build
from tests.report.rendered import Rendered
from tracekit.analysis.ranks.schema import Job
from tracekit.report.i18n import Locale
from tracekit.report.job.figures import extremes, heat_rows, mean_step, ranks_of
from tracekit.report.job.markdown import render_markdown

HEADINGS = [
    "## Findings",
    "## Where the time of a step goes, by rank",
    "## Who arrives late",
    "## Ranks over time",
    "## Collectives",
    "## Imbalance by module",
    "## Steps",
    "## Process groups",
    "## Traces",
    "## How it was worked out",
]


def markdown(job: Job, lang: str = "en", top: int = 20, pictures: str | None = "png") -> str:
    return render_markdown(job, Locale(lang), top, pictures=pictures)


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def table(text: str, heading: str) -> list[list[str]]:
    """The first table below a heading, without its header."""
    section = re.split(r"^##+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.M)[0]
    return rows(section)[2:]


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", build.ALL)
def test_tables_are_aligned_and_whole(name: str, lang: str) -> None:
    text = markdown(build.ALL[name](), lang, 3)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({cell_len(line) for line in block.splitlines()}) == 1
        assert len({len(row) for row in rows(block)}) == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800]|\bNone\b|\bnan\b", text)
    assert "\n\n\n" not in text


def test_sections_and_facts() -> None:
    text = markdown(build.job())
    assert re.findall(r"^## .*", text, re.M) == HEADINGS
    assert text.startswith("# Job of 4 ranks\n\n4 × `NVIDIA H100 80GB HBM3` · 1 host\n")
    # Of the 10 ms of a step 6 are compute and 3 exposed communication.
    assert "- **Step**: 10.00 ms (median over the ranks; 2 steps: steps of torch's profiler)" in text
    assert "- **Compute**: 6.00 ms (60.0%)" in text
    assert "- **Exposed communication**: 3.00 ms (30.0%)" in text
    assert "- **Waiting for later ranks**: 2.00 ms (20.0%)" in text
    assert "- **Collectives**: 6 of 8 found on several ranks" in text
    assert (
        "- **high** — it takes 4.0 ms in `model.layers.1.mlp`. Look at `model.layers.1.mlp`. "
        "Gain: up to 2.00 ms of a step." in text
    )


def test_the_step_of_each_rank_adds_up() -> None:
    found = table(markdown(build.job()), "Where the time of a step goes, by rank")
    assert found[2] == ["2", "8.000", "1.000", "0.200", "0.800", "10.000", "0.500", "0", "100.0%"]
    # (3 × 6 + 8) / 4 and (3 × 3 + 1) / 4; three of four wait 2 ms.
    assert found[4] == ["**Mean**", "6.500", "2.500", "0.200", "0.800", "10.000", "0.500", "1.500", ""]
    for row in found:
        *parts, wall = map(float, row[1:6])
        assert sum(parts) == pytest.approx(wall)


def test_of_many_ranks_the_extremes_are_shown_and_the_rest_has_a_row() -> None:
    """Rank 7 is late, rank 3 computes least, rank 5 is idle most; the mean of the others is 6 ms compute."""
    data = build.job(12, 7)
    faster = {"compute_us": 2 * 5_000.0, "communication_exposed_us": 2 * 4_000.0}
    idle = {"idle_us": 2 * 1_800.0, "wall_us": 2 * 11_000.0}
    changed = {3: faster, 5: idle}
    data = build.replaced(
        data, ranks=tuple(build.replaced(row, **changed.get(row.rank, {})) for row in data.ranks)
    )
    found = table(markdown(data, top=4), "Where the time of a step goes, by rank")
    assert {"3", "5", "7"} <= {row[0] for row in found[:4]}
    assert found[4][:2] == ["8 more (mean)", "6.000"]
    assert [int(row[0]) for row in found[:4]] == sorted(int(row[0]) for row in found[:4])
    ranks = ranks_of(data)
    assert len(extremes(ranks, 1)) == 1
    whole = mean_step(ranks)
    assert whole is not None
    # (10 × 6 + 8 + 5) / 12
    assert found[5][:2] == ["**Mean**", "6.083"]
    assert sum(whole.parts) == pytest.approx(whole.wall)


def test_who_is_late_and_where() -> None:
    text = markdown(build.job())
    assert table(text, "Who arrives late") == [
        ["2", "6 of 6", "100.0%", "4.000", "12.000", "`model.layers.1.mlp`", "3.900"]
    ]
    assert table(text, "Where late ranks lose time") == [
        ["2", "`model.layers.1.mlp`", "MLP", "9.900", "6.000", "3.900"]
    ]


def test_collectives_and_modules() -> None:
    text = markdown(build.job())
    assert table(text, "Collectives")[1] == [
        *("allreduce", "`model`", "`default_pg 0`", "4", "bfloat16", "20.000 MB", "4", "3"),
        *(
            "1.500",
            "0.500",
            "12.000",
            "1.000",
            "1.250",
            "40.00",
            "60.00",
        ),  # 20 MB in 0.5 ms; 2 × 3/4 of that on each link
    ]
    # (3 × 1 + 3) / 4 = 1.5, and 3 is twice as much.
    assert table(text, "Imbalance by module")[0] == [
        *("`model.layers.1.mlp`", "MLP", "4", "1.000", "1.000", "1.500", "3.000", "100.0%", "2", "1.000")
    ]
    assert table(text, "Steps")[0] == [
        *("5", "4", "10.000", "10.000", "10.000", "6.000", "8.000", "2", "3.000", "0.800")
    ]


def test_what_is_left_out_is_counted() -> None:
    found = table(markdown(build.job(), top=1), "Collectives")
    assert found[1] == ["1 more", *[""] * 5, "4", "3", "", "", "12.000", *[""] * 4]
    assert table(markdown(build.job(), top=1), "Traces")[1][:2] == ["3 more", ""]


def test_lost_and_missing_ranks() -> None:
    text = markdown(build.incomplete())
    assert text.startswith("# 4 of 6 ranks of a job\n")
    assert "- **Ranks**: 4 of 6, 1 could not be read, 1 without a trace" in text
    assert table(text, "Traces that could not be read") == [
        ["4", "`rank4.json.gz`", "`rank4.json.gz`: is empty"]
    ]


def test_what_is_not_known_is_said() -> None:
    text = markdown(build.one())
    assert "It is not known: no collective was found on several ranks." in text
    assert "Where late ranks lose time" not in text
    assert "bus_bandwidth" not in text
    assert table(text, "Where the time of a step goes, by rank") == [
        ["0", "6.000", "3.000", "0.200", "0.800", "10.000", "0.500", "—", "—"]
    ]
    assert table(text, "Collectives")[0][7:] == ["0", "1.500", *["—"] * 6]
    assert "(no rank could be read)" in markdown(build.EMPTY)
    assert "No rank was ever the last" in markdown(build.job(4, None))


def test_without_pictures() -> None:
    text = markdown(build.job(), pictures=None)
    assert "![" not in text
    assert re.findall(r"\((\w+\.svg)\)", markdown(build.job(), pictures="svg")) == [
        *("rank_time.svg", "rank_heat_map.svg", "bus_bandwidth.svg")
    ]


def test_names_do_nothing() -> None:
    found = Rendered(cmarkgfm.github_flavored_markdown_to_html(markdown(build.hostile())))
    assert found.tags <= {
        *("h1", "h2", "h3", "p", "ul", "li", "strong", "em", "code", "table", "thead", "tbody"),
        *("tr", "th", "td", "img"),
    }
    assert sorted(found.addresses) == ["bus_bandwidth.png", "rank_heat_map.png", "rank_time.png"]
    assert "<img src=x" not in found.outside_code


def test_a_job_of_4096_ranks_is_not_longer() -> None:
    small, large = markdown(build.job(32, 2), top=10), markdown(build.job(4_096, 2_000), top=10)
    assert len(rows(large)) == len(rows(small))
    assert len(large) < 1.2 * len(small)


def test_the_heat_map_is_the_maximum_of_neighbours() -> None:
    heat = build.heat_map(10)
    spotted = tuple((one[0], 95, *one[2:]) if rank == 5 else one for rank, one in enumerate(heat.idle))
    found, per_row = heat_rows(build.replaced(heat, idle=spotted), "idle", 4)
    assert (per_row, len(found)) == (3, 4)
    assert [row[1] for row in found] == [8, 95, 8, 8]
    assert found[0][0] == 8  # rank 0 has no record, ranks 1 and 2 do
    alone, per_row = heat_rows(heat, "idle", 10)
    assert per_row == 1
    assert alone[0][0] != alone[0][0]  # not a number
