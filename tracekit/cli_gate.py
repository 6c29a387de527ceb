"""The command `tracekit gate`: arguments in, one call, files and lines out, exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracekit.cli_common import parse_share
from tracekit.messages import N_, Message, UserError
from tracekit.progress import Work

if TYPE_CHECKING:
    from tracekit.analysis.compare.gate_schema import GateResult
    from tracekit.report.i18n import Locale

EXIT_CODES = {"pass": 0, "fail": 1, "unknown": 2}

_HELP = """Judge whether TRACE is slower than BASELINE, for CI; each is a trace or a report.json.

Exits 0 where nothing has grown by more than --max-regression beyond noise, 1 where something has, 2 where
that cannot be judged. Where $GITHUB_ACTIONS is true it also annotates, and it adds to $GITHUB_STEP_SUMMARY.
"""


def make_command(
    language_option: Callable[[str], Callable[[Any], Any]],
    work: Callable[[str, bool], AbstractContextManager[Work]],
) -> click.Command:
    """The command, with what all commands have in common."""

    @click.command("gate", help=_HELP)
    @click.argument("baseline", type=click.Path(path_type=Path))
    @click.argument("trace", type=click.Path(path_type=Path))
    @click.option("--max-regression", metavar="SHARE", required=True, help="How much may grow: 5%, 0.05.")
    @click.option(
        "--module",
        "modules",
        metavar="PATTERN",
        multiple=True,
        help="Gate the time of these modules, such as 'model.layers.*.mlp', instead of whole passes.",
    )
    @click.option(
        "--metric",
        "metrics",
        metavar="METRIC",
        multiple=True,
        help="Of gpu_time (the default), latency, idle, memory, cpu_time (the default without a GPU).",
    )
    @click.option(
        "--level", type=float, default=0.05, show_default=True, help="How often noise may fail a gate."
    )
    @click.option("--allow-different-models", is_flag=True, help="Gate them all the same.")
    @click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML.")
    @click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write a comment.")
    @language_option("Language of the output.")
    @click.option("-q", "--quiet", is_flag=True, help="Print nothing but the reason of a failure.")
    def command(
        baseline: Path,
        trace: Path,
        max_regression: str,
        modules: tuple[str, ...],
        metrics: tuple[str, ...],
        level: float,
        allow_different_models: bool,
        junit: Path | None,
        markdown: Path | None,
        lang: str,
        quiet: bool,
    ) -> int:
        from tracekit import analysis
        from tracekit.analysis.compare import load
        from tracekit.analysis.compare.gate import check_limits, gate
        from tracekit.analysis.compare.gate_schema import Limits
        from tracekit.report.gate.words import headline
        from tracekit.report.i18n import Locale

        limits = Limits(
            max_regression=parse_share("--max-regression", max_regression),
            metrics=metrics or None,
            modules=modules,
            level=level,
            allow_different_models=allow_different_models,
        )
        check_limits(limits)
        _check_files([one for one in (junit, markdown) if one is not None], (baseline, trace))
        with work(lang, quiet) as shown:
            sides = []
            for path in (baseline, trace):
                shown.begin(N_("reading {name}", name=path.name), _size(path), then=N_("analysing"))
                sides.append(load(path, lambda one: analysis.analyze(one, progress=shown.advance)))
        result = gate(sides[0], sides[1], limits)
        locale = Locale(lang)
        _write_files(result, locale, junit, markdown)
        _print(result, locale, quiet)
        if result.verdict != "pass":
            click.echo(_harmless(f"tracekit: {headline(result, locale)}"), err=True)
        return EXIT_CODES[result.verdict]

    return command


def _check_files(written: Sequence[Path], read: Sequence[Path]) -> None:
    """Raises `UserError` where a file would be lost: one that is read, or one of two that are written."""
    known = {os.path.realpath(path) for path in read}
    for path in written:
        if os.path.exists(path) and not os.path.isfile(path):  # /dev/null, of which nothing is lost
            continue
        if os.path.realpath(path) in known:
            raise UserError(N_("{path}: is named twice; name another file to write", path=str(path)))
        known.add(os.path.realpath(path))


def _write_files(result: GateResult, locale: Locale, junit: Path | None, markdown: Path | None) -> None:
    from tracekit.report.files import replace_file

    if junit is not None:
        from tracekit.report.gate.junit import render_junit

        replace_file(junit, [render_junit(result, locale)])
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if markdown is None and not summary:
        return
    from tracekit.report.gate.markdown import render_markdown

    text = render_markdown(result, locale)
    if markdown is not None:
        replace_file(markdown, [text.encode()])
    if summary:
        _append_summary(Path(summary), text, locale)


def _append_summary(path: Path, text: str, locale: Locale) -> None:
    """What cannot be shown changes no verdict."""
    from tracekit.report.gate.github import append_summary

    try:
        append_summary(path, text)
    except OSError as error:
        reason = error.strerror or str(error)
        problem: Message = N_("{path}: cannot be written ({reason})", path=str(path), reason=reason)
        click.echo(f"tracekit: {locale.message(problem)}", err=True)


def _print(result: GateResult, locale: Locale, quiet: bool) -> None:
    if sys.stdout is None:  # closed by whoever started us
        return
    from tracekit.report.gate.text import render_text, write_lines

    def lines() -> Iterator[str]:
        if not quiet:
            yield from map(_harmless, render_text(result, locale))
        if _is_github():
            from tracekit.report.gate.github import annotation_lines

            yield from annotation_lines(result, locale)

    write_lines(lines(), sys.stdout)


def _is_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _harmless(line: str) -> str:
    """A line of what may be a log that GitHub's runner reads."""
    if not _is_github():
        return line
    from tracekit.report.gate.github import harmless

    return harmless(line)


def _size(path: Path) -> int | None:
    """Bytes to read; unknown of a pipe, and where it cannot be looked at, of which reading tells."""
    return os.path.getsize(path) if os.path.isfile(path) else None
