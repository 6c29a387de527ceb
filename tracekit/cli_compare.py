"""The command `tracekit compare`: arguments in, one call, a directory and a summary out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from tracekit.cli_common import parse_share, print_after, size_of, stem
from tracekit.messages import N_, UserError
from tracekit.progress import Work

_HELP = "Say what AFTER takes more or less time for than BEFORE; each is a trace or a report.json."


def make_command(
    language_option: Callable[[str], Callable[[Any], Any]],
    work: Callable[[str, bool], AbstractContextManager[Work]],
) -> click.Command:
    """The command, with what all commands have in common."""

    @click.command("compare", help=_HELP)
    @click.argument("before", type=click.Path(path_type=Path))
    @click.argument("after", type=click.Path(path_type=Path))
    @click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Report directory.")
    @language_option("Language of the report.")
    @click.option(
        "--format", "formats", metavar="LIST", help="Of md,png,html,json,csv (the default) and svg."
    )
    @click.option(
        "--level",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.05,
        show_default=True,
        help="How often noise may pass for a change.",
    )
    @click.option(
        "--margin",
        metavar="SHARE",
        help="How much is no change, whatever the noise: 5%, 0.05; by default 2% of GPU, 15% of CPU time.",
    )
    @click.option(
        "--top", type=click.IntRange(min=1), default=20, show_default=True, help="Rows of each table to list."
    )
    @click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
    def command(
        before: Path,
        after: Path,
        output: Path | None,
        lang: str,
        formats: str | None,
        level: float,
        margin: str | None,
        top: int,
        quiet: bool,
    ) -> None:
        from tracekit import analysis
        from tracekit.analysis.compare import compare, is_report, load
        from tracekit.report import check_formats, comparison

        chosen = (
            [name.strip().lower() for name in formats.split(",")]
            if formats is not None
            else list(comparison.DEFAULT_FORMATS)
        )
        check_formats(chosen, comparison.FORMATS)
        allowed = None if margin is None else parse_share("--margin", margin)
        if math.isnan(level):
            raise UserError(N_("--level takes a number between 0 and 1, not nan"))
        target = output or default_directory(before, after)
        _check_target(target, (before, after))
        with work(lang, quiet) as shown:
            sides = []
            for path in (before, after):
                size = None if is_report(path) else size_of(path)
                shown.begin(N_("reading {name}", name=path.name), size, then=N_("analysing"))
                sides.append(load(path, lambda one: analysis.analyze(one, progress=shown.advance)))
            shown.begin(N_("comparing"))
            data = compare(sides[0], sides[1], level=level, margin=allowed)
            directory = comparison.save(
                data,
                target,
                chosen,
                lang,
                top,
                starting=lambda name: shown.begin(N_("writing {name}", name=name)),
            )
        if quiet:
            return
        from tracekit.report.comparison.terminal import print_summary

        print_after(directory, lambda stream: print_summary(data, directory, lang, stream))

    return command


def _check_target(directory: Path, read: Sequence[Path]) -> None:
    """Raises `UserError` for the directory of a report that is compared, which would be replaced."""
    from tracekit.report.directory import MARKER

    if not os.path.isfile(directory / MARKER):
        return
    for path in read:
        if os.path.dirname(os.path.realpath(path)) == os.path.realpath(directory):
            raise UserError(
                N_(
                    "{path}: holds {name}, which is compared; name another directory",
                    path=str(directory),
                    name=path.name,
                )
            )


def default_directory(before: Path, after: Path) -> Path:
    """`<before>-vs-<after>-report` in the current directory."""
    return Path(f"{_name(before)}-vs-{_name(after)}-report")


def _name(path: Path) -> str:
    """That of a trace; of a `report.json` that of its directory, without the ending it has by default."""
    if path.name == "report.json" and path.resolve().parent.name:
        return path.resolve().parent.name.removesuffix("-report")
    return stem(path)
