"""Languages: texts through gettext catalogues, numbers with their units through Babel.

A `Locale` is all that a renderer needs to know about a language. What is unknown (None, NaN, infinity)
is shown as `DASH`; why it is unknown is for the renderer to say. `tracekit.report.catalogue` extracts and
compiles the catalogues; nothing here writes a file.
"""

from __future__ import annotations

import gettext
import json
import math
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import babel
from babel import numbers

from tracekit.messages import N_, Message, UserError
from tracekit.report.escape import ELLIPSIS, clean
from tracekit.report.kernel_names import short_name

DASH = "—"
DOMAIN = "tracekit"
PAGE_MESSAGES = "page.json"
LOCALE_DIRECTORY = Path(__file__).with_name("locale")
LANGUAGES = ("en", "ru")

_QUOTED_FIELD = re.compile(r"`(\{[^{}]*\})`")
_NUMBER = re.compile(r"[-+−]?\d+(,\d{3})*(\.\d+)?")
HUGE = 1e21
_SCALES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class Locale:
    """Texts, numbers and units of one language.

    >>> Locale("en").duration(1534.0)
    '1.53 ms'
    >>> Locale("en").flops(6_792_335_360, "F")
    '6.792 GF'
    """

    def __init__(self, lang: str) -> None:
        """Raises `UserError` for a language that has no catalogue."""
        if lang not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise UserError(N_("language {lang} is not known; use one of: {known}", lang=lang, known=known))
        self.lang = lang
        self._babel = babel.Locale.parse(lang)
        # English is the language of the texts in the code: it has no catalogue.
        self._texts = gettext.translation(DOMAIN, LOCALE_DIRECTORY, [lang], fallback=lang == "en")
        self._fields = _LocalFields(self)
        self.decimal_symbol = numbers.get_decimal_symbol(self._babel)
        self.group_symbol = numbers.get_group_symbol(self._babel)

    def _(self, text: str) -> str:
        return self._texts.gettext(text)

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """The form for `n`, with `{n}` in it filled in."""
        return self._texts.ngettext(singular, plural, n).format(n=self.count(n))

    def message(self, message: Message, quote: Callable[[str], str] | None = None) -> str:
        """`message` in this language; texts among its values are cleaned, or given to `quote`.

        Values that are named `kernel` or `kernels` are names of kernels, which are shortened.
        """
        template = self._(message.template)
        if quote is not None:
            template = _QUOTED_FIELD.sub(r"\1", template)
        values = {name: self._value(_shown(name, value), quote) for name, value in message.values.items()}
        return self._fields.vformat(template, (), values)

    def _value(self, value: Any, quote: Callable[[str], str] | None) -> Any:
        if isinstance(value, Message):
            return self.message(value, quote)
        if isinstance(value, str):
            if _NUMBER.fullmatch(value):
                symbols = {".": self.decimal_symbol, ",": self.group_symbol}
                return "".join(symbols.get(c, c) for c in value)
            return quote(value) if quote is not None and value != ELLIPSIS else clean(value)
        if isinstance(value, list | tuple):
            return ", ".join(str(self._value(item, quote)) for item in value)
        return value

    def count(self, value: int | None) -> str:
        """`8,298,823,680`, in Russian with no-break spaces."""
        if value is None:
            return DASH
        return self._huge(value) or str(numbers.format_decimal(value, "#,##0", self._babel))

    def _huge(self, value: float) -> str:
        """What no decimal arithmetic formats, and nobody reads; empty for other numbers."""
        return f"{value:.3g}".replace(".", self.decimal_symbol) if abs(value) >= HUGE else ""

    def fixed(self, value: float | None, digits: int = 2) -> str:
        """`value` with `digits` decimals, or more where less than two significant digits would be left."""
        if value is None or not math.isfinite(value):
            return DASH
        if value == 0:
            return "0"
        if huge := self._huge(value):
            return huge
        if abs(value) < 10.0 ** (1 - digits):
            digits = 1 - math.floor(math.log10(abs(value)))
        pattern = "#,##0." + "0" * digits if digits else "#,##0"
        return str(numbers.format_decimal(value, pattern, self._babel))

    def rounded(self, value: float | None) -> str:
        """A whole number: of megahertz, watts, degrees."""
        return DASH if value is None or not math.isfinite(value) else self.count(round(value))

    def milliseconds(self, us: float | None, digits: int = 3) -> str:
        """A bare number of milliseconds, for columns that name the unit; `<0.001` for less than that."""
        if us is not None and 0 < us < 10.0 ** (3 - digits):
            return self._less_than(digits)
        return self.fixed(None if us is None else us / 1e3, digits)

    def _less_than(self, digits: int) -> str:
        return f"<{10.0**-digits:.{digits}f}".replace(".", self.decimal_symbol)

    def duration(self, us: float | None) -> str:
        """A duration with the unit that suits it: µs, ms or s."""
        if us is None or not math.isfinite(us):
            return DASH
        if abs(us) < 1e3:
            return f"{self.fixed(us)} {self._('µs')}"
        if abs(us) < 1e6:
            return f"{self.fixed(us / 1e3)} {self._('ms')}"
        return f"{self.fixed(us / 1e6)} {self._('s')}"

    def flops(self, value: int | None, unit: str = "FLOPs") -> str:
        """A number of operations, scaled: `913.98 GFLOPs`, `1.012 TFLOPs`."""
        if value is None:
            return DASH
        for scale, prefix in _SCALES:
            if abs(value) >= scale:
                return self._with_unit(value / scale, prefix + unit)
        return f"{self.count(value)} {unit}" if value else "0"

    def flops_rate(self, tflops: float | None) -> str:
        """TFLOP/s, or GFLOP/s where there would be little left of them."""
        if tflops is None:
            return DASH
        return f"{self.fixed(tflops)} TFLOP/s" if tflops >= 1 else f"{self.fixed(tflops * 1e3)} GFLOP/s"

    def bytes(self, value: int | None) -> str:
        """A number of bytes, scaled by thousands as bandwidths are: `17.800 GB`."""
        if value is None:
            return DASH
        units = [self._("B"), self._("kB"), self._("MB"), self._("GB"), self._("TB")]
        power = min(len(units) - 1, (len(str(abs(value))) - 1) // 3)
        return (
            self._with_unit(value / 1000**power, units[power]) if power else f"{self.count(value)} {units[0]}"
        )

    def _with_unit(self, scaled: float, unit: str) -> str:
        return f"{self.fixed(scaled, 2 if abs(scaled) >= 100 else 3)} {unit}"

    def percent(self, share: float | None, digits: int = 1) -> str:
        """`0.123` as `12.3%`, in Russian with a no-break space before the sign; or `<0.01%`."""
        if share is None or not math.isfinite(share):
            return DASH
        if 0 < share < 1e-4:
            return self.with_percent_sign(self._less_than(2))
        return self.with_percent_sign(self.fixed(share * 100, digits))

    def rounded_percentage(self, percentage: float, is_nothing: bool) -> str:
        """A percentage with one decimal; what is rounded to 0 and yet something is `<0.1%`."""
        if percentage == 0 and not is_nothing:
            return self.with_percent_sign(self._less_than(1))
        if percentage == 0:
            return self.with_percent_sign("0")
        return self.with_percent_sign(str(numbers.format_decimal(percentage, "#,##0.0", self._babel)))

    def with_percent_sign(self, number: str) -> str:
        return f"{number}\N{NO-BREAK SPACE}%" if self.lang == "ru" else f"{number}%"


def page_messages(lang: str) -> dict[str, str | list[str]]:
    """The translations of the texts in the page's scripts; of a plural its forms, in CLDR's order."""
    path = LOCALE_DIRECTORY / lang / "LC_MESSAGES" / PAGE_MESSAGES
    found: dict[str, str | list[str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _shown(name: str, value: Any) -> Any:
    if name == "kernel":
        return short_name(value)
    return list(map(short_name, value)) if name == "kernels" else value


class _LocalFields(string.Formatter):
    """`str.format` that writes numbers with the symbols of a locale."""

    def __init__(self, locale: Locale) -> None:
        self._locale = locale

    def format_field(self, value: Any, format_spec: str) -> str:
        locale = self._locale
        if value is None:
            return DASH
        if isinstance(value, bool) or not isinstance(value, int | float):
            return str(format(value, format_spec))
        if not format_spec:
            return locale.count(value) if isinstance(value, int) else locale.fixed(value)
        text = format(value, format_spec)
        symbols = {".": locale.decimal_symbol, ",": locale.group_symbol}
        text = "".join(symbols.get(c, c) for c in text)
        return locale.with_percent_sign(text[:-1]) if text.endswith("%") else text
