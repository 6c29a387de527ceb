import gettext
import io
import string

import pytest

from tracekit.messages import N_, UserError
from tracekit.report import catalogue
from tracekit.report.i18n import PAGE_MESSAGES, Locale, page_messages

NBSP = "\N{NO-BREAK SPACE}"
COMMAND = "run: python -m tracekit.report.catalogue (and translate what it names)"


@pytest.mark.parametrize("lang", catalogue.TRANSLATED)
def test_every_text_is_translated(lang):
    assert catalogue.untranslated(lang) == [], COMMAND


@pytest.mark.parametrize("lang", catalogue.TRANSLATED)
def test_compiled_catalogue_is_that_of_the_source(lang):
    fresh = gettext.GNUTranslations(io.BytesIO(catalogue.compiled(catalogue.load(lang))))._catalog
    with catalogue.path(lang, ".mo").open("rb") as file:
        committed = gettext.GNUTranslations(file)._catalog
    # The header names the version of Babel.
    assert {k: v for k, v in committed.items() if k} == {k: v for k, v in fresh.items() if k}, COMMAND


@pytest.mark.parametrize("lang", catalogue.TRANSLATED)
def test_texts_of_the_page_are_those_of_its_scripts(lang):
    committed = catalogue.path(lang, ".po").with_name(PAGE_MESSAGES).read_text(encoding="utf-8")
    assert committed == catalogue.page_json(lang), COMMAND
    texts = {message.id for message in catalogue.extract() if catalogue.in_script(message)}
    assert page_messages(lang).keys() == {text if isinstance(text, str) else text[0] for text in texts}
    # A text of a script, one of Python, and one of both.
    assert page_messages(lang).keys() >= {"Contents", "ms"}
    assert "the file is cut off" not in page_messages(lang)


def test_texts_of_the_page():
    assert page_messages("ru")["GPU time"] == "Время GPU"
    assert page_messages("en") == {}


@pytest.mark.parametrize("lang", catalogue.TRANSLATED)
def test_translations_have_the_fields_of_their_texts(lang):
    def fields(text):
        return {
            name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name is not None
        }

    for message in catalogue.load(lang):
        texts = [message.id] if isinstance(message.id, str) else list(message.id)
        translations = [message.string] if isinstance(message.string, str) else list(message.string)
        if message.id:
            assert {frozenset(fields(t)) for t in translations} == {frozenset(fields(t)) for t in texts}, (
                message.id
            )


def test_texts_in_f_strings_templates_and_messages_are_extracted():
    texts = {message.id for message in catalogue.extract()}
    assert {"ms", "Charts", "the file is cut off", ("{n} pass", "{n} passes")} <= texts


SCRIPT = """
const label = _("To the top"), both = locale._('two' + " parts");
const html = `<p title="${_("Inside a template")}">${n < 3 ? ngettext("{n} row", "{n} rows", n) : _(text)}`;
rows.map((_, i) => i < 2 && i > 0).join(_(`Plain template`)); // it's
const nested = `${rows.map((row) => `<td class='a'>don't ${_("Nested")}</td>`)}`, slash = /[/"]/g;
const pattern = /["'`]/; const after = _("After a pattern");
function _(text) { return texts[text] ?? text; }
"""


def test_texts_in_scripts_of_the_page_are_extracted(tmp_path):
    page = tmp_path / "report" / "page"
    (page / "vendor" / "deep").mkdir(parents=True)
    (page / "vendor" / "lodash.js").write_text('_("of a library")')
    (page / "vendor" / "deep" / "lib.js").write_text('_("of a library")')
    (page / "parts").mkdir()
    (page / "page.js").write_text(SCRIPT)
    (page / "parts" / "table.js").write_text('_("µs — «мкс»")')
    assert {message.id for message in catalogue.extract(tmp_path) if message.id} == {
        "To the top",
        "two parts",
        "Inside a template",
        ("{n} row", "{n} rows"),
        "Plain template",
        "Nested",
        "After a pattern",
        "µs — «мкс»",
    }


