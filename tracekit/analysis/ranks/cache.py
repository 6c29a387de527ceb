"""Results of earlier runs, kept where the worker is and found by the contents of the file they were made of.

A cache may be missing, full, damaged or not writable: then the work is done, and nobody hears of it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from tracekit.analysis.ranks.sources import Source, local_file

DIRECTORY_VARIABLE = "TRACEKIT_CACHE"
MOST_BYTES = 512 << 20
"""When there is more, what was used longest ago goes."""

_SUFFIX = ".summary"
_DIGEST_BYTES = 16
_PIECE_BYTES = 1 << 20


def cache_directory() -> Path:
    """`TRACEKIT_CACHE`, else the user's directory for such things."""
    if chosen := os.environ.get(DIRECTORY_VARIABLE):
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("tracekit") / "ranks"


class Cache:
    """A directory of results, of no more than `most_bytes`; several processes may use it at a time."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most_bytes = most_bytes

    def get(self, key: str) -> bytes | None:
        """What was put there; None also where it is damaged."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        value = content[_DIGEST_BYTES:]
        if content[:_DIGEST_BYTES] != _digest(value):
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)  # so that it is the last to go
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keeps `value`, if that is possible; nobody ever sees half of it."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".", suffix=_SUFFIX, dir=self._directory)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_digest(value))
                    file.write(value)
                os.replace(name, self._path(key))
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)
                raise
            self._shrink()
        except OSError:
            return

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}{_SUFFIX}"

    def _shrink(self) -> None:
        """Also what a process that was killed has left half-written grows old and goes."""
        found: list[tuple[float, int, str]] = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.name.endswith(_SUFFIX):
                        status = entry.stat(follow_symlinks=False)
                        found.append((status.st_mtime, status.st_size, entry.path))
        too_much = sum(size for _, size, _ in found) - self._most_bytes
        for _, size, path in sorted(found):
            if too_much <= 0:
                break
            with suppress(OSError):
                os.unlink(path)
            too_much -= size


def known(source: Source, version: str, cache: Cache) -> bytes | None:
    """What was made of `source` before, if that can be told without fetching it."""
    key = _key_of(source, version)
    if key is None and source.is_local and os.path.isfile(source.url):
        key = _key(version, _contents(Path(source.url)))
    return None if key is None else cache.get(key)


def cached(
    source: Source, scratch: Path | None, version: str, work: Callable[[Path], bytes], cache: Cache | None
) -> bytes:
    """What `work` makes of the file of `source`, or made of the same contents before.

    `version` changes with what `work` does. A remote file is not even fetched where its store says that it is
    the one that is known. Raises what `work` does, and `UserError` where the file cannot be read.
    """
    key = _key_of(source, version)
    if cache is not None and key is not None and (result := cache.get(key)) is not None:
        return result
    with local_file(source, scratch) as path:
        if cache is not None and key is None and path.is_file():
            key = _key(version, _contents(path))
            if (result := cache.get(key)) is not None:
                return result
        result = work(path)
        if cache is not None and key is not None:
            cache.put(key, result)
        return result


def _key_of(source: Source, version: str) -> str | None:
    """Of what a store says of the contents; None where only they themselves tell."""
    return None if source.identity is None else _key(version, source.identity.encode())


def _contents(path: Path) -> bytes:
    """A digest of all bytes; that of nothing where the file cannot be read, of which reading it tells."""
    digest = blake2b()
    with suppress(OSError), path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.digest()


def _key(version: str, contents: bytes) -> str:
    return blake2b(version.encode() + b"\0" + contents, digest_size=20).hexdigest()


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=_DIGEST_BYTES).digest()
