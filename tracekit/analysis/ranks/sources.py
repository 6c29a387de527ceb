"""Where the traces of a job are: paths, directories, patterns and URLs, found and opened through fsspec.

Knows nothing of what is in a trace. What is found can be sent to a worker on another machine, which opens it
there: files of a shared file system, or of a store that both can reach.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit.messages import N_, Message, UserError
from tracekit.trace.containers import SUFFIXES

TRACE_ENDINGS = (".json", *(f".json{suffix}" for suffix in SUFFIXES))
"""What the names of files end in that are taken for traces in a directory."""

_MAGIC = re.compile(r"[*\[]")  # not "?", with which the query of a URL begins
_LOCAL_MAGIC = re.compile(r"[*?\[]")
_PIECE_BYTES = 1 << 20
_REQUESTS = 16  # at a time

# What fsspec needs for a protocol, where that is not named as the module that is missing.
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "http": "aiohttp",
    "https": "aiohttp",
}

# What stores say of the contents of a file: their checksum, or else when they were written.
_IDENTITIES = (
    "ETag",
    "etag",
    "md5Hash",
    "crc32c",
    "Content-MD5",
    "content_md5",
    "Digest",
    "LastModified",
    "Last-Modified",
    "last_modified",
    "mtime",
    "updated",
    "modified",
)


@dataclass(frozen=True)
class Source:
    """A trace file: `name` for people, without secrets of its URL, and `url`, which any worker can open.

    The `url` of a file of this machine, or of a file system shared with it, is its absolute path.
    `size_bytes` is None where a server does not tell; `identity` changes with the contents, and is None for
    local files and where a store says nothing of the kind.
    """

    name: str
    url: str
    size_bytes: int | None = None
    identity: str | None = None

    @property
    def is_local(self) -> bool:
        return not _protocol(self.url)


def find_sources(patterns: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """The files that `patterns` name, each once, in the order that people count in.

    A pattern is a file, a directory (all traces in it, not those in directories in it) or a glob with `*`,
    `**` or `[…]`; a path or a URL of a protocol that fsspec knows. Raises `UserError` for one that names
    nothing or cannot be looked at, and where its protocol lacks a package.
    """
    found: dict[str, Source] = {}
    named = [os.fspath(pattern) for pattern in patterns]
    for pattern in filter(None, named):  # "" would be the current directory
        for source in _matches(pattern):
            found.setdefault(source.url, source)
    if not found:
        raise UserError(N_("no trace was named"))
    return sorted(found.values(), key=lambda source: natural(source.url))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names so that rank2 comes before rank10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if at % 2 else (-1, part) for at, part in enumerate(parts)]


def _protocol(url: str) -> str:
    """Before "://"; of one letter it is a drive of Windows."""
    protocol, separator, _ = url.partition("://")
    return protocol.lower() if separator and len(protocol) > 1 else ""


def _matches(pattern: str) -> list[Source]:
    shown = without_secrets(pattern)
    with _reading(shown):
        filesystem, path = _file_system(pattern, shown)
        is_local = _is_local(filesystem)
        magic = _LOCAL_MAGIC if is_local else _MAGIC
        if magic.search(path) and not (is_local and os.path.lexists(path)):
            matching = _listed(filesystem.glob(path, detail=True))
            infos = [one for one in matching if _is_file(one) and not _is_hidden(one["name"], path)]
        elif (info := filesystem.info(path))["type"] == "directory":
            inside = _listed(filesystem.ls(path, detail=True))
            infos = [one for one in inside if _is_file(one) and _is_trace(one["name"])]
        else:
            url = path if is_local else pattern
            if is_local:
                _refuse_pipe(path, shown)
            return [_source(url, info, shown)]
        infos = _looked_at(filesystem, infos)
    if not infos:
        raise UserError(N_("{path}: no trace is found there", path=shown))
    found = []
    for info in infos:
        name = str(info["name"])
        url = name if is_local else str(filesystem.unstrip_protocol(name))
        found.append(_source(url, info, _relative(url, pattern) if is_local else without_secrets(url)))
    return found


def _listed(infos: Any) -> list[Mapping[str, Any]]:
    return list(infos.values()) if isinstance(infos, dict) else list(infos)


def _looked_at(filesystem: Any, infos: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """With what listings of web servers do not tell: asked of many files at a time, one by one."""
    if all(info.get("size") is not None for info in infos):
        return infos
    with ThreadPoolExecutor(_REQUESTS) as threads:
        more = threads.map(filesystem.info, [info["name"] for info in infos])
        return [{**one, "name": info["name"]} for one, info in zip(more, infos, strict=True)]


def _is_file(info: Mapping[str, Any]) -> bool:
    return str(info["type"]) != "directory"


def _is_trace(path: str) -> bool:
    return path.lower().endswith(TRACE_ENDINGS) and not _is_hidden(path)


def _is_hidden(path: str, pattern: str = "") -> bool:
    """As in a shell, whose patterns find names that begin with a dot only where they say so."""
    return _last_part(path).startswith(".") and not _last_part(pattern).startswith(".")


def _last_part(path: str) -> str:
    return path.replace(os.sep, "/").rpartition("/")[2]


def _relative(path: str, pattern: str) -> str:
    """As the user would write it: from the current directory on, where the pattern is."""
    if os.path.isabs(os.path.expanduser(pattern)) or _protocol(pattern):
        return path
    return os.path.relpath(path)


def _source(url: str, info: Mapping[str, Any], name: str) -> Source:
    size = info.get("size")
    size = size if isinstance(size, int) and size >= 0 else None
    if not _protocol(url):
        return Source(name, url, size)
    said = [f"{key}={info[key]}" for key in _IDENTITIES if info.get(key)]
    return Source(name, url, size, "\n".join((url, str(size), *said)) if said else None)


def without_secrets(url: str) -> str:
    """`url` without a user's name and password and without its query, which may hold a signature."""
    if not _protocol(url):
        return url
    return re.sub(r"(?<=://)[^/@]*@", "", url).partition("?")[0]