@pytest.mark.parametrize(
    ("lang", "expected"),
    [("en", "8,298,823,680"), ("ru", f"8{NBSP}298{NBSP}823{NBSP}680")],
)
def test_count(lang, expected):
    assert Locale(lang).count(8_298_823_680) == expected


@pytest.mark.parametrize(
    ("value", "english", "russian"),
    [
        (155.071, "155.07", "155,07"),
        (1978.9, "1,978.90", f"1{NBSP}978,90"),
        (0.0213, "0.021", "0,021"),
        (0.5, "0.50", "0,50"),
        (0.00021, "0.00021", "0,00021"),
        (0.0, "0", "0"),
        (None, "—", "—"),
        (float("nan"), "—", "—"),
    ],
)
def test_fixed(value, english, russian):
    assert Locale("en").fixed(value) == english
    assert Locale("ru").fixed(value) == russian


def test_what_is_less_than_is_shown_says_so():
    en, ru = Locale("en"), Locale("ru")
    # 0.4 and 1 nanosecond; the second is just shown
    assert [en.milliseconds(us) for us in (0.4, 0.9, 1.0, 0.0, None)] == [
        "<0.001",
        "<0.001",
        "0.0010",
        "0",
        "—",
    ]
    assert [ru.milliseconds(us, 4) for us in (0.04, 0.5)] == ["<0,0001", "0,00050"]
    assert [en.percent(share) for share in (0.00009, 0.0001, 0.0)] == ["<0.01%", "0.010%", "0%"]
    assert ru.percent(0.00009) == f"<0,01{NBSP}%"


def test_units():
    en, ru = Locale("en"), Locale("ru")
    assert [en.duration(us) for us in (2.5, 1534.0, 2_500_000.0)] == ["2.50 µs", "1.53 ms", "2.50 s"]
    assert ru.duration(155_070.0) == "155,07 мс"
    assert en.flops(913_980_000_000) == "913.98 GFLOPs"
    assert en.flops(1_012_456_488_960) == "1.012 TFLOPs"
    assert ru.flops(6_792_335_360, "F") == "6,792 GF"
    assert en.bytes(17_800_000_000) == "17.800 GB"
    assert en.bytes(999) == "999 B"
    assert en.percent(0.123) == "12.3%"
    assert ru.percent(0.123) == f"12,3{NBSP}%"
    assert en.flops_rate(5.89) == "5.89 TFLOP/s"
    assert en.flops_rate(0.00025) == "0.25 GFLOP/s"


def test_plural():
    ru = Locale("ru")
    assert [ru.ngettext("{n} pass", "{n} passes", n) for n in (1, 3, 5, 21)] == [
        "1 проход",
        "3 прохода",
        "5 проходов",
        "21 проход",
    ]


def test_message_is_translated_and_its_numbers_are_local():
    message = N_("pass {index} takes {wall} ms, far more than its siblings", index=3, wall="404.2")
    assert Locale("ru").message(message) == "проход 3 занимает 404,2 мс, намного больше остальных"
    assert Locale("en").message(N_("{share:.1%} of {all:,}", share=0.5, all=10000)) == "50.0% of 10,000"
    assert Locale("ru").message(N_("{share:.1%}", share=0.5)) == f"50,0{NBSP}%"


def test_message_in_a_message_and_quoting():
    message = N_("{path}: {problem}; copy or capture it again", path="a`b", problem=N_("the file is cut off"))
    assert (
        Locale("ru").message(message, lambda s: f"<{s}>")
        == "<a`b>: файл обрезан; скопируйте или снимите трассу заново"
    )
    assert Locale("en").message(N_("`{name}` is odd", name="x"), lambda s: f"<{s}>") == "<x> is odd"


def test_unknown_language():
    with pytest.raises(UserError, match="en, ru"):
        Locale("de")
