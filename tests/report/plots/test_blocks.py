from tests.report import build
from tests.report.plots.drawn import figure_of, named, stacks, texts
from tracekit.analysis.schema import BlockPart, PartTime
from tracekit.report import palette
from tracekit.report.i18n import Locale
from tracekit.report.plots.blocks import KINDS, block_time_of


def part(name, us, **more):
    """A part that takes `us` in each of two passes."""
    return BlockPart(name, **{**build.part_figures(2 * us), "cpu_time_per_pass_us": us / 2, **more})


def stacked():
    """Two blocks of 2 ms: attention 1, FFN 0.6, norms 0.3 and 0.1 of its own; attention 1 and experts 1."""
    report = build.hybrid()
    blocks = (
        build.block(
            0,
            "transformer",
            2000.0,
            10**9,
            5.0,
            parts=(
                part("attention", 1000.0),
                part("mlp", 600.0),
                part("norm", 300.0),
                part("residual", 100.0),
            ),
        ),
        build.block(
            1, "attention+moe", 2000.0, 10**9, 4.0, parts=(part("attention", 1000.0), part("moe", 1000.0))
        ),
    )
    return build.changed(report, blocks=blocks)


def legends(figure):
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]


def test_bars_are_stacked_by_part():
    figure = named("block_time", stacked())
    assert stacks(figure.axes[0]) == {
        palette.PARTS["attention"]: [(0.0, 0.0, 1.0), (1.0, 0.0, 1.0)],
        palette.PARTS["mlp"]: [(0.0, 1.0, 1.6)],
        palette.PARTS["moe"]: [(1.0, 1.0, 2.0)],
        palette.PARTS["norm"]: [(0.0, 1.6, 1.9)],
        palette.PARTS["residual"]: [(0.0, 1.9, 2.0)],
    }
    parts = ["attention", "FFN", "MoE", "norms", "the rest of the block", "Efficiency (TFLOP/s)"]
    assert legends(figure)[0] == parts


def test_kinds_are_told_apart_below_the_bars():
    figure = named("block_time", stacked())
    assert legends(figure)[1] == ["transformer", "attention+moe"]
    assert "Kind of block (strip below the bars):" in texts(figure)
    strips = [one for one in figure.axes[0].collections if not one.get_clip_on()]
    from matplotlib.colors import to_hex

    assert [to_hex(one.get_facecolor()[0]) for one in strips] == list(KINDS[:2])
    # Where each kind is a part of its own, the bars say it already.
    assert len(legends(named("block_time", build.hybrid()))) == 1


def test_blocks_without_parts_have_the_colour_of_their_kind():
    report = build.no_shapes()
    report = build.changed(report, blocks=tuple(build.changed(b, parts=()) for b in report.blocks))
    figure = named("block_time", report)
    assert stacks(figure.axes[0]) == {
        palette.PARTS["mamba"]: [(0.0, 0.0, 3.5)],
        palette.PARTS["mlp"]: [(1.0, 0.0, 1.0)],
        palette.PARTS["attention"]: [(2.0, 0.0, 0.5)],
    }
    assert legends(figure) == [["mamba", "mlp", "attention"]]


def test_a_block_whose_parts_are_unknown_is_of_the_part_of_its_kind():
    # Of the hybrid's blocks only the first has parts: 3 ms of Mamba.
    assert stacks(named("block_time", build.hybrid()).axes[0]) == {
        palette.PARTS["attention"]: [(2.0, 0.0, 0.5)],
        palette.PARTS["mamba"]: [(0.0, 0.0, 3.0)],
        palette.PARTS["mlp"]: [(1.0, 0.0, 1.0)],
    }


def test_cpu_times_are_stacked_too():
    report = build.cpu_only()
    report = build.changed(
        report,
        blocks=(build.changed(report.blocks[0], parts=(part("mlp", 3000.0), part("residual", 1000.0))),),
    )
    assert stacks(named("block_time", report).axes[0]) == {
        palette.PARTS["mlp"]: [(0.0, 0.0, 1.5)],
        palette.PARTS["residual"]: [(0.0, 1.5, 2.0)],
    }


def test_many_blocks_have_a_bar_each_and_stacks_stand_apart():
    figure = named("block_time", build.large())
    found = [bar for of_colour in stacks(figure.axes[0]).values() for bar in of_colour]
    assert len(found) == 126
    places = sorted(place for place, _low, _high in found)
    # 94 of the decoder, a gap, 32 of the vision tower
    assert places == [*range(94), *range(95, 127)]
    assert "model.decoder.layers" in texts(figure)


def test_efficiency_is_a_line_on_an_axis_of_its_own():
    figure = named("block_time", build.large())
    assert len(figure.axes) == 2
    lines = [line.get_ydata().tolist() for line in figure.axes[1].lines]
    # 5 + index % 5 in the decoder; the tower has none
    assert lines[0][:6] == [5.0, 6.0, 7.0, 8.0, 9.0, 5.0]
    assert len(lines[0]) == 94
    assert len(named("block_time", build.no_shapes()).axes) == 1


def test_titles_say_what_is_measured():
    shown = texts(named("block_time", build.hybrid()))
    assert "Time and efficiency by block" in shown
    assert "GPU time, per pass (median of 2 passes)" in shown
    assert "GPU time (ms)" in shown


def test_every_phase_has_a_panel():
    figure = named("block_time", build.phases())
    shown = texts(figure)
    assert "GPU time, per pass of prefill (one pass)" in shown
    assert "GPU time, per pass of decode (median of 2 passes)" in shown
    prefill, decode = (stacks(axes) for axes in figure.axes[:2])
    assert prefill[palette.PARTS["mamba"]] == [(0.0, 0.0, 3.5)]
    assert decode[palette.PARTS["mamba"]] == [(0.0, 0.0, 0.35)]


def test_phases_are_stacked_by_their_own_parts():
    report = build.phases()
    first = report.blocks[0]
    times = [
        ((PartTime("mamba", 2500.0, 0.0), PartTime("norm", 1000.0, 0.0)), (PartTime("mamba", 350.0, 0.0),))
    ]
    phases = tuple(
        build.changed(phase, parts=parts) for phase, parts in zip(first.phases, times[0], strict=True)
    )
    report = build.changed(report, blocks=(build.changed(first, phases=phases), *report.blocks[1:]))
    prefill = stacks(named("block_time", report).axes[0])
    assert prefill[palette.PARTS["mamba"]] == [(0.0, 0.0, 2.5)]
    assert prefill[palette.PARTS["norm"]] == [(0.0, 2.5, 3.5)]
    decode = stacks(figure_of(block_time_of(report, Locale("en"), "decode")).axes[0])
    assert decode[palette.PARTS["mamba"]] == [(0.0, 0.0, 0.35)]
    assert palette.PARTS["norm"] not in decode


def test_blocks_that_take_no_time_make_no_picture():
    report = build.hybrid()
    blocks = tuple(build.changed(b, gpu_time_per_pass_us=0.0, parts=(), tflops=None) for b in report.blocks)
    figure = named("block_time", build.changed(report, blocks=blocks))
    assert "no module launched anything on the GPU" in texts(figure)
