"""The pictures of a job: bars that add up, columns of many ranks, maps of bounded height, bandwidths."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.report.job import build
from tests.report.plots.drawn import figure_of, names, texts
from tracekit.analysis.ranks.schema import Job
from tracekit.report.i18n import Locale
from tracekit.report.job.bandwidth_picture import bandwidth
from tracekit.report.job.colours import COLOURS
from tracekit.report.job.figures import curves_of
from tracekit.report.job.heat_picture import MOST_ROWS, heat_map
from tracekit.report.job.pictures import pictures_of, render_pictures
from tracekit.report.job.step_picture import rank_time


def drawn(picture: Any, job: Job, lang: str = "en") -> Figure:
    return figure_of(picture(job, Locale(lang)))


def test_the_bars_of_a_rank_add_up() -> None:
    from matplotlib.colors import to_hex

    figure = drawn(rank_time, build.job())
    (axes,) = figure.axes
    assert names(axes) == ["rank 0", "rank 1", "rank 2", "rank 3"]
    bars = [(bar.get_x(), bar.get_width(), to_hex(bar.get_facecolor())) for bar in axes.patches[8:12]]
    assert [round(width, 6) for _x, width, _colour in bars] == [8, 1, 0.2, 0.8]
    assert [round(x, 6) for x, _width, _colour in bars] == [0, 8, 9, 9.2]
    assert [colour for *_bar, colour in bars] == list(COLOURS.values())
    assert "last to 100% of collectives" in texts(figure)


def test_many_ranks_are_columns() -> None:
    figure = drawn(rank_time, build.job(200, 120))
    (axes,) = figure.axes
    heights = axes.patches[0].get_data()
    assert len(heights.values) == 200
    assert (heights.values[120], heights.values[119]) == (8, 6)
    assert "▾ rank 120" in texts(figure)


def test_of_thousands_of_ranks_a_column_is_a_mean() -> None:
    figure = drawn(rank_time, build.job(4_096, 2_000))
    heights = figure.axes[0].patches[0].get_data()
    assert len(heights.values) == 512
    assert heights.values[250] == pytest.approx(6.25)  # one of eight computes 8 ms
    assert any("mean of 8 ranks" in text for text in texts(figure))


@pytest.mark.parametrize(("ranks", "rows"), [(1, 1), (8, 8), (4_096, MOST_ROWS)])
def test_the_map_is_never_higher_than_can_be_seen(ranks: int, rows: int) -> None:
    figure = drawn(heat_map, build.job(ranks, None))
    assert [axes.images[0].get_array().shape[0] for axes in figure.axes] == [rows] * 3
    assert figure.get_size_inches()[1] < 10
    assert any("maximum of 16 ranks" in text for text in texts(figure)) == (ranks == 4_096)
    assert "not recorded" in texts(figure) or ranks == 4_096


def test_bandwidths_of_several_groups_are_one_line() -> None:
    first = build.collectives(4)
    second = tuple(build.replaced(row, group=1, bus_gbs=row.bus_gbs * 3) for row in first)
    job = build.job(4, groups=build.job(4).groups * 2, collectives=first + second)
    (curve,) = curves_of(job)
    # 1 MB and 20 MB in 0.5 ms are 2 and 40 GB/s, on each link 3 and 60; of the other group thrice that.
    assert [(point.bytes, point.median_gbs, point.groups) for point in curve.points] == [
        (1_000_000, pytest.approx(6), 2),
        (20_000_000, pytest.approx(120), 2),
    ]
    assert [(point.least_gbs, point.most_gbs) for point in curve.points][1] == (
        pytest.approx(60),
        pytest.approx(180),
    )
    figure = drawn(bandwidth, job)
    assert "allreduce, groups of 4" in texts(figure)
    assert any("median over the groups" in text for text in texts(figure))


def test_only_what_is_there_is_drawn() -> None:
    assert pictures_of(build.job()) == ["rank_time", "rank_heat_map", "bus_bandwidth"]
    assert pictures_of(build.one()) == ["rank_time", "rank_heat_map"]
    assert pictures_of(build.EMPTY) == ["rank_time"]
    assert "no rank could be read" in texts(drawn(rank_time, build.EMPTY))


@pytest.mark.parametrize("name", build.ALL)
def test_all_are_drawn_in_both_kinds_and_languages(name: str) -> None:
    for lang in ("en", "ru"):
        files = dict(render_pictures(build.ALL[name](), Locale(lang), ["png", "svg"]))
        assert len(files) == 2 * len(pictures_of(build.ALL[name]()))
        for file, contents in files.items():
            assert contents.startswith(b"\x89PNG" if file.endswith("png") else b"<?xml")


def test_the_size_of_a_drawing_is_bounded() -> None:
    files = dict(render_pictures(build.job(4_096, 2_000), Locale("en"), ["svg"]))
    assert max(map(len, files.values())) < 500_000
