import pytest

from tracekit.report.i18n import Locale
from tracekit.report.plots.style import (
    SIZE,
    drawable,
    fitted,
    number_formatter,
    path_fitted,
    width_of,
    wrapped,
)


def test_what_fits_stays_as_it_is():
    assert fitted("model.layers.0.mlp", 3.0) == "model.layers.0.mlp"


@pytest.mark.parametrize("letter", ["W", "i", "я"])
def test_what_does_not_fit_is_cut_in_its_middle(letter):
    text = fitted(f"begin{letter * 5000}end", 1.5)
    assert text.startswith("begin")
    assert text.endswith("end")
    assert text.count("…") == 1
    assert 1.3 < width_of(text) <= 1.5


def test_width_is_that_of_the_font():
    # In DejaVu Sans a figure is 1303 of 2048 units wide.
    assert width_of("0" * 100) == pytest.approx(100 * 1303 / 2048 * SIZE / 72, rel=1e-4)


def test_letters_that_the_font_lacks_are_written_as_numbers():
    assert drawable("a模б") == "a\\u6a21б"
    assert drawable("1\N{NO-BREAK SPACE}234") == "1\N{NO-BREAK SPACE}234"


def test_what_is_not_visible_is_written_as_a_number():
    assert fitted("a\u202eb\n\x00\ud800", 3.0) == "a\\u202eb\\n\\x00\\ud800"


def test_of_a_path_the_end_is_kept():
    assert path_fitted("model.layers.0.mlp.down_proj", 3.0) == "model.layers.0.mlp.down_proj"
    shown = path_fitted(f"model.{'x' * 5000}.layers.0.mlp.down_proj", 2.0)
    assert shown == "…layers.0.mlp.down_proj"
    only = path_fitted("y" * 5000, 1.0)
    assert width_of(only) <= 1.0
    assert only.startswith("y")


def test_lines_break_between_words():
    lines = wrapped("one two three " * 10, 2.0)
    assert len(lines) > 2
    assert all(width_of(line) <= 2.0 for line in lines)
    assert " ".join(lines).split() == ["one", "two", "three"] * 10
    assert width_of(wrapped("w" * 500, 2.0)[0]) <= 2.0


@pytest.mark.parametrize(
    ("value", "en", "ru"), [(0.25, "0.25", "0,25"), (1000, "1,000", "1\xa0000"), (7, "7", "7")]
)
def test_numbers_of_axes(value, en, ru):
    assert number_formatter(Locale("en"))(value, 0) == en
    assert number_formatter(Locale("ru"))(value, 0) == ru
