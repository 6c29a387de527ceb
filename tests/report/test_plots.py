import io
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from PIL import Image

from tests.report import build
from tracekit.report import plots
from tracekit.report.i18n import Locale

DRAW = {"layer": plots.layer_time, "type": plots.type_time, "block": plots.block_time}


def drawn(figure):
    """The texts of a figure that are drawn: ticks beyond the limits of their axis exist, but are not."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            shown = axis._update_ticks() if axes.axison else []
            labels = {label for tick in shown for label in (tick.label1, tick.label2)}
            hidden |= {*axis.findobj(mpl.text.Text)} - labels - ({axis.label} if axes.axison else set())
    every = figure.findobj(mpl.text.Text)
    return [text for text in every if text.get_visible() and text.get_text() and text not in hidden]


def texts(figure):
    return [text.get_text() for text in drawn(figure)]


@pytest.mark.parametrize("name", build.ALL)
def test_pictures_decode_and_have_sane_sizes(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = plots.render_pngs(build.ALL[name](), Locale("ru"))
    assert list(files) == ["layer_time.png", "type_time.png", "block_time.png"]
    for contents in files.values():
        image = Image.open(io.BytesIO(contents))
        image.load()
        assert 800 <= image.width <= 2200
        assert 200 <= image.height <= 1400
        assert len(contents) < 400_000
    assert plt.get_fignums() == []


@pytest.mark.parametrize("draw", DRAW)
@pytest.mark.parametrize("name", build.ALL)
def test_no_text_leaves_the_picture(name, draw):
    with mpl.rc_context(plots.STYLE):
        figure = DRAW[draw](build.ALL[name](), Locale("ru"))
        figure.canvas.draw()
        box = figure.bbox
        for text in drawn(figure):
            extent = text.get_window_extent()
            assert extent.x0 >= -2, text.get_text()
            assert extent.x1 <= box.x1 + 2, text.get_text()
            assert extent.y0 >= -2, text.get_text()
            assert extent.y1 <= box.y1 + 2, text.get_text()


def test_titles_say_what_is_measured():
    en = Locale("en")
    shown = texts(plots.layer_time(build.hybrid(), en))
    assert "GPU self time, without that of modules inside, per pass (median of 2 passes)" in shown
    assert "GPU time (ms)" in shown
    assert "GPU self time, over the whole trace, 2 passes" in texts(plots.type_time(build.hybrid(), en))
    assert "GPU time, per pass (median of 2 passes)" in texts(plots.block_time(build.hybrid(), en))
    for draw in DRAW.values():
        assert any("no GPU in the trace" in text for text in texts(draw(build.cpu_only(), en)))
        assert "CPU time (ms)" in texts(draw(build.cpu_only(), en))


def test_layer_time_has_the_modules_of_the_list():
    figure = plots.layer_time(build.hybrid(), Locale("en"))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "backbone.layers.0.mixer.in_proj",
        "backbone.layers.0.mixer.norm",
        "backbone.layers.1.mixer.up_proj",
        "lm_head",
    ]
    assert [round(bar.get_width(), 6) for bar in figure.axes[0].patches] == [2.0, 1.5, 1.0, 0.5]


def test_type_time_folds_the_rest():
    figure = plots.type_time(build.large(), Locale("en"))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 13
    assert labels[-1] == "other (8 types)"
    # 100 µs × (8 + 7 + … + 1)
    assert figure.axes[0].patches[-1].get_width() == pytest.approx(3.6)


def test_block_time_has_a_bar_per_block_and_no_line_without_efficiency():
    figure = plots.block_time(build.large(), Locale("en"))
    assert len(figure.axes[0].patches) == 126
    assert len(figure.axes) == 2
    assert len(plots.block_time(build.no_shapes(), Locale("en")).axes) == 1


def test_a_picture_without_data_says_why():
    shown = texts(plots.block_time(build.empty(), Locale("en")))
    assert any("the trace has no modules" in text for text in shown)


def test_dollars_start_no_formula():
    with mpl.rc_context(plots.STYLE):
        figure = plots.layer_time(build.hostile(), Locale("en"))
        assert not any(text.get_parse_math() for text in drawn(figure))


def test_palette_is_that_of_seaborn_without_grey():
    assert len(plots.PALETTE) == 9


def test_block_time_has_a_panel_per_phase():
    figure = plots.block_time(build.phases(), Locale("en"))
    shown = texts(figure)
    assert "GPU time, per pass of prefill (one pass)" in shown
    assert "GPU time, per pass of decode (median of 2 passes)" in shown
    heights = [[round(bar.get_height(), 6) for bar in axes.patches] for axes in figure.axes[:2]]
    assert heights == [[3.5, 1.0, 0.5], [0.35, 0.1, 0.05]]


def test_pictures_of_modules_name_their_phases():
    en = Locale("en")
    assert any("per pass of prefill" in text for text in texts(plots.layer_time(build.phases(), en)))
    assert any("3 passes (prefill, decode)" in text for text in texts(plots.type_time(build.phases(), en)))
