"""Writes a report directory: whole or not at all, and without losing a file that is not ours.

The files are made in a directory beside the target, which is then renamed into place. `MARKER` in it
lists what tracekit wrote; whatever else a user put there is carried into the next report.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from tracekit.analysis.schema import Report
from tracekit.interruption import undisturbed
from tracekit.messages import N_, UserError
from tracekit.report.files import mode_of
from tracekit.report.stage import workspace

DEFAULT_FORMATS = ("md", "png", "html", "json", "csv")
FORMATS = (*DEFAULT_FORMATS, "svg", "parquet", "xlsx")
MARKER = ".tracekit-report"
TOP = 20
NEW, OLD = "new", "old"  # in the directory where a report is made ready


def check_formats(formats: Iterable[str]) -> None:
    """Raises `UserError` for a format that there is not or that lacks its library, or for none at all."""
    formats = list(formats)
    known = ", ".join(FORMATS)
    if not formats:
        raise UserError(N_("no format was given; choose some of: {known}", known=known))
    for name in formats:
        if name not in FORMATS:
            raise UserError(
                N_("format {name} is not known; choose some of: {known}", name=repr(name), known=known)
            )
    if "parquet" in formats:
        try:
            import_module("pyarrow.parquet")
        except ImportError:
            raise UserError(N_("format parquet needs pyarrow: pip install 'tracekit[parquet]'")) from None


def save(
    report: Report,
    directory: str | Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    lang: str = "en",
    top: int = TOP,
    starting: Callable[[str], None] | None = None,
) -> Path:
    """Writes `report` to `directory` in `formats` and returns the directory.

    The `top` slowest modules are listed. A directory that holds an older report is replaced; files in it that
    are not ours stay. `starting` is told what is written next: "report.html", "*.csv". Raises `UserError` for
    an unknown format or language, and for a path that is something else or cannot be written.
    """
    check_formats(formats)
    files = _files(report, set(formats), lang, top, starting or (lambda _name: None))
    directory = Path(directory)
    try:
        target = Path(os.path.realpath(directory))
        _check_target(target, directory)
        _write(files, target, directory)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            N_("{path}: cannot be written ({reason})", path=str(directory), reason=reason)
        ) from None
    return directory


def _files(
    report: Report, formats: set[str], lang: str, top: int, starting: Callable[[str], None]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Names and contents of all files of the report, one after the other: never are all in memory."""
    if "json" in formats:
        from tracekit.report.json import json_pieces

        starting("report.json")
        yield "report.json", json_pieces(report)
    if formats == {"json"}:
        return

    from tracekit.report.i18n import Locale

    locale = Locale(lang)
    kinds = [kind for kind in ("png", "svg") if kind in formats]
    if kinds:
        # Where the home directory cannot be written, matplotlib would say so before every report.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from tracekit.report.plots import render_pictures

        starting(", ".join(f"*.{kind}" for kind in kinds))
        yield from _whole(render_pictures(report, locale, kinds, top))
    if "md" in formats:
        from tracekit.report.markdown import render_markdown

        starting("report.md")
        pictures = kinds[0] if kinds else None
        yield "report.md", [render_markdown(report, locale, top, pictures=pictures).encode()]
    if "html" in formats:
        from tracekit.report.page import render_page

        starting("report.html")
        yield "report.html", [render_page(report, locale.lang, top).encode()]
    if "csv" in formats:
        from tracekit.report.tables.csv import csv_pieces

        starting("*.csv")
        yield from csv_pieces(report, locale)
    if "parquet" in formats:
        from tracekit.report.tables.parquet import render_parquet

        starting("*.parquet")
        yield from _whole(render_parquet(report, locale))
    if "xlsx" in formats:
        from tracekit.report.tables.xlsx import render_xlsx

        starting("report.xlsx")
        yield "report.xlsx", [render_xlsx(report, locale)]


def _whole(files: dict[str, bytes]) -> Iterator[tuple[str, Iterable[bytes]]]:
    return ((name, [contents]) for name, contents in files.items())


def _check_target(target: Path, named: Path) -> None:
    """Refuses a path that is not a report directory of ours, and not free either."""
    path = str(named)
    try:
        # One look: another process may be swapping the directory at this very moment.
        names = os.listdir(target)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        if not target.exists():
            raise
        raise UserError(N_("{path}: is a file; name a directory for the report", path=path)) from None
    if target == Path.cwd() or target in Path.cwd().parents:
        raise UserError(
            N_("{path}: is in use as the current directory; name a directory below it", path=path)
        )
    if names and MARKER not in names:
        raise UserError(
            N_("{path}: holds other files and no tracekit report; name another directory", path=path)
        )


def _write(files: Iterable[tuple[str, Iterable[bytes]]], target: Path, named: Path) -> None:
    with workspace(target, lambda abandoned: _recover(abandoned / OLD, target)) as space:
        stage, names = space / NEW, [MARKER]
        stage.mkdir()
        for name, pieces in files:
            names.append(name)
            with (stage / name).open("wb") as file:
                file.writelines(pieces)
        (stage / MARKER).write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")
        mode = mode_of(target, 0o777)
        with undisturbed():
            stage.chmod(mode)
            try:
                _swap(stage, space / OLD, target, named)
            except BaseException:
                stage.chmod(0o700)  # else what is in it could not be removed
                raise


def _recover(old: Path, target: Path) -> None:
    """Ends what a process began that was killed between taking the older report away and deleting it."""
    if not old.is_dir():
        return
    if (target / MARKER).is_file():
        _retire(old, target)
    else:
        os.rename(old, target)


def _swap(stage: Path, old: Path, target: Path, named: Path, attempts: int = 20) -> None:
    """Renames `stage` to `target`; an older report goes, what it does not list comes along."""
    for _ in range(attempts):
        try:
            with suppress(FileNotFoundError):
                os.rename(target, old)
            os.rename(stage, target)
        except BaseException as error:
            if os.path.lexists(old):
                _put_back(old, target)
            if _is_taken(error):
                _check_target(target, named)
                continue
            raise
        if os.path.lexists(old):
            _retire(old, target)
        return
    raise OSError(errno.EBUSY, "another process keeps writing to it")


def _put_back(old: Path, target: Path) -> None:
    try:
        os.rename(old, target)
    except OSError as error:
        if not _is_taken(error):
            raise
        # Somebody else has put a report there meanwhile: the older one is done with.
        _retire(old, target)


def _is_taken(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)


def _retire(old: Path, target: Path) -> None:
    """Deletes an older report; entries that its marker does not list are moved to `target` first."""
    marker = old / MARKER
    ours = set(marker.read_text(encoding="utf-8").splitlines()) - {MARKER} if marker.is_file() else set()
    for entry in list(old.iterdir()):
        if entry.name in ours and (entry.is_symlink() or not entry.is_dir()):
            entry.unlink()
        elif entry != marker:
            os.rename(entry, _free_name(target / entry.name))
    # Last, so that nobody ever sees a report of ours without it.
    marker.unlink(missing_ok=True)
    old.rmdir()


def _free_name(path: Path) -> Path:
    """`path`, or the like of it that nothing has: a user's file never gives way to one of ours."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        candidate = path.with_name(f"{path.stem}.{number}{path.suffix}")
        number += 1
    return candidate
