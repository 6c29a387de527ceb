import cmarkgfm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.report.rendered import Rendered
from tracekit.report.escape import (
    clean,
    elide,
    markdown_cell_code,
    markdown_cell_name,
    markdown_code,
    markdown_name,
    markdown_quote,
)

pieces = st.sampled_from(
    [*"ab1 `|\\*_<>&$#[]()!~@:.-/\n\x1b", "www.", "gh-1", "deadbeef0", "http://", "x@y.zz"]
)
names = st.lists(pieces, min_size=1, max_size=8).map("".join)


def shown(markdown):
    """The text that a reader of CommonMark sees."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    return "".join(
        child.content
        for token in reader.parse(markdown)
        for child in token.children or ()
        if child.type in ("text", "code_inline", "text_special")
    )


def on_github(markdown):
    """What GitHub's own reader makes of it: the text, and the tags around it."""
    return Rendered(cmarkgfm.github_flavored_markdown_to_html(markdown))


@given(names)
def test_code_shows_the_name(name):
    assert shown(f"x {markdown_code(name)} y") == f"x {clean(name)} y"
    page = on_github(f"x {markdown_code(name)} y")
    assert (page.text.rstrip("\n"), page.tags) == (f"x {clean(name)} y", {"p", "code"})


@given(names)
def test_a_name_is_shown_and_is_nothing_else(name):
    page = on_github(f"x {markdown_name(name)} y")
    assert page.text.rstrip("\n") == f"x {clean(name)} y"
    assert page.tags <= {"p", "code"}


@given(names)
def test_names_in_a_table_are_shown_and_add_no_cell(name):
    row = f"| {markdown_cell_code(name)} | {markdown_cell_name('x' + name + 'x')} |"
    table = f"| h | i |\n|---|---|\n{row}"
    assert shown(table) == f"hi{clean(name)}x{clean(name)}x"
    page = on_github(table)
    assert [cell for cell in page.cells if cell not in "hi"] == [clean(name), f"x{clean(name)}x"]
    assert not page.tags - {"table", "thead", "tbody", "tr", "th", "td", "code"}


@pytest.mark.parametrize(
    "name",
    ["Linear", "Qwen2Attention", "NVIDIA H100 80GB HBM3", "meta-llama/Llama-3.1-8B", "Linear_75", "bf16"],
)
def test_harmless_names_stay_plain(name):
    assert markdown_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "@torvalds",
        "#123",
        "GH-12",
        "owner/repo#1",
        "!1",
        "$1",
        "~label",
        "%1",
        "&1",
        ":smile:",
        "www.example",
        "http://example.org",
        "model.layers",
        "user@example.org",
        "0123abc",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "$x^2$",
        "[^1]",
        "- [ ] task",
        "1. first",
        "_x_",
        "<!-- -->",
        "a  b",
        "имя",
        "",
    ],
)
def test_whatever_a_forge_may_link_or_render_is_code(name):
    assert markdown_name(name) == markdown_code(name)
    assert markdown_quote(name) == markdown_code(name)


def test_names_are_bounded():
    assert markdown_name("x" * 5000, 9) == "`xxxx…xxxx`"
    assert len(markdown_quote("\x00" * 5000)) == 162


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("abc", 3, "abc"), ("abcdefgh", 5, "ab…gh"), ("abcdefgh", 6, "ab…fgh"), ("", 5, "")],
)
def test_elide(text, width, expected):
    assert elide(text, width) == expected


def test_clean():
    assert clean("a\nb\x1b[1m\u202e\u200b\0\ud800é") == r"a\nb\x1b[1m\u202e\u200b\x00\ud800é"
