import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tracekit.report.escape import clean, elide, markdown_cell_code, markdown_code, markdown_text

names = st.text(alphabet=st.sampled_from("ab `|\\*_<>&$#[]()!~\n\x1b-"), min_size=1, max_size=12)


def shown(markdown):
    """The text that a reader of Markdown sees."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    return "".join(
        child.content
        for token in reader.parse(markdown)
        for child in token.children or ()
        if child.type in ("text", "code_inline", "text_special")
    )


@given(names)
def test_code_shows_the_name(name):
    assert shown(f"x {markdown_code(name)} y") == f"x {clean(name)} y"


@given(names)
def test_text_shows_the_name(name):
    assert shown(f"x{markdown_text(name)}y") == f"x{clean(name)}y"


@given(names)
def test_code_in_a_table_shows_the_name_and_adds_no_cell(name):
    row = f"| {markdown_cell_code(name)} | {markdown_text('x' + name + 'x')} |"
    assert shown(f"| h | i |\n|---|---|\n{row}") == f"hi{clean(name)}x{clean(name)}x"


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("abc", 3, "abc"), ("abcdefgh", 5, "ab…gh"), ("abcdefgh", 6, "ab…fgh"), ("", 5, "")],
)
def test_elide(text, width, expected):
    assert elide(text, width) == expected


def test_clean():
    assert clean("a\nb\x1b[1m\u202e\ud800é") == r"a\nb\x1b[1m\u202e\ud800é"
