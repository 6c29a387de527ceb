"""The command line: arguments in, one call, exit code out."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracekit import __version__
from tracekit.messages import N_, UserError

if TYPE_CHECKING:
    from rich.progress import Progress

USER_ERROR = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code; what a user can mend is one line on stderr and 2."""
    try:
        result = commands.main(args=argv, prog_name="tracekit", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except UserError as error:
        return _fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return USER_ERROR
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "tracekit"
        return _fail(f"{error.format_message()} (see {path} --help)")
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; nothing was written")
        return INTERRUPTED
    except MemoryError:
        return _fail("out of memory: the trace does not fit on this machine")
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if os.environ.get("TRACEKIT_DEBUG"):
            raise
        return _fail(
            f"internal error, please report it ({type(error).__name__}: {error}); "
            "TRACEKIT_DEBUG=1 shows where"
        )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tracekit")
def commands() -> None:
    """Where a PyTorch model spends its time on a GPU, module by module."""


@commands.command()
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Report directory.")
@click.option("--lang", type=click.Choice(["en", "ru"]), help="Language of the report.")
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
    lang: str | None,
    formats: str | None,
    gpu: str | None,
    peak_tflops: float | None,
    bandwidth: float | None,
    costs: Path | None,
    top: int,
    quiet: bool,
) -> None:
    """Turn TRACE (.json or .json.gz, of the PyTorch profiler) into a report directory."""
    from tracekit import analysis, report

    chosen = (
        [name.strip().lower() for name in formats.split(",")]
        if formats is not None
        else list(report.DEFAULT_FORMATS)
    )
    lang = lang or default_language(os.environ)
    _check_figures(peak_tflops, bandwidth)
    report.check_formats(chosen)
    with nullcontext() if quiet else _progress(trace) as progress:
        data = analysis.analyze(
            trace,
            gpu=gpu,
            peak_tflops=peak_tflops,
            bandwidth_gbs=bandwidth,
            costs_file=costs,
            progress=progress,
        )
    directory = report.save(data, output or default_directory(trace), chosen, lang, top)
    if quiet or sys.stdout is None:  # closed by whoever started us
        return
    from tracekit.report.terminal import print_summary

    try:
        print_summary(data, directory, lang, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(
            N_(
                "the report is in {directory}, but its summary could not be printed ({reason})",
                directory=directory,
                reason=error.strerror,
            )
        ) from None


@commands.command()
@click.argument("trace", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="The copy, .json.gz or .json."
)
@click.option("--lang", type=click.Choice(["en", "ru"]), help="Language of what is added.")
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
    lang: str | None,
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
    locale = Locale(lang or default_language(os.environ))
    _check_figures(peak_tflops, bandwidth)
    check_output(trace, output)
    with _progress(trace, readings=2) as progress:
        report, lanes = analyze_lanes(
            trace,
            gpu=gpu,
            peak_tflops=peak_tflops,
            bandwidth_gbs=bandwidth,
            costs_file=costs,
            progress=progress,
        )
        done = write(report, lanes, output, locale.lang, progress)
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
    return Path(f"{_stem(trace)}-report")


def default_copy(trace: Path) -> Path:
    """`<trace name>-annotated.json.gz` in the current directory."""
    return Path(f"{_stem(trace)}-annotated.json.gz")


def _stem(trace: Path) -> str:
    return trace.name.removesuffix(".gz").removesuffix(".json") or "trace"


def _check_figures(*figures: float | None) -> None:
    if any(figure is not None and math.isnan(figure) for figure in figures):
        raise UserError(N_("--peak-tflops and --bandwidth take a number, not nan"))


@contextmanager
def _progress(trace: Path, readings: int = 1) -> Iterator[Callable[[int], None] | None]:
    """On a terminal, a bar by bytes read (so many times), once reading has taken a second."""
    if not sys.stderr.isatty() or not trace.is_file():
        yield None
        return
    began = time.monotonic()
    bar: list[Progress] = []
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if not bar and time.monotonic() - began > 1:
            from rich.console import Console
            from rich.progress import Progress

            bar.append(Progress(console=Console(stderr=True), transient=True))
            bar[0].add_task(trace.name, total=readings * trace.stat().st_size)
            bar[0].start()
        if bar:
            bar[0].update(bar[0].task_ids[0], completed=done)

    try:
        yield advance
    finally:
        for one in bar:
            one.stop()


def _fail(message: str) -> int:
    click.echo(f"tracekit: {' '.join(message.split())}", err=True)
    return USER_ERROR
