"""The command line: arguments in, one call, exit code out."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import click

from tracekit import __version__
from tracekit.cli_common import print_after, size_of, stem
from tracekit.cli_compare import make_command as make_compare_command
from tracekit.cli_gate import make_command as make_gate_command
from tracekit.cli_ranks import make_command as make_ranks_command
from tracekit.interruption import ignore_interruptions, interruptible
from tracekit.messages import N_, Message, UserError
from tracekit.progress import Work, shown_work

_Command = TypeVar("_Command", bound=Callable[..., Any])

USER_ERROR = 2
BY_SIGNAL = 128  # and its number, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code; what a user can mend is one line on stderr and 2.

    Without `argv` it is the program itself, which listens to no signal any more when it is done.
    """

    def finish() -> None:
        if argv is None:
            ignore_interruptions()

    chosen: dict[str, str] = {}
    with interruptible() as signals:
        try:
            result = commands.main(args=argv, prog_name="tracekit", standalone_mode=False, obj=chosen)
            finish()
            return result if isinstance(result, int) else 0
        except BaseException as error:
            finish()
            return _ended_by(error, signals, chosen.get("lang", "en"))


def _ended_by(error: BaseException, signals: Sequence[int], lang: str) -> int:
    """The exit code for what ended a command, of which one line on stderr tells."""
    # Whatever a library has made of an interruption, it is one.
    if signals or isinstance(error, KeyboardInterrupt | click.Abort):
        _fail("interrupted; nothing is left half-written")
        return BY_SIGNAL + (signals[0] if signals else signal.SIGINT)
    if isinstance(error, UserError):
        return _fail(_translated(error.message, lang))
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return USER_ERROR
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "tracekit"
        return _fail(f"{error.format_message()} (see {path} --help)")
    if isinstance(error, MemoryError):
        return _fail("out of memory: the trace does not fit on this machine")
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        return 0
    if os.environ.get("TRACEKIT_DEBUG") or not isinstance(error, Exception):
        raise error
    return _fail(
        f"internal error, please report it ({type(error).__name__}: {error}); TRACEKIT_DEBUG=1 shows where"
    )


def _translated(message: Message, lang: str) -> str:
    if lang == "en":
        return str(message)  # which takes no catalogue
    from tracekit.report.i18n import Locale

    return Locale(lang).message(message)


def _remembered(context: click.Context, _parameter: click.Parameter, lang: str | None) -> str:
    """The language, by default that of the environment; remembered for what may have to be said later."""
    known: str = lang or default_language(os.environ)
    context.ensure_object(dict)["lang"] = known
    return known


def _language_option(words: str) -> Callable[[_Command], _Command]:
    # Eager, so that it is known where another option is wrong.
    return click.option(
        "--lang", type=click.Choice(["en", "ru"]), is_eager=True, callback=_remembered, help=words
    )


class _Commands(click.Group):
    """Commands of which an interruption ends without the empty line that click would print."""

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        with _aborted():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        with _aborted():
            return super().invoke(ctx)


@contextmanager
def _aborted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise click.Abort from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tracekit")
def commands() -> None:
    """Where a PyTorch model spends its time on a GPU, module by module."""


@commands.command()
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Report directory.")
@_language_option("Language of the report.")
@click.option(
    "--format", "formats", metavar="LIST", help="Of md,png,html,json,csv (the default), svg,parquet,xlsx."
)
@click.option("--gpu", metavar="NAME", help="The device, where the trace does not name it.")
@click.option("--peak-tflops", type=click.FloatRange(1e-3, 1e6), help="Its dense peak, TFLOP/s.")
@click.option("--bandwidth", type=click.FloatRange(1e-3, 1e6), help="Its memory bandwidth, GB/s.")
@click.option(
    "--costs", type=click.Path(path_type=Path), metavar="FILE", help="Python file with cost formulas."
)
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Modules to list.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def analyze(
    trace: Path,
    output: Path | None,
    lang: str,
    formats: str | None,
    gpu: str | None,
    peak_tflops: float | None,
    bandwidth: float | None,
    costs: Path | None,
    top: int,
    quiet: bool,
) -> None:
    """Turn TRACE (of the PyTorch profiler, plain or compressed) into a report directory."""
    from tracekit import analysis, report

    chosen = (
        [name.strip().lower() for name in formats.split(",")]
        if formats is not None
        else list(report.DEFAULT_FORMATS)
    )
    _check_figures(peak_tflops, bandwidth)
    report.check_formats(chosen)
    with _work(lang, quiet) as work:
        work.begin(N_("reading {name}", name=trace.name), size_of(trace), then=N_("analysing"))
        data = analysis.analyze(
            trace,
            gpu=gpu,
            peak_tflops=peak_tflops,
            bandwidth_gbs=bandwidth,
            costs_file=costs,
            progress=work.advance,
            hta=None if {"md", "html"} & set(chosen) else False,  # where it is read, not counted on
        )
        directory = report.save(
            data,
            output or default_directory(trace),
            chosen,
            lang,
            top,
            starting=lambda name: work.begin(N_("writing {name}", name=name)),
        )
    if quiet:
        return
    from tracekit.report.terminal import print_summary

    print_after(directory, lambda stream: print_summary(data, directory, lang, stream))


