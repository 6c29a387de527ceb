import subprocess
import sys

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.report import build
from tests.report.plots.drawn import bars, names, texts
from tracekit.api import Report
from tracekit.messages import UserError

PICTURES = ("modules", "types", "blocks", "roofline", "headroom")


@pytest.fixture
def pyplot():
    import matplotlib.pyplot as plt

    mpl.use("agg")
    yield plt
    plt.close("all")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_its_own_is_a_figure_that_pyplot_shows(name, pyplot):
    axes = getattr(Report(build.costed()).plot, name)()
    assert isinstance(axes, Axes)
    assert pyplot.get_fignums() == [axes.figure.number]
    assert "NVIDIA-Nemotron-Nano-9B-v2 · NVIDIA H100 80GB HBM3" in texts(axes.figure)


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", PICTURES)
def test_axes_that_are_given_are_drawn_on(name, lang):
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    before = dict(mpl.rcParams)
    assert getattr(Report(build.costed()).plot, name)(axes, lang=lang) is axes
    assert dict(mpl.rcParams) == before
    figure.canvas.draw()
    assert axes.get_title(loc="left")
    assert "pyplot" not in str(type(figure))
    if name not in ("types",):
        assert axes.get_legend() is not None


def test_axes_may_be_used_with_names_that_look_like_formulas():
    axes = Figure().subplots()
    axes.get_yticklabels()  # makes the first tick, which takes formulas
    Report(build.many_types()).plot.types(axes)
    assert names(axes)[0] == "$x_{1}^2$ × 1"
    assert not any(label.get_parse_math() for label in axes.get_yticklabels())
    axes.figure.canvas.draw()


def test_top():
    plot = Report(build.large()).plot
    assert len(names(plot.modules(Figure().subplots(), top=3))) == 3
    assert names(plot.types(Figure().subplots(), top=3))[3:] == ["other (17 types)"]
    assert len(names(Report(build.costed()).plot.headroom(Figure().subplots(), top=4))) == 5


def test_phase():
    plot = Report(build.phases()).plot
    assert bars(plot.modules(Figure().subplots(), phase="decode", top=1))[0][0] == 0.2
    axes = plot.blocks(Figure().subplots(), phase="decode")
    assert any("per pass of decode" in text.get_text() for text in axes.texts)
    with pytest.raises(UserError, match="phase 'train' is not in the trace; it has: prefill, decode"):
        plot.blocks(phase="train")


def test_the_only_phase_may_be_named():
    report = build.phases()
    report = build.changed(report, phases=report.phases[:1])
    axes = Report(report).plot.modules(Figure().subplots(), phase="prefill", top=1)
    assert bars(axes)[0][0] == 2.0


def test_an_unknown_language():
    with pytest.raises(UserError, match="language xx is not known"):
        Report(build.hybrid()).plot.types(lang="xx")


def test_nothing_of_matplotlib_is_loaded_before_a_picture_is_drawn():
    program = (
        "import sys, tracekit; from tracekit.api import Report; from tests.report import build;"
        "Report(build.hybrid()).plot;"
        "print([name for name in ('matplotlib', 'pandas', 'babel') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_import_of_tracekit_loads_next_to_nothing():
    program = (
        "import sys, tracekit;"
        "print([name for name in ('matplotlib', 'pandas', 'numpy', 'msgspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_are_made_without_pyplot(tmp_path):
    program = (
        "import sys; from tracekit.report.saving import save; from tests.report import build;"
        f"save(build.hybrid(), {str(tmp_path / 'out')!r}, ['png', 'svg', 'md']);"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