def _file_system(url: str, shown: str) -> tuple[Any, str]:
    """The file system of `url`, and the path there."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem
    from fsspec.registry import known_implementations, registry

    protocol = _protocol(url)
    if not protocol:  # fsspec would take what stands before a "::" in a path for a protocol
        return LocalFileSystem(), str(LocalFileSystem._strip_protocol(url))
    if protocol not in known_implementations and protocol not in registry:
        raise UserError(N_("{path}: the protocol {protocol} is not known", path=shown, protocol=protocol))
    try:
        filesystem, path = url_to_fs(url)
    except ImportError as error:
        cause = error.__cause__ or error
        package = _PACKAGES.get(protocol) or getattr(cause, "name", None) or protocol
        raise UserError(
            N_("{path}: needs {package}: pip install {package}", path=shown, package=package)
        ) from None
    return filesystem, str(path)


def _is_local(filesystem: object) -> bool:
    from fsspec.implementations.local import LocalFileSystem

    is_local: bool = isinstance(filesystem, LocalFileSystem)
    return is_local


@contextmanager
def _reading(shown: str) -> Iterator[None]:
    """Turns what a file system raises into a `UserError`; their libraries have exceptions of their own."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except FileNotFoundError:
        raise UserError(N_("{path}: no such file", path=shown)) from None
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        # It may hold the URL, and that a password.
        reason = " ".join(re.sub(r"\w+://\S+", lambda url: without_secrets(url[0]), reason).split())
        raise UserError(N_("{path}: cannot be read ({reason})", path=shown, reason=reason)) from None


@contextmanager
def local_file(source: Source, scratch: Path | None = None) -> Iterator[Path]:
    """The file on this machine: a remote one is copied, piece by piece, into a directory that goes again.

    That is made in `scratch`, by default where the worker keeps such things. What `UserError`s within say of
    the path they say of the source's name. Raises `UserError`.
    """
    if source.is_local:
        _refuse_pipe(source.url, source.name)
        with _named(Path(source.url), source.name):
            yield Path(source.url)
        return
    with tempfile.TemporaryDirectory(prefix="tracekit-", dir=scratch or own_scratch()) as folder:
        copy = Path(folder, "trace")
        _copy(source, copy)
        with _named(copy, source.name):
            yield copy


def _refuse_pipe(path: str, name: str) -> None:
    """Raises `UserError` for what a worker would wait for, or for ever read."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise UserError(N_("{path}: is a pipe, which can be read only once; name a file", path=name))


def own_scratch() -> str | None:
    """The directory of a Dask worker, which Dask removes should the worker die; else that of the system."""
    if distributed := sys.modules.get("distributed"):
        try:
            return str(distributed.get_worker().local_directory)
        except (ValueError, AttributeError):  # this is none
            pass
    return None


def _copy(source: Source, target: Path) -> None:
    with _reading(source.name):
        filesystem, path = _file_system(source.url, source.name)
        with filesystem.open(path, "rb", cache_type="readahead") as remote, target.open("wb") as local:
            shutil.copyfileobj(remote, local, _PIECE_BYTES)
    copied = target.stat().st_size
    if source.size_bytes is not None and copied != source.size_bytes:
        raise UserError(
            N_(
                "{path}: {copied} of {size} bytes arrived; was it still being written?",
                path=source.name,
                copied=copied,
                size=source.size_bytes,
            )
        )


@contextmanager
def _named(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise type(error)(renamed(error.message, path, name)) from None


def renamed(message: Message, path: Path, name: str) -> Message:
    """`message` that speaks of `name` where it spoke of `path`."""

    def value(old: Any) -> Any:
        if isinstance(old, Message):
            return renamed(old, path, name)
        return name if isinstance(old, str | Path) and str(old) == str(path) else old

    return Message(message.template, {key: value(old) for key, old in message.values.items()})


def total_bytes(sources: Sequence[Source]) -> int | None:
    """Of all of them; None where that of one is not known."""
    sizes = [source.size_bytes for source in sources]
    return None if None in sizes else sum(size for size in sizes if size is not None)