@commands.command()
@click.argument("trace", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="The copy, .json.gz or .json."
)
@_language_option("Language of what is added.")
@click.option("--gpu", metavar="NAME", help="The device, where the trace does not name it.")
@click.option("--peak-tflops", type=click.FloatRange(1e-3, 1e6), help="Its dense peak, TFLOP/s.")
@click.option("--bandwidth", type=click.FloatRange(1e-3, 1e6), help="Its memory bandwidth, GB/s.")
@click.option(
    "--costs", type=click.Path(path_type=Path), metavar="FILE", help="Python file with cost formulas."
)
@click.option("-q", "--quiet", is_flag=True, help="Print warnings and errors only.")
def annotate(
    trace: Path,
    output: Path | None,
    lang: str,
    gpu: str | None,
    peak_tflops: float | None,
    bandwidth: float | None,
    costs: Path | None,
    quiet: bool,
) -> None:
    """Copy TRACE with lanes for Perfetto: passes, blocks, modules, idle time and TFLOP/s of each GPU."""
    from tracekit.analysis import analyze_lanes
    from tracekit.report.annotate import annotate as write
    from tracekit.report.annotate import check_output
    from tracekit.report.escape import clean
    from tracekit.report.i18n import Locale

    output = output or default_copy(trace)
    locale = Locale(lang)
    _check_figures(peak_tflops, bandwidth)
    check_output(trace, output)
    with _work(locale.lang, quiet) as work:
        work.begin(N_("reading {name}", name=trace.name), size_of(trace), then=N_("analysing"))
        report, lanes = analyze_lanes(
            trace,
            gpu=gpu,
            peak_tflops=peak_tflops,
            bandwidth_gbs=bandwidth,
            costs_file=costs,
            progress=work.advance,
        )
        work.begin(N_("writing {name}", name=output.name), size_of(trace))
        done = write(report, lanes, output, locale.lang, work.advance)
    for warning in done.warnings:
        click.echo(f"tracekit: {locale.message(warning)}", err=True)
    if quiet:
        return
    added = (
        locale.ngettext("{n} lane", "{n} lanes", done.lanes),
        locale.ngettext("{n} slice", "{n} slices", done.slices),
        locale.ngettext("{n} idle interval", "{n} idle intervals", done.gaps),
    )
    click.echo(f"{clean(str(done.path))}: {', '.join(added)}")


@commands.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def capture(arguments: tuple[str, ...]) -> int:
    """Run a model under the profiler and write its trace (needs torch and transformers)."""
    try:
        from tracekit.capture.cli import run as run_capture
    except ModuleNotFoundError as error:
        raise UserError(
            N_("capture needs {module}: pip install 'tracekit[capture]'", module=error.name)
        ) from None
    return run_capture(list(arguments))


def default_language(environment: Any) -> str:
    """ "ru" where the locale is Russian, else "en"."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(variable):
            return "ru" if value.lower().startswith("ru") else "en"
    return "en"


def default_directory(trace: Path) -> Path:
    """`<trace name>-report` in the current directory."""
    return Path(f"{stem(trace)}-report")


def default_copy(trace: Path) -> Path:
    """`<trace name>-annotated.json.gz` in the current directory."""
    return Path(f"{stem(trace)}-annotated.json.gz")


def _check_figures(*figures: float | None) -> None:
    if any(figure is not None and math.isnan(figure) for figure in figures):
        raise UserError(N_("--peak-tflops and --bandwidth take a number, not nan"))


@contextmanager
def _work(lang: str, quiet: bool) -> Iterator[Work]:
    """What goes on, shown on a terminal unless nothing is to be said."""
    with nullcontext(Work(lang)) if quiet else shown_work(lang) as work:
        yield work


def _fail(message: str) -> int:
    click.echo(f"tracekit: {' '.join(message.split())}", err=True)
    return USER_ERROR


commands.add_command(make_compare_command(_language_option, _work))
commands.add_command(make_gate_command(_language_option, _work))
commands.add_command(make_ranks_command(_language_option, _work))
