import pytest

from tests.report import build
from tests.report.plots.drawn import bars, figure_of, named, names, texts
from tracekit.report import palette
from tracekit.report.i18n import Locale
from tracekit.report.plots.modules import OUTSIDE, layer_time


def test_titles_say_what_is_measured():
    shown = texts(named("layer_time", build.hybrid()))
    assert "GPU self time, without that of modules inside, per pass (median of 2 passes)" in shown
    assert "GPU time (ms)" in shown
    shown = texts(named("type_time", build.hybrid()))
    assert (
        "GPU self time, over the whole trace, 2 passes; ×: modules of the type; %: of all together" in shown
    )


def test_layer_time_has_the_modules_of_the_list():
    axes = named("layer_time", build.hybrid()).axes[0]
    assert names(axes) == [
        "backbone.layers.0.mixer.in_proj",
        "backbone.layers.0.mixer.norm",
        "backbone.layers.1.mixer.up_proj",
        "lm_head",
    ]
    # By total time the types are Linear, MambaRMSNormGated, Head.
    assert bars(axes) == [
        (2.0, palette.BLUE),
        (1.5, palette.ORANGE),
        (1.0, palette.BLUE),
        (0.5, palette.GREEN),
    ]


def test_layer_time_names_the_types_by_colour():
    figure = named("layer_time", build.hybrid())
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Linear", "MambaRMSNormGated", "Head"]


def test_types_without_a_colour_are_told_so():
    shown = [
        text.get_text()
        for legend in named("layer_time", build.large()).legends
        for text in legend.get_texts()
    ]
    # The 20 slowest are of Type0 to Type13, of which eight have a colour.
    assert shown == [*(f"Type{i}" for i in range(8)), "other types"]


def test_layer_time_shows_no_more_than_asked_for_and_than_fit():
    assert len(names(named("layer_time", build.large(), top=7).axes[0])) == 7
    assert len(names(named("layer_time", build.large(), top=300).axes[0])) == 60


def test_layer_time_of_a_phase():
    report = build.phases()
    assert any("per pass of prefill" in text for text in texts(named("layer_time", report)))
    figure = figure_of(layer_time(report, Locale("en"), 2, "decode"))
    assert any("per pass of decode (median of 2 passes)" in text for text in texts(figure))
    # A tenth of what the prefill takes.
    assert [length for length, _colour in bars(figure.axes[0])] == [0.2, 0.15]


def test_type_time_counts_modules_and_sets_apart_what_is_in_none():
    figure = named("type_time", build.hybrid())
    assert names(figure.axes[0]) == [
        "Linear × 2",
        "MambaRMSNormGated × 1",
        "Head × 1",
        "outside modules",
        "launched before the trace began",
        "modules, backward",
    ]
    assert bars(figure.axes[0]) == [
        (6.0, palette.BLUE),
        (3.0, palette.ORANGE),
        (1.0, palette.GREEN),
        (1.0, OUTSIDE),
        (0.5, OUTSIDE),
        (0.5, OUTSIDE),
    ]
    # 6 of 12 ms, 3, 1 …
    assert {"50.0%", "25.0%", "8.3%", "4.2%"} <= set(texts(figure))


def test_type_time_folds_the_rest():
    axes = named("type_time", build.large()).axes[0]
    assert len(names(axes)) == 13
    assert names(axes)[-1] == "other (8 types)"
    # 100 µs × (8 + 7 + … + 1)
    assert "3.600" in [text.get_text() for text in axes.texts]
    # … which is cut at one and a half times the longest bar, 2 ms.
    assert bars(axes)[-1] == (3.0, palette.GREY)


def test_type_time_names_its_phases():
    assert any("3 passes (prefill, decode)" in text for text in texts(named("type_time", build.phases())))


def test_names_that_are_hard_to_draw():
    shown = names(named("type_time", build.many_types()).axes[0])
    assert shown[0] == "$x_{1}^2$ × 1"
    assert shown[1].startswith("\\u6a21\\u578b")
    assert shown[4].startswith("aaaa")
    assert "…" in shown[4]
    assert shown[-1] == "other (288 types)"


@pytest.mark.parametrize("picture", ["layer_time", "type_time"])
def test_three_types_make_a_low_picture(picture):
    assert named(picture, build.hybrid()).get_figheight() < 4
