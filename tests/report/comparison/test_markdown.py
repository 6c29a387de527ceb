import re

import cmarkgfm
import pytest
from rich.cells import cell_len

from tests.report.comparison import build
from tests.report.rendered import Rendered
from tracekit.report.comparison.markdown import render_markdown
from tracekit.report.i18n import Locale

NBSP = "\N{NO-BREAK SPACE}"
HEADINGS = [
    "## A pass before and after",
    "## From before to after",
    "## What explains the difference",
    "## Modules (20)",
    "## Appeared and vanished",
    "## Modules with other kernels",
    "## Module types",
    "## Operators and shapes",
    "## Kernels",
    "## What differs between the two captures",
    "## Left out",
    "## How noise was judged",
]
# Of these tables the rows, with what they leave out, make the total.
ADDING_UP = ["What explains the difference", "Modules", "Module types", "Operators and shapes", "Kernels"]


def markdown(comparison, lang="en", top=20, **more):
    return render_markdown(comparison, Locale(lang), top, **more)


def section(text, heading):
    return re.split(r"^## ", text.partition(f"## {heading}")[2], maxsplit=1, flags=re.M)[0]


def rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def table(text, heading):
    header, _rule, *body = rows(section(text, heading))
    return header, body


def number(cell):
    return float(cell.replace("−", "-").replace(",", "").replace("—", "0"))


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", build.ALL)
def test_tables_are_aligned_and_whole(name, lang):
    text = markdown(build.ALL[name](), lang, 3)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({cell_len(line) for line in block.splitlines()}) == 1
        assert len({len(row) for row in rows(block)}) == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800]|\bNone\b|\bnan\b", text)
    assert not text.endswith("\n\n")


def test_sections_stand_in_their_order():
    text = markdown(build.llama())
    assert [line for line in text.splitlines() if line.startswith("##")] == HEADINGS
    assert text.splitlines()[0] == "# Comparison: `before.json.gz` → `after.json.gz`"
    assert "- most of it is in `layers.*.mlp.down_proj`" in text.partition("## ")[0]
    assert text.rstrip().endswith("- the second trace has fewer passes")


def test_totals_of_a_pass():
    _header, body = table(markdown(build.llama()), "A pass before and after")
    assert body[0] == ["Latency without the profiler", "10.500", "12.100", "+1.600", "+15.2%", "slower"]
    assert body[2] == ["GPU time", "10.000", "12.000", "+2.000", "+20.0%", "slower"]
    assert body[3] == ["GPU idle", "1.000", "0.500", "−0.500", "−50.0%", "less"]
    assert "mean over passes: 8 before, 5 after" in markdown(build.llama())


@pytest.mark.parametrize("top", [1, 2, 3, 100])
@pytest.mark.parametrize("heading", ADDING_UP)
def test_every_table_adds_up_to_the_total(heading, top):
    header, (*body, total) = table(markdown(build.llama(), top=top), heading)
    columns = [header.index(name) for name in ("Before (ms)", "After (ms)", "Difference (ms)")]
    share = header.index("Share of the difference")
    assert [total[at] for at in columns] == ["10.000", "12.000", "+2.000"]
    assert total[share] == "100.0%"
    for at, whole in zip(columns, (10.0, 12.0, 2.0), strict=True):
        assert sum(number(row[at]) for row in body) == pytest.approx(whole)
    assert sum(number(row[share].rstrip("%")) for row in body) == pytest.approx(100)
    shown = len(body) - body[-1][0].endswith(" more")
    assert shown == min(top, shown)


def test_what_is_left_out_is_counted():
    """Of eleven modules one is shown: down_proj of the first layer, 2 to 3 ms."""
    _header, body = table(markdown(build.llama(), top=1), "Modules (1)")
    assert body[1][:5] == ["10 more", "", "8.000", "9.000", "+1.000"]


def test_what_explains_the_difference():
    _header, body = table(markdown(build.llama()), "What explains the difference")
    assert body[0] == [
        *("`layers.*.mlp.down_proj`", "Linear", "2", "4.000", "5.200", "+1.200", "+30.0%", "60.0%"),
        *("slower", "changed"),
    ]
    assert body[3][:5] == ["`adapter`", "Adapter", "0 → 1", "—", "0.600"]
    assert body[5][:3] == ["(outside modules)", "—", "—"]
    # 1.2 and 1.0 of 2.0 ms.
    assert "the first 2, together: 110.0% of the difference" in markdown(build.llama())


def test_places_that_explain_come_first():
    one = build.llama()
    phase = build.replaced(one.phases[0], explained_by=(3, 0))
    _header, body = table(markdown(build.replaced(one, phases=(phase,))), "What explains the difference")
    assert [row[0] for row in body[:3]] == [
        "`adapter`",
        "`layers.*.mlp.down_proj`",
        "`layers.*.mlp.gate_proj`",
    ]


def test_modules_have_self_and_inclusive_times_and_kernels():
    one = build.llama()
    parent = build.replaced(one.modules[0], inclusive_difference_us=-250.0)
    header, body = table(markdown(build.replaced(one, modules=(parent, *one.modules[1:]))), "Modules (20)")
    row = dict(zip(header, body[0], strict=True))
    assert (row["Difference (ms)"], row["With modules inside (ms)"]) == ("+1.000", "−0.250")
    assert row["Kernels"] == (
        "`cutlass_80_tensorop_bf16_s16816gemm_256x128_32x3_tn_align8` → "
        "`gemv2T_kernel_val<__nv_bfloat16, float>`"
    )


