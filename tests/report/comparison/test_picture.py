from itertools import pairwise

import pytest

from tests.report.comparison import build
from tests.report.plots.drawn import figure_of, names, shown, texts
from tracekit.report import palette
from tracekit.report.comparison.picture import COLOURS, TOTAL, picture, render_picture
from tracekit.report.comparison.waterfall import LESS, MORE, NOISE, waterfalls
from tracekit.report.comparison.words import Words
from tracekit.report.i18n import Locale


def drawn(comparison, lang="en"):
    return figure_of(picture(comparison, Locale(lang)))


def spans(axes):
    """Begin, end and colour of each bar, from above."""
    from matplotlib.colors import to_hex

    return [
        (round(bar.get_x(), 6), round(bar.get_x() + bar.get_width(), 6), to_hex(bar.get_facecolor()))
        for bar in axes.patches
    ]


def test_each_bar_begins_where_the_one_above_it_ends():
    """10 ms, +1.2, +1.0, −0.7, +0.6, −0.2, +0.1, and attention, which is the same: 12 ms."""
    (axes,) = drawn(build.llama()).axes
    assert names(axes) == [
        *("before", "layers.*.mlp.down_proj", "layers.*.mlp.gate_proj", "layers.*.norm", "adapter"),
        *("rotary", "(outside modules)", "other (1 place)", "after"),
    ]
    before, *steps, after = spans(axes)
    ends = [10.0, 11.2, 12.2, 11.5, 12.1, 11.9, 12.0, 12.0]
    assert [span[:2] for span in steps] == list(pairwise(ends))
    assert (before[1:], after[1:]) == ((10.0, TOTAL), (12.0, TOTAL))
    # The least end is 10 ms and the greatest 12.2: a quarter of that below 10.
    assert before[0] == after[0] == pytest.approx(10 - 0.55)
    assert [colour for *_span, colour in steps] == [
        COLOURS[look] for look in (MORE, MORE, LESS, MORE, LESS, MORE, NOISE)
    ]
    assert COLOURS[MORE] == palette.VERMILION


def test_an_axis_of_large_changes_begins_at_0():
    (axes,) = drawn(build.hostile()).axes
    assert [span[:2] for span in spans(axes)] == [(0, 0.1), (0.1, 0.2), (0, 0.2)]
    assert "the axis does not begin at 0" not in texts(drawn(build.hostile()))
    assert "the axis does not begin at 0" in texts(drawn(build.llama()))


def test_numbers_stand_beside_the_bars():
    found = texts(drawn(build.llama()))
    assert {"10.000", "+1.200", "−0.700", "12.000", "+20.0%"} <= set(found)
    assert {"more time", "less time", "within noise"} <= set(found)
    assert "before.json.gz → after.json.gz · NVIDIA H100 80GB HBM3" in found


def test_many_places_are_folded_into_one_bar():
    """Of 40 places with 40, 39, … µs more, twelve are shown; the others make 28 + … + 1 = 406 µs."""
    one = build.llama()
    places = tuple(build.place(f"m{us}", "T", 100.0, 100.0 + us, 820.0) for us in range(40, 0, -1))
    total = build.replaced(one.phases[0].total, before_us=4000.0, after_us=4820.0, difference_us=820.0)
    phase = build.replaced(one.phases[0], total=total, explained_by=(0, 1, 2))
    comparison = build.replaced(one, phases=(phase,), places=places)
    ((_phase, found),) = waterfalls(Words(comparison, Locale("en")))
    assert len(found.steps) == 13
    assert found.steps[-1].stands_for_others
    assert found.steps[-1].difference_us == pytest.approx(406)
    assert found.steps[-1].end_us == 4820.0
    assert "other (28 places)" in names(drawn(comparison).axes[0])


def test_each_phase_has_a_panel():
    figure = drawn(build.phased())
    assert len(figure.axes) == 2
    assert {"prefill", "decode"} <= set(texts(figure))


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", build.ALL)
def test_no_text_leaves_the_picture_or_covers_another(name, lang):
    figure = drawn(build.ALL[name](), lang)
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown(figure)]
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.x1 <= width, text
        assert box.y0 >= 0, text
        assert box.y1 <= height, text
    for at, (text, box) in enumerate(boxes):
        for other, second in boxes[at + 1 :]:
            across = min(box.x1, second.x1) - max(box.x0, second.x0)
            up = min(box.y1, second.y1) - max(box.y0, second.y0)
            assert across <= 1 or up <= 2, (text, other)


def test_nothing_to_compare_is_said():
    assert "there is nothing to compare" in texts(drawn(build.nothing()))


def test_files_are_the_same_every_time():
    first, second = (render_picture(build.llama(), Locale("en"), ["png", "svg"]) for _ in range(2))
    assert first == second
    assert first["png"].startswith(b"\x89PNG")
    assert b"<svg" in first["svg"]
