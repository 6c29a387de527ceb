"""Writes a report directory: whole or not at all, and without losing a file that is not ours.

The files are made in a new directory beside the target, which is then renamed into place. `MARKER` in it
lists what tracekit wrote; whatever else a user put there is carried into the next report.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from tracekit.analysis.schema import Report
from tracekit.messages import N_, UserError
from tracekit.report.files import mode_of

DEFAULT_FORMATS = ("md", "png", "html", "json", "csv")
FORMATS = (*DEFAULT_FORMATS, "svg", "parquet", "xlsx")
MARKER = ".tracekit-report"
TOP = 20


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
) -> Path:
    """Writes `report` to `directory` in `formats` and returns the directory.

    The `top` slowest modules are listed. A directory that holds an older report is replaced; files in it that
    are not ours stay. Raises `UserError` for an unknown format or language, and for a path that is something
    else or cannot be written.
    """
    check_formats(formats)
    directory = Path(directory)
    try:
        target = Path(os.path.realpath(directory))
        _check_target(target, directory)
        _write(render(report, formats, lang, top), target, directory)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            N_("{path}: cannot be written ({reason})", path=str(directory), reason=reason)
        ) from None
    return directory


def render(report: Report, formats: Iterable[str], lang: str, top: int = TOP) -> dict[str, bytes]:
    """File name to contents, of every file of the report."""
    formats = set(formats)
    files: dict[str, bytes] = {}
    if "json" in formats:
        from tracekit.report.json import render_json

        files["report.json"] = render_json(report)
    if formats == {"json"}:
        return files

    from tracekit.report.i18n import Locale

    locale = Locale(lang)
    kinds = [kind for kind in ("png", "svg") if kind in formats]
    if kinds:
        # Where the home directory cannot be written, matplotlib would say so before every report.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from tracekit.report.plots import render_pictures

        files |= render_pictures(report, locale, kinds, top)
    if "md" in formats:
        from tracekit.report.markdown import render_markdown

        pictures = kinds[0] if kinds else None
        files["report.md"] = render_markdown(report, locale, top, pictures=pictures).encode()
    if "html" in formats:
        from tracekit.report.page import render_page

        files["report.html"] = render_page(report, lang, top).encode()
    if "csv" in formats:
        from tracekit.report.tables.csv import render_csv

        files |= render_csv(report, locale)
    if "parquet" in formats:
        from tracekit.report.tables.parquet import render_parquet

        files |= render_parquet(report, locale)
    if "xlsx" in formats:
        from tracekit.report.tables.xlsx import render_xlsx

        files["report.xlsx"] = render_xlsx(report, locale)
    return files


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


def _write(files: dict[str, bytes], target: Path, named: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for name, contents in files.items():
            (stage / name).write_bytes(contents)
        (stage / MARKER).write_text(
            "".join(f"{name}\n" for name in sorted({*files, MARKER})), encoding="utf-8"
        )
        stage.chmod(mode_of(target, 0o777))
        _swap(stage, target, named)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise


def _swap(stage: Path, target: Path, named: Path, attempts: int = 20) -> None:
    """Renames `stage` to `target`; an older report there goes, what it does not list comes along."""
    old = stage.with_name(stage.name + ".old")
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

    def finish() -> None:
        for entry in list(old.iterdir()):
            if entry.name in ours and (entry.is_symlink() or not entry.is_dir()):
                entry.unlink()
            elif entry != marker:
                os.rename(entry, _free_name(target / entry.name))
        # Last, so that nobody ever sees a report of ours without it.
        marker.unlink(missing_ok=True)
        old.rmdir()

    try:
        finish()
    except KeyboardInterrupt:
        if old.is_dir():
            finish()
        raise


def _free_name(path: Path) -> Path:
    """`path`, or the like of it that nothing has: a user's file never gives way to one of ours."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        candidate = path.with_name(f"{path.stem}.{number}{path.suffix}")
        number += 1
    return candidate
