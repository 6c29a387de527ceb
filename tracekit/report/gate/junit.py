"""A gate's result as JUnit XML, which every CI system shows: a test case for each check."""

from __future__ import annotations

from io import BytesIO

from tracekit.analysis.compare.gate_schema import Check, GateResult
from tracekit.report.escape import clean
from tracekit.report.gate import words
from tracekit.report.i18n import Locale

SUITE = "tracekit gate"


def render_junit(result: GateResult, locale: Locale) -> bytes:
    """A failure for what has become worse, an error for what cannot be judged, each with the reason.

    All text is without control characters, which XML does not have.
    """
    from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

    def case(check: Check) -> TestCase:
        made = TestCase(words.name(check, locale), f"tracekit.gate.{check.metric}")
        line = words.line(check, result, locale)
        if check.verdict == "fail":
            made.result = [Failure(line, "regression")]
        elif check.verdict == "unknown":
            made.result = [Error(line, "unknown")]
        made.system_out = line
        return made

    suite = TestSuite(SUITE)
    suite.add_property("before", clean(result.before))
    suite.add_property("after", clean(result.after))
    suite.add_property("max_regression", str(result.limits.max_regression))
    suite.add_property("level", str(result.limits.level))
    suite.add_testcases([case(check) for check in result.checks])
    document = JUnitXml()
    document.add_testsuite(suite)
    text = BytesIO()
    document.write(text, pretty=True)
    return text.getvalue()
