import math

import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Annotation

from tests.report import build
from tests.report.plots.drawn import figure_of, named, texts
from tracekit.analysis.schema import Roof
from tracekit.report import palette
from tracekit.report.i18n import Locale
from tracekit.report.plots.roofline import LARGEST_DOT, roofline, roofs_of


def dots(figure, marker=0):
    """Intensity, TFLOP/s, area and colour of the dots, or of the triangles at the lower end."""
    collection = figure.axes[0].collections[1 + marker]  # the first is the shade above the roofs
    places = collection.get_offsets().tolist()
    colours = [to_hex(colour) for colour in collection.get_facecolors()]
    return [
        (*place, area, colour)
        for place, area, colour in zip(places, collection.get_sizes().tolist(), colours, strict=True)
    ]


def roof_lines(figure):
    """Two x and two y of each."""
    return [[*line.get_xdata(), *line.get_ydata()] for line in figure.axes[0].lines]


def test_a_dot_per_operator_with_a_place_by_time():
    found = dots(named("roofline", build.costed()))
    assert [(x, y) for x, y, _area, _colour in found] == [
        (500.0, 600.0),
        (90.0, 30.0),
        (0.25, 0.4),
        (400.0, 500.0),
        (0.2, 0.3),
    ]
    # 2, 1, 1, 0.5 and 0.49 ms
    assert [area / LARGEST_DOT for _x, _y, area, _colour in found] == pytest.approx(
        [1, 0.5, 0.5, 0.25, 0.245]
    )
    limits = palette.LIMITS
    assert [colour for *_place, colour in found] == [
        limits["compute"],
        limits["latency"],
        limits["memory"],
        limits["compute"],
        limits["memory"],
    ]


def test_what_lies_far_below_stands_at_the_lower_end():
    figure = named("roofline", build.costed())
    ((x, y, _area, _colour),) = dots(figure, marker=1)
    # Six decades below the highest roof, not at 1e-7.
    assert (x, y) == pytest.approx((0.1, 989.4e-6))
    assert "below the axis" in texts(figure)


def test_small_dots_are_left_out_and_counted():
    shown = texts(named("roofline", build.costed()))
    basis = "A dot: an operator and its shapes; area: its GPU time over the whole trace, 2 passes"
    assert f"{basis}; 1 small dot left out" in shown


def test_roofs_are_those_of_the_device():
    figure = named("roofline", build.costed())
    memory, bf16, fp32 = roof_lines(figure)[:3]
    left, right = figure.axes[0].get_xlim()
    assert memory == pytest.approx([left, 989.4 / 3.352, left * 3.352, 989.4])
    assert bf16 == pytest.approx([989.4 / 3.352, right, 989.4, 989.4])
    assert fp32 == pytest.approx([66.9 / 3.352, right, 66.9, 66.9])
    assert {"bf16: 989.4 TFLOP/s", "fp32: 66.9 TFLOP/s", "memory: 3,352 GB/s"} <= set(texts(figure))


def test_roofs_are_few_and_the_highest_is_among_them():
    report = build.costed()
    roofs = (
        Roof("fp32", 66.9, 9.0),
        Roof("bf16", 989.4, 8.0),
        Roof("tf32", 494.7, 7.0),
        Roof("fp8", 1978.9, 1.0),
    )
    report = build.changed(report, flops=build.changed(report.flops, roofs=roofs))
    assert [roof.dtype for roof in roofs_of(report)] == ["fp8", "bf16", "fp32"]


def test_roofs_of_one_height_have_one_name():
    report = build.costed()
    roofs = (Roof("bf16", 90.0, 9.0), Roof("fp32", 90.0, 8.0))
    report = build.changed(report, flops=build.changed(report.flops, roofs=roofs))
    assert "bf16, fp32: 90.0 TFLOP/s" in texts(named("roofline", report))


def test_names_are_the_end_of_the_place_and_the_operator():
    shown = texts(named("roofline", build.costed()))
    assert "mixer.in_proj (mm)" in shown
    assert "mixer.in_proj, backward (mm_for_gradients)" in shown
    assert "update [[61, 4480]]" in shown
    assert "mixer.norm (neg)" not in shown


def test_only_so_many_have_names():
    figure = figure_of(roofline(build.costed(), Locale("en"), top=1))
    assert "mixer.in_proj (mm)" in texts(figure)
    assert "mixer.out_proj (addmm)" not in texts(figure)


def test_names_do_not_cover_each_other():
    figure = named("roofline", build.costed())
    figure.canvas.draw()
    labels = [text for text in figure.axes[0].texts if isinstance(text, Annotation) and text.get_text()]
    boxes = [text.get_window_extent() for text in labels if not text.get_rotation()]
    assert len(boxes) == 7
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_without_an_operator_that_has_a_place_it_says_so():
    report = build.costed()
    report = build.changed(report, ops=tuple(op for op in report.ops if op.roofline_tflops is None))
    assert "no operator has both FLOPs and a known bound on this device" in texts(named("roofline", report))


def test_without_a_roof_it_says_so():
    report = build.costed()
    report = build.changed(report, flops=build.changed(report.flops, roofs=()))
    assert "no operator has both FLOPs and a known bound on this device" in texts(named("roofline", report))


def test_many_long_dots_are_smaller():
    ops = tuple(build.op(f"aten::mm{i}", 1000.0, 10.0 + i, 10.0) for i in range(200))
    areas = [
        area for *_place, area, _colour in dots(named("roofline", build.changed(build.costed(), ops=ops)))
    ]
    assert sum(areas) == pytest.approx(12_000)


def test_dots_beyond_the_roof_are_within_the_axes():
    report = build.costed()
    above = build.op("aten::mm", 100.0, 10_000.0, 5000.0)
    figure = named("roofline", build.changed(report, ops=(*report.ops, above)))
    assert figure.axes[0].get_ylim()[1] > 5000
    assert figure.axes[0].get_xlim()[1] > 10_000
    assert math.isfinite(figure.axes[0].get_ylim()[0])
