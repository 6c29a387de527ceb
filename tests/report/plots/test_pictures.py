import io
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from tests.report import build
from tests.report.plots.drawn import named, shown, texts
from tests.report.russian import english_words, names_of
from tracekit.report.i18n import Locale
from tracekit.report.plots import PICTURES, render_pictures

every_picture = pytest.mark.parametrize("picture", PICTURES)
every_report = pytest.mark.parametrize("name", build.ALL)


def test_names_are_those_that_users_know():
    assert list(PICTURES) == ["layer_time", "type_time", "block_time", "roofline", "headroom"]


@every_report
def test_pictures_decode_and_have_sane_sizes(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = render_pictures(build.ALL[name](), Locale("ru"), ("png", "svg"))
    assert set(files) == {f"{picture}.{kind}" for picture in PICTURES for kind in ("png", "svg")}
    for file, contents in files.items():
        assert len(contents) < 400_000
        if file.endswith(".png"):
            image = Image.open(io.BytesIO(contents))
            image.load()
            assert image.width == 1440
            assert 200 <= image.height <= 1400
    assert plt.get_fignums() == []


def test_only_the_kinds_that_were_asked_for():
    assert set(render_pictures(build.empty(), Locale("en"), ["svg"])) == {f"{name}.svg" for name in PICTURES}


@every_report
def test_svg_is_xml_without_scripts_and_without_foreign_references(name):
    files = render_pictures(build.ALL[name](), Locale("en"), ["svg"])
    for contents in files.values():
        root = ElementTree.fromstring(contents)
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not tags & {"script", "foreignObject", "image", "a", "text"}
        for element in root.iter():
            for key, value in element.attrib.items():
                assert not key.rpartition("}")[2].startswith("on")
                if key.endswith("href"):
                    assert value.startswith("#")


def test_letters_of_svg_are_outlines_that_need_no_font():
    (contents,) = {
        data
        for file, data in render_pictures(build.hybrid(), Locale("en"), ["svg"]).items()
        if file == "type_time.svg"
    }
    assert b"font-family" not in contents
    assert contents.count(b'<path id="DejaVuSans-') > 20


def test_the_same_report_makes_the_same_bytes(tmp_path):
    program = (
        "import sys; from tests.report import build; from tracekit.report.i18n import Locale;"
        "from tracekit.report.plots import render_pictures;"
        "files = render_pictures(build.costed(), Locale('en'), ('png', 'svg'));"
        "sys.stdout.buffer.write(b''.join(files.values()))"
    )
    made = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True) for _ in range(2)
    ]
    assert made[0].stdout == made[1].stdout
    assert b"dc:date" not in made[0].stdout
    assert len(made[0].stdout) > 100_000


@every_picture
@every_report
@pytest.mark.parametrize("lang", ["en", "ru"])
def test_no_text_leaves_the_picture(name, picture, lang):
    figure = named(picture, build.ALL[name](), lang)
    figure.canvas.draw()
    box = figure.bbox
    for text in shown(figure):
        extent = text.get_window_extent()
        assert extent.x0 >= -2, text.get_text()
        assert extent.x1 <= box.x1 + 2, text.get_text()
        assert extent.y0 >= -2, text.get_text()
        assert extent.y1 <= box.y1 + 2, text.get_text()


@every_picture
def test_dollars_start_no_formula(picture):
    for name in ("hostile", "hostile_capture", "hostile_costed", "many_types"):
        with_dollars = [text for text in shown(named(picture, build.ALL[name]())) if "$" in text.get_text()]
        assert not any(text.get_parse_math() for text in with_dollars)
        assert with_dollars or name != "hostile_costed"


@every_picture
def test_subject_is_the_model_and_its_device(picture):
    assert "NVIDIA-Nemotron-Nano-9B-v2 · NVIDIA H100 80GB HBM3" in texts(named(picture, build.costed()))


@every_picture
def test_a_picture_without_data_says_why(picture):
    why = {
        "roofline": "the trace does not say",  # the device's peaks
        "headroom": "the trace does not say",
        "type_time": "launched before the trace began",  # the only bar
    }.get(picture, "the trace has no modules")
    assert any(why in text for text in texts(named(picture, build.empty())))


@pytest.mark.parametrize("picture", ["roofline", "headroom"])
def test_without_a_gpu_nothing_is_held_against_it(picture):
    assert "the trace has no GPU events: times are CPU times" in texts(named(picture, build.cpu_only()))


@pytest.mark.parametrize("picture", ["layer_time", "type_time", "block_time"])
def test_cpu_times_are_called_so(picture):
    found = texts(named(picture, build.cpu_only()))
    assert any("no GPU in the trace" in text for text in found)
    assert "CPU time (ms)" in found


@every_picture
def test_russian_pictures_say_nothing_in_english(picture):
    for report in (build.costed(), build.phases(), build.cpu_only(), build.empty(), build.no_shapes()):
        names = names_of(report) | {op.name.rpartition("::")[2] for op in report.ops} | {report.trace.path}
        assert english_words("\n".join(texts(named(picture, report, "ru"))), names) == []
