"""Where something is made ready before it takes its place: a directory beside that place, gone afterwards.

A process that is killed leaves its directory behind. The next one that writes to the same place finds it by
its name, knows by its lock, which ends with the process that holds it, that nobody works in it any more, and
removes it.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from tracekit.interruption import undisturbed

if sys.platform != "win32":
    import fcntl

_ATTEMPTS = 10


@contextmanager
def workspace(target: Path, settle: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """A new directory beside `target`, on the same file system; it goes with all that is in it.

    `settle` is told of every directory that a killed process left behind, before it is removed too. Parents
    of `target` are made, and go again if nothing comes of it. Raises `OSError`.
    """
    made: list[Path] = []
    locks: dict[Path, int | None] = {}

    def tidy() -> None:
        with undisturbed():
            while locks:
                space, lock = locks.popitem()
                shutil.rmtree(space, ignore_errors=True)
                if lock is not None:
                    os.close(lock)
            while made:
                with suppress(OSError):
                    made.pop().rmdir()

    try:
        try:
            with undisturbed():
                _make_parents(target.parent, made)
            _remove_abandoned(target, settle)
            with undisturbed():
                space, lock = _locked_directory(target)
                locks[space] = lock
            yield space
            made.clear()
        finally:
            tidy()
    finally:
        tidy()  # once more, for an interruption in the moment before


def _make_parents(directory: Path, made: list[Path]) -> None:
    """Makes `directory` and notes in `made` what was not there before, the outermost first."""
    missing = [one for one in (directory, *directory.parents) if not os.path.lexists(one)]
    for one in reversed(missing):
        with suppress(FileExistsError):  # somebody else was faster
            one.mkdir()
            made.append(one)


def _prefix(target: Path) -> str:
    """How the names of all workspaces of `target` begin; short, since its own may be as long as can be."""
    digest = blake2b(os.fsencode(target.name), digest_size=6).hexdigest()
    return f".tracekit-{digest}-"


def _locked_directory(target: Path) -> tuple[Path, int | None]:
    for attempts_left in reversed(range(_ATTEMPTS)):
        space = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
        lock = _lock(space)
        # In the moment before it was locked, another process may take it for abandoned, and remove it. Where
        # nothing can be locked, nobody does.
        if lock is not None or sys.platform == "win32" or (not attempts_left and space.exists()):
            return space, lock
        shutil.rmtree(space, ignore_errors=True)
    raise FileNotFoundError(None, "another process keeps removing what is made there")


def _lock(space: Path) -> int | None:
    """The descriptor that holds the lock; None where another process has it, and where there are no locks."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(space, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.lstat(space)):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _remove_abandoned(target: Path, settle: Callable[[Path], None] | None) -> None:
    for space in sorted(target.parent.glob(f"{_prefix(target)}*")):
        with undisturbed():
            # Not what another user has put into a directory of all, and not what could not be locked.
            if not _is_own_directory(space) or (lock := _lock(space)) is None:
                continue
            try:
                with suppress(OSError):
                    if settle is not None:
                        settle(space)
                    shutil.rmtree(space)
            finally:
                os.close(lock)


def _is_own_directory(path: Path) -> bool:
    if sys.platform == "win32":
        return False
    with suppress(OSError):
        found = os.lstat(path)
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return False
