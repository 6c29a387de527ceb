"""Writes a report directory: whole or not at all, and without losing a file that is not ours.

The files are made in a directory beside the target, which is then renamed into place. `MARKER` in it
lists what tracekit wrote; whatever else a user put there is carried into the next report.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tracekit.interruption import undisturbed
from tracekit.messages import N_, UserError
from tracekit.report.files import mode_of
from tracekit.report.stage import workspace

MARKER = ".tracekit-report"
NEW, OLD = "new", "old"  # in the directory where a report is made ready


def write_directory(files: Iterable[tuple[str, Iterable[bytes]]], directory: str | Path) -> Path:
    """Makes `directory` hold these files, which are names and contents in pieces, and returns it.

    A directory that holds an older report is replaced; files in it that are not ours stay. Nothing is asked
    of `files` before the directory is known to be free. Raises `UserError` for a path that is something else
    or cannot be written.
    """
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
