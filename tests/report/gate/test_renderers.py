"""What a gate's result becomes for people, for CI systems and for GitHub; names in it are anybody's."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from cmarkgfm import github_flavored_markdown_to_html

from tests.report.rendered import Rendered
from tracekit.analysis.compare.gate_schema import Check, GateResult, Limits
from tracekit.messages import N_
from tracekit.report.gate import github, words
from tracekit.report.gate.junit import render_junit
from tracekit.report.gate.markdown import render_markdown
from tracekit.report.gate.text import render_text
from tracekit.report.i18n import Locale

ENGLISH = Locale("en")
EVIL = "a|b`\n::error::x\x1b[31m<img src=x>\x00@everyone, 100%: ##[add-mask]y"


def check(**fields: Any) -> Check:
    values: dict[str, Any] = {
        "metric": "gpu_time",
        "phase": "decode",
        "module": None,
        "unit": "us",
        "before": 1200.0,
        "after": 1350.0,
        "limit": 1260.0,
        "change": 0.125,
        "change_low": 0.091,
        "change_high": 0.154,
        "p_value": 0.00031,
        "passes_before": 5,
        "passes_after": 5,
        "verdict": "fail",
        "reason": N_("above the limit beyond noise (p = {p:.2g})", p=0.00031),
    }
    return Check(**{**values, **fields})


def unknown(**fields: Any) -> Check:
    nothing = dict.fromkeys(
        ("before", "after", "limit", "change", "change_low", "change_high", "p_value", "passes_before")
    )
    reason = N_("{side} has no passes of the phase {phase}", side=N_("the trace"), phase="decode")
    return check(**{**nothing, "passes_after": None, "verdict": "unknown", "reason": reason, **fields})


def passed(**fields: Any) -> Check:
    return check(**{"after": 1201.0, "verdict": "pass", "reason": N_("within the limit"), **fields})


def result(*checks: Check, **fields: Any) -> GateResult:
    verdicts = {one.verdict for one in checks}
    values: dict[str, Any] = {
        "before": "base.json",
        "after": "new.json.gz",
        "limits": Limits(max_regression=0.05),
        "tests": sum(one.p_value is not None for one in checks),
        "confidence": 0.9,
        "verdict": "fail" if "fail" in verdicts else "unknown" if "unknown" in verdicts else "pass",
        "checks": checks,
        "notes": (),
    }
    return GateResult(**{**values, **fields})


def test_a_check_in_one_line() -> None:
    assert words.line(check(), result(check()), ENGLISH) == (
        "GPU time, decode: 1.20 ms → 1.35 ms (+12.5%, 90% interval +9.1% … +15.4%, limit +5.0%): "
        "above the limit beyond noise (p = 0.00031)"
    )
    memory = check(
        metric="memory",
        phase=None,
        unit="bytes",
        before=2e9,
        after=1.5e9,
        change=-0.25,
        change_low=None,
        verdict="pass",
        reason=N_("within the limit"),
    )
    assert words.line(memory, result(memory), ENGLISH) == (
        "Peak of the device memory: 2.000 GB → 1.500 GB (-25.0%, limit +5.0%): within the limit"
    )
    assert words.line(unknown(), result(unknown()), ENGLISH) == (
        "GPU time, decode: the trace has no passes of the phase decode"
    )
    endless = check(change_high=None, module="layers.*.mlp", phase=None)
    assert "GPU time of layers.*.mlp: " in words.line(endless, result(endless), ENGLISH)
    assert "interval +9.1% …, limit" in words.line(endless, result(endless), ENGLISH)


def test_headline_names_the_worst() -> None:
    worse = check(phase="prefill", change=0.5)
    assert words.headline(result(check(), worse, unknown(), passed()), ENGLISH).startswith(
        "regression: GPU time, prefill: "
    )
    assert words.headline(result(check(), worse), ENGLISH).endswith(" (1 more)")
    assert words.headline(result(passed(), passed()), ENGLISH) == "no regression: 2 checks"
    assert words.headline(result(passed(), unknown()), ENGLISH) == (
        "regressions cannot be judged: GPU time, decode: the trace has no passes of the phase decode"
    )


def test_text_has_a_line_for_each_check_and_note() -> None:
    lines = list(render_text(result(check(), passed(), notes=(N_("look here"),)), ENGLISH))
    assert [line.partition(":")[0] for line in lines] == ["failed", "passed", "note", "note"]
    assert lines[2] == "note: look here"
    assert "number of tests (2)" in lines[3]


def test_junit_has_a_case_for_each_check() -> None:
    suite = ElementTree.fromstring(render_junit(result(check(), unknown(), passed()), ENGLISH))[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["GPU time, decode"] * 3
    assert [case.get("classname") for case in cases] == ["tracekit.gate.gpu_time"] * 3
    failure, error = cases[0].find("failure"), cases[1].find("error")
    assert failure is not None
    assert error is not None
    assert (failure.get("message") or "").endswith("above the limit beyond noise (p = 0.00031)")
    assert error.get("message") == "GPU time, decode: the trace has no passes of the phase decode"
    assert [child.tag for child in cases[2]] == ["system-out"]


def test_markdown_is_a_short_table() -> None:
    text = render_markdown(result(check(), passed(), notes=(N_("{name} differs", name="dtype"),)), ENGLISH)
    lines = text.splitlines()
    assert lines[0] == "### Performance: regression"
    assert lines[2] == "`base.json` → `new.json.gz`; limit +5.0%, 90% intervals"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[2] == [
        "GPU time, decode",
        "1.20 ms",
        "1.35 ms",
        "+12.5%",
        "+9.1% … +15.4%",
        "0.00031",
        "**failed**",
        "above the limit beyond noise (p = 0.00031)",
    ]
    assert cells[3][6:] == ["passed", "within the limit"]
    assert "* `dtype` differs" in lines


def test_names_from_a_trace_are_harmless_everywhere() -> None:
    evil = result(
        check(module=EVIL, phase=EVIL, reason=N_("{phase} is odd", phase=EVIL)),
        before=EVIL,
        notes=(N_("{name} differs", name=EVIL),),
    )
    seen = Rendered(github_flavored_markdown_to_html(render_markdown(evil, ENGLISH)))
    assert "img" not in seen.tags
    assert "@everyone" not in seen.outside_code  # GitHub mentions nobody in code
    assert (seen.all_tags.count("tr"), len(seen.cells)) == (2, 16)
    lines = [*map(github.harmless, render_text(evil, ENGLISH)), *github.annotation_lines(evil, ENGLISH)]
    assert all(line.isprintable() for line in lines)
    assert not any("##[" in line for line in lines[:3])
    assert [line.startswith("::") for line in lines] == [False, False, False, False, True, True]
    message = ElementTree.fromstring(render_junit(evil, ENGLISH)).find(".//failure")
    assert message is not None
    assert "<img src=x>" in (message.get("message") or "")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("5%, 1:2", "5%25, 1:2"), ("a\r\nb", "a%0D%0Ab"), ("%0A", "%250A"), ("::error::", "::error::")],
)
def test_workflow_commands_are_escaped_as_github_s_toolkit_does(text: str, escaped: str) -> None:
    assert github.command("error", "title", text) == f"::error title=title::{escaped}"


def test_properties_of_workflow_commands_have_more_to_escape() -> None:
    assert github.command("error", "a: b, c%\n", "x") == "::error title=a%3A b%2C c%25%0A::x"


def test_annotations_are_of_what_is_wrong() -> None:
    lines = list(github.annotation_lines(result(check(), passed(), unknown(), notes=(N_("n"),)), ENGLISH))
    assert [line.partition("::GPU")[0] for line in lines] == [
        "::error title=tracekit gate%3A failed",
        "::error title=tracekit gate%3A cannot be judged",
        "::warning title=tracekit gate::n",
    ]
    assert "(+12.5%25, 90%25 interval" in lines[0]
