import gettext
import io
import os
import re
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.report import build
from tests.report.russian import english_words, names_of
from tracekit.analysis import analyze
from tracekit.report import catalogue, terminal
from tracekit.report.i18n import Locale
from tracekit.report.markdown import render_markdown

NBSP = "\N{NO-BREAK SPACE}"
SAMPLES = sorted((Path(__file__).parents[2] / "sample_traces").glob("*.json.gz"))
CORPUS = sorted(Path(os.environ.get("TRACEKIT_CORPUS", "/nowhere")).glob("*.json.gz"))
# Their texts are no language.
HOSTILE = {"hostile", "hostile_capture", "hostile_costed", "many_types"}


def reports():
    for name, make in build.ALL.items():
        if name not in HOSTILE:
            yield pytest.param(make, id=name)
    for path in [*SAMPLES, *CORPUS]:
        yield pytest.param(lambda path=path: analyze(path), id=path.name)


@pytest.fixture(scope="module", params=reports())
def report(request):
    return request.param()


def rendered(report, lang):
    stream = io.StringIO()
    # Without line breaks in names.
    with patch.object(terminal, "WIDTH", 5000):
        terminal.print_summary(report, None, lang, stream)
    return [render_markdown(report, Locale(lang)), stream.getvalue()]


def test_a_russian_report_says_nothing_in_english(report):
    for text in rendered(report, "ru"):
        assert english_words(text, names_of(report)) == []


def test_russian_numbers(report):
    for text in rendered(report, "ru"):
        text = re.sub(r"`[^`]*`", "", text)
        for name in names_of(report):
            text = text.replace(name, "")
        assert not re.search(r"\d\.\d", re.sub(r"\S+\.(?:json|png)\S*", "", text)), "a decimal point"
        assert not re.search(r"(?<![A-Za-z\d])\d{1,3} \d{3}(?!\d)", text), "groups of digits break apart"
        assert not re.search(r"[\d>]%|[\d>] %", text), "no no-break space before a percent sign"
        assert not re.search(r"\d(?:мс|мкс|ГБ|МБ|кБ)\b", text)


def test_english_numbers(report):
    for text in rendered(report, "en"):
        assert NBSP not in text
        assert not re.search(r"\d %", text)


def test_english_words_are_found():
    text = (
        "| `in code` | время GPU | Linear |\n![Время](a_picture.png)\n"
        "снимите с record_shapes=True через torch.compile и --gpu: 12 ms, the rest of Linear и Linearly"
    )
    assert english_words(text, ["Linear"]) == ["ms", "the", "rest", "of", "Linearly"]


# What the three forms of a text are, by the numbers that ask for them.
FORMS = {1: 0, 2: 1, 5: 2, 11: 2, 21: 0, 22: 1, 25: 2, 101: 0, 111: 2, 0: 2, 1000: 2, 1002: 1}
PLURALS = [message for message in catalogue.load("ru") if isinstance(message.id, tuple) and message.id[0]]


@pytest.mark.parametrize("message", PLURALS, ids=lambda message: message.id[0])
def test_plurals_have_three_forms_and_numbers_choose_among_them(message):
    assert len(message.string) == 3
    with catalogue.path("ru", ".mo").open("rb") as file:
        texts = gettext.GNUTranslations(file)
    for number, form in FORMS.items():
        assert texts.ngettext(*message.id, number) == message.string[form]


@pytest.mark.parametrize(
    ("singular", "plural", "expected"),
    [
        ("{n} pass", "{n} passes", ["1 проход", "2 прохода", "5 проходов", "11 проходов", "21 проход"]),
        ("{n} event", "{n} events", ["1 событие", "2 события", "5 событий", "11 событий", "21 событие"]),
        (
            "median of {n} pass",
            "median of {n} passes",
            [f"медиана {n}" for n in ("1 прохода", "2 проходов", "5 проходов", "11 проходов", "21 прохода")],
        ),
        (
            "median of {n} step",
            "median of {n} steps",
            ["медиана 1 шага", "медиана 2 шагов", "медиана 5 шагов", "медиана 11 шагов", "медиана 21 шага"],
        ),
        ("in {n} layer", "in {n} layers", ["в 1 слое", "в 2 слоях", "в 5 слоях", "в 11 слоях", "в 21 слое"]),
    ],
)
def test_plurals_of_words(singular, plural, expected):
    locale = Locale("ru")
    assert [locale.ngettext(singular, plural, n) for n in (1, 2, 5, 11, 21)] == expected


def test_units_are_translated_and_flops_are_not():
    """As the predecessor wrote them: мс, but GF and TFLOPs."""
    locale = Locale("ru")
    assert [locale.duration(us) for us in (1.5, 1500.0, 1.5e6)] == ["1,50 мкс", "1,50 мс", "1,50 с"]
    assert [locale.bytes(n) for n in (1, 10**3, 10**6, 10**9, 10**12)] == [
        "1 Б",
        "1,000 кБ",
        "1,000 МБ",
        "1,000 ГБ",
        "1,000 ТБ",
    ]
    assert [locale._(unit) for unit in ("GB/s", "FLOP/byte")] == ["ГБ/с", "FLOP/байт"]
    assert locale.flops_rate(1.5) == "1,50 TFLOP/s"
    assert locale.flops(10**12) == "1,000 TFLOPs"
    for message in catalogue.load("ru"):
        for text in [message.string] if isinstance(message.string, str) else message.string:
            assert not re.search(r"ФЛОП|флоп|\b[GMkT]B\b|\bms\b|\bµs\b|\bMHz\b", text), text
            assert not re.search(r"[\d}] %", text), text
