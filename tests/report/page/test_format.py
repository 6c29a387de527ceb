"""Numbers on the page look like those of every other output: format.js against `Locale`, in a blank page."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tracekit.report.i18n import LANGUAGES, Locale, page_messages
from tracekit.report.page import FOLDER

NBSP = "\N{NO-BREAK SPACE}"


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Any:
    page = browser.new_page()
    yield page
    page.close()


def shown(page: Page, lang: str, calls: list[tuple[str, list[Any]]]) -> list[str]:
    """What the page's `format` makes of each call."""
    payload = {"lang": lang, "messages": {name: page_messages(name) for name in LANGUAGES}}
    scripts = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("language.js", "format.js"))
    page.evaluate(
        "text => { document.body.innerHTML = '<i id=payload></i>'; payload.textContent = text; }",
        json.dumps(payload),
    )
    # Numbers travel as JSON: what the driver sends of its own would turn a whole float into a text.
    return page.evaluate(  # type: ignore[no-any-return]
        f"calls => {{ 'use strict'; {scripts}"
        "return JSON.parse(calls).map(([name, values]) => name === 'ngettext'"
        " ? ngettext(...values) : format[name](...values)); }",
        json.dumps(calls),
    )


WHOLE = [0, 1, -1, 999, 1000, 1001, 12_345, 999_999, 8_298_823_680, -7_000_000, 10**15, 10**18, 2**53, None]
HUGE = [10**21, 15 * 10**20, 123_456 * 10**17, -(10**24)]
NUMBERS = [
    *(0.0, -0.0, 1.0, 0.5, 2.5, 0.125, 0.375, 1.005, 2.675, 1.115, 0.005, 0.015, 0.1, 0.0999, 0.0995),
    *(
        0.01,
        0.00999,
        9.995,
        9.994999,
        99.995,
        999.994,
        999.995,
        999.9999,
        1000.0,
        999_999.9,
        1e6,
        1234567.891,
    ),
    *(1e-3, 1.5e-7, 4.9e-12, 1e-19, 155.071, 1978.9, 33.333333333, -0.05, -12.345, -1e-5, -2_500_000.0),
    *(1e9 / 3, 1e12 + 0.5, 123456789012.345, 1e15, 1e20, 1e21, 1.23456e22, 9.87e300, None),
]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_numbers_are_those_of_the_other_outputs(blank: Page, lang: str) -> None:
    locale = Locale(lang)
    draw = random.Random(5)
    some = [10 ** draw.uniform(-9, 12) for _ in range(1500)] + [
        round(10 ** draw.uniform(-3, 6), draw.randint(0, 4)) for _ in range(1500)
    ]
    numbers = [*NUMBERS, *some]
    whole = [*WHOLE, *HUGE, *(int(10 ** draw.uniform(0, 20)) for _ in range(500))]
    # JavaScript has no whole numbers beyond 2^53: the last digits are not to be had.
    counts = [value for value in whole if value is None or abs(value) <= 2**53 or value in HUGE]
    expected = [
        *((("count", [value]), locale.count(value)) for value in counts),
        *((("flops", [value]), locale.flops(value)) for value in whole),
        *((("bytes", [value]), locale.bytes(value)) for value in whole),
        *((("fixed", [value, d]), locale.fixed(value, d)) for value in numbers for d in (0, 1, 2, 3)),
        *((("milliseconds", [value]), locale.milliseconds(value)) for value in numbers),
        *((("duration", [value]), locale.duration(value)) for value in numbers),
        *((("rate", [value]), locale.flops_rate(value)) for value in numbers),
        *((("percent", [value, d]), locale.percent(value, d)) for value in numbers for d in (0, 1)),
    ]
    found = shown(blank, lang, [call for call, _text in expected])
    different = [
        (call, text, seen) for (call, text), seen in zip(expected, found, strict=True) if text != seen
    ]
    assert different == []


@pytest.mark.parametrize(
    ("call", "english", "russian"),
    [
        (("count", [8_298_823_680]), "8,298,823,680", f"8{NBSP}298{NBSP}823{NBSP}680"),
        (("duration", [1534.0]), "1.53 ms", "1,53 мс"),
        (("duration", [2_500_000]), "2.50 s", "2,50 с"),
        (("duration", [0.0213]), "0.021 µs", "0,021 мкс"),
        (("flops", [913_980_000_000]), "913.98 GFLOPs", "913,98 GFLOPs"),
        (("flops", [1_012_456_488_960]), "1.012 TFLOPs", "1,012 TFLOPs"),
        (("bytes", [17_800_000_000]), "17.800 GB", "17,800 ГБ"),
        (("rate", [0.00025]), "0.25 GFLOP/s", "0,25 GFLOP/s"),
        (("percent", [0.123]), "12.3%", f"12,3{NBSP}%"),
        (("milliseconds", [404_200]), "404.200", "404,200"),
        (("fixed", [None]), "—", "—"),
    ],
)
def test_numbers_by_hand(blank: Page, call: tuple[str, list[Any]], english: str, russian: str) -> None:
    assert shown(blank, "en", [call]) == [english]
    assert shown(blank, "ru", [call]) == [russian]


def test_what_is_no_number_is_a_dash(blank: Page) -> None:
    scripts = (FOLDER / "language.js").read_text() + (FOLDER / "format.js").read_text()
    for name in ("count", "fixed", "duration", "flops", "rate", "bytes", "percent", "milliseconds"):
        for value in ("NaN", "Infinity", "-Infinity", "undefined", "null"):
            assert blank.evaluate(f"() => {{ {scripts} return format.{name}({value}); }}") == "—"


def test_plural_forms_are_those_of_the_catalogue(blank: Page) -> None:
    blank.evaluate("document.body.innerHTML = '<i id=payload></i>'")
    forms = {"ru": {"{n} row of {n}": ["{n} строка", "{n} строки", "{n} строк"]}}
    script = (FOLDER / "language.js").read_text() + (FOLDER / "format.js").read_text()
    counts = [0, 1, 2, 4, 5, 11, 12, 21, 22, 25, 101, 111, 1001]

    def plural(lang: str) -> list[str]:
        blank.evaluate(
            "text => { payload.textContent = text; }", json.dumps({"lang": lang, "messages": forms})
        )
        call = "ngettext('{n} row of {n}', '{n} rows', n)"
        return blank.evaluate(  # type: ignore[no-any-return]
            f"counts => {{ {script} return counts.map((n) => {call}); }}", counts
        )

    assert plural("ru") == [
        *("0 строк", "1 строка", "2 строки", "4 строки", "5 строк", "11 строк", "12 строк", "21 строка"),
        *("22 строки", "25 строк", "101 строка", "111 строк", f"1{NBSP}001 строка"),
    ]
    assert plural("en")[:3] == ["0 rows", "1 row of 1", "2 rows"]