def test_modules_that_moved_show_both_paths():
    one = build.llama()
    moved = build.replaced(one.modules[0], path_after="model.down", type_after="QuantLinear", folded=True)
    text = markdown(build.replaced(one, modules=(moved, *one.modules[1:])))
    assert "`layers.0.mlp.down_proj` → `model.down` (with all inside)" in text
    assert "Linear → QuantLinear" in text


def test_kinds_of_rows_are_told_apart():
    one = build.llama()
    backward = build.replaced(one.modules[2], kind="modules_backward")
    root = build.replaced(one.modules[3], path_before="", path_after="", key="")
    text = markdown(build.replaced(one, modules=(backward, root)))
    assert "`layers.0.mlp.gate_proj` (backward)" in text
    assert "(the whole model)" in text


def test_appeared_and_vanished():
    _header, body = table(markdown(build.llama()), "Appeared and vanished")
    assert [(row[0], row[2], row[3], row[-1]) for row in body] == [
        ("`adapter`", "—", "0.600", "appeared"),
        ("`rotary`", "0.200", "—", "vanished"),
    ]
    assert "*appeared: 1, together +0.600 ms; vanished: 1, together −0.200 ms.*" in markdown(build.llama())
    assert "Every module is on both sides." in markdown(build.single())


def test_modules_with_the_same_other_kernels_are_one_row():
    """Both down_proj launch another kernel: 2.0 and 2.0 ms became 3.0 and 2.2."""
    _header, body = table(markdown(build.llama()), "Modules with other kernels")
    ((place, modules, before, after, *times),) = body
    assert (place, modules) == ("`layers.*.mlp.down_proj`", "2")
    assert before.startswith("`cutlass_80_tensorop")
    assert after.startswith("`gemv2T_kernel_val")
    assert times == ["4.000", "5.200", "+1.200"]


def test_kernels_that_both_sides_launch_are_not_named_as_changed():
    one = build.llama()
    row = build.replaced(one.modules[0], kernels_before=("both", "old"), kernels_after=("both", "new"))
    _header, body = table(
        markdown(build.replaced(one, modules=(row, *one.modules[1:]))), "Modules with other kernels"
    )
    assert body[0][2:4] == ["`old`", "`new`"]


def test_shapes_that_became_others():
    one = build.llama()
    row = build.replaced(one.ops[0], shapes_after="[[2, 4096], [4096, 11008]]")
    text = markdown(build.replaced(one, ops=(row, *one.ops[1:])))
    assert "`[[1, 4096], [4096, 11008]]` → `[[2, 4096], [4096, 11008]]`" in text


def test_what_differs_and_what_was_left_out():
    text = markdown(build.llama())
    _header, body = table(text, "What differs between the two captures")
    assert body == [["`model.dtype`", "`bfloat16`", "`float16`"], ["`model.batch_size`", "—", "`2`"]]
    _header, body = table(text, "Left out")
    assert body == [
        ["launched before the trace began", "0.120", "0"],
        ["before the first pass", "0.030", "0.045"],
    ]


def test_how_noise_was_judged():
    text = section(markdown(build.llama()), "How noise was judged")
    assert "test: Welch's t-test (`scipy.stats.ttest_ind_from_stats`)" in text
    assert "Benjamini–Hochberg (`scipy.stats.false_discovery_control`)" in text
    assert "level: 0.05" in text
    assert "more than 5.0%, and by more than 1 µs" in text
    assert "no verdict" not in text
    assert "no verdict is given" in section(markdown(build.single()), "How noise was judged")


def test_phases_have_tables_of_their_own():
    text = markdown(build.phased())
    assert text.count("### prefill") == text.count("### decode") == 7
    header, body = table(text, "A pass before and after")
    assert header[0] == "Phase"
    assert [row[0] for row in body] == ["prefill"] * 4 + ["decode"] * 4


def test_phases_of_different_names():
    one = build.llama()
    phase = build.replaced(one.phases[0], before_phase="decode", after_phase="forward")
    assert "`decode → forward`: mean over passes" in markdown(build.replaced(one, phases=(phase,)))


def test_the_picture_beside_it():
    assert "](waterfall.svg)" in markdown(build.llama(), pictures="svg")
    assert "add png to the formats" in markdown(build.llama(), pictures=None)


def test_files_of_one_name_are_told_apart():
    one = build.llama()
    sides = {
        "before": build.replaced(one.before, path="/r/base/report.json"),
        "after": build.replaced(one.after, path="/r/new/report.json"),
    }
    text = markdown(build.replaced(one, **sides))
    assert text.startswith("# Comparison: `base/report.json` → `new/report.json`\n")


def test_cpu_times_and_equal_traces():
    _header, body = table(markdown(build.single()), "A pass before and after")
    assert body == [["CPU time", "2.000", "1.700", "−0.300", "−15.0%", "noise unknown"]]
    header, body = table(markdown(build.equal()), "Modules (20)")
    assert dict(zip(header, body[-1], strict=True))["Difference (ms)"] == "0"
    assert dict(zip(header, body[-1], strict=True))["Share of the difference"] == "—"


def test_russian_numbers():
    total, *_others = [row for row in rows(markdown(build.llama(), "ru")) if row[1:3] == ["10,000", "12,000"]]
    assert total[3:5] == ["+2,000", f"+20,0{NBSP}%"]


def test_no_name_becomes_markup():
    html = cmarkgfm.github_flavored_markdown_to_html(markdown(build.hostile()))
    page = Rendered(html)
    assert not page.tags - {
        *("h1", "h2", "h3", "ul", "li", "p", "em", "strong", "code", "img"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    assert page.addresses == ["waterfall.png"]
    # Only code spans hold a text of a trace.
    assert "alert(1)" not in page.outside_code
    assert "[bold]" not in page.outside_code
