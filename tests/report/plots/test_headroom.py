from tests.report import build
from tests.report.plots.drawn import bars, named, names, texts
from tracekit.report import palette
from tracekit.report.plots.headroom import BOUND


def test_bars_are_bound_and_headroom_coloured_by_what_limits():
    axes = named("headroom", build.hybrid()).axes[0]
    assert names(axes) == ["layers.*.mixer.in_proj", "(the GPU waits for launches)"]
    # 0.5 ms at least and 1.5 above; waiting has no bound.
    assert bars(axes) == [
        (0.5, BOUND),
        (1.5, palette.LIMITS["memory"]),
        (0.0, BOUND),
        (0.6, palette.LIMITS["host"]),
    ]


def test_numbers_are_what_would_be_won_and_its_share_of_the_pass():
    figure = named("headroom", build.hybrid())
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.500", "25.0%", "0.600", "10.0%"]
    assert (
        "Time above the bound, without that of modules inside, per pass (median of 2 passes); %: of the pass"
        in texts(figure)
    )
    assert "Time of a pass (ms)" in texts(figure)


def test_without_passes_it_is_of_the_whole_trace():
    report = build.hybrid()
    rows = tuple(build.changed(row, share=None) for row in report.headroom)
    report = build.changed(report, headroom=rows, time=build.changed(report.time, passes=0))
    shown = texts(named("headroom", report))
    assert "Time above the bound, without that of modules inside, over the whole trace" in shown
    assert "GPU time (ms)" in shown


def test_the_rest_is_one_bar():
    axes = named("headroom", build.costed(), top=20).axes[0]
    assert len(names(axes)) == 21
    assert names(axes)[-1] == "other (11 places)"
    # 81 + 80 + … + 71 µs, above eleven times 50
    assert axes.texts[-1].get_text() == "0.836"
    assert sum(length for length, _colour in bars(axes)[-2:]) == 0.9  # cut at 1.5 times 0.6


def test_bars_too_short_to_be_seen_are_folded():
    report = build.hybrid()
    tiny = build.changed(report.headroom[0], place="layers.*.tiny", bound_us=1.0, headroom_us=2.0)
    figure = named("headroom", build.changed(report, headroom=(*report.headroom, tiny)))
    assert names(figure.axes[0])[-1] == "other (1 place)"


def test_limits_that_are_not_known_are_called_so():
    legends = [
        text.get_text() for legend in named("headroom", build.costed()).legends for text in legend.get_texts()
    ]
    assert legends == [
        "bound: the least time on this device",
        "compute",
        "latency (device not filled)",
        "not known",
    ]
