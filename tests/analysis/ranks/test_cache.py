"""What is found again, and what is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tracekit.analysis.ranks.cache import Cache, cache_directory, cached, known
from tracekit.analysis.ranks.sources import Source
from tracekit.messages import N_, UserError


class Counted:
    """Work that says how often it was done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, path: Path) -> bytes:
        self.times += 1
        return path.read_bytes().upper()


@pytest.fixture
def trace(tmp_path: Path) -> Source:
    path = tmp_path / "rank0.json"
    path.write_bytes(b"trace")
    return Source("rank0.json", str(path), 5)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_the_same_contents_are_found_again_under_any_name(
    trace: Source, cache: Cache, tmp_path: Path
) -> None:
    work = Counted()
    assert [cached(trace, None, "1", work, cache) for _ in range(2)] == [b"TRACE"] * 2
    (tmp_path / "other.json").write_bytes(b"trace")
    assert cached(Source("other.json", str(tmp_path / "other.json")), None, "1", work, cache) == b"TRACE"
    assert work.times == 1


def test_other_contents_and_other_versions_are_not(trace: Source, cache: Cache) -> None:
    work = Counted()
    status = os.stat(trace.url)
    cached(trace, None, "1", work, cache)
    cached(trace, None, "2", work, cache)
    Path(trace.url).write_bytes(b"Trace")
    os.utime(trace.url, ns=(status.st_atime_ns, status.st_mtime_ns))  # as large and as old as it was
    cached(trace, None, "1", work, cache)
    assert work.times == 3


def test_without_a_cache_nothing_is_kept(trace: Source, tmp_path: Path) -> None:
    work = Counted()
    assert [cached(trace, None, "1", work, None) for _ in range(2)] == [b"TRACE"] * 2
    assert work.times == 2
    assert [path.name for path in tmp_path.iterdir()] == ["rank0.json"]


@pytest.mark.parametrize("damage", [b"", b"x" * 7, b"x" * 30])
def test_what_is_damaged_is_made_anew(trace: Source, cache: Cache, tmp_path: Path, damage: bytes) -> None:
    work = Counted()
    cached(trace, None, "1", work, cache)
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(damage)
    assert [cached(trace, None, "1", work, cache) for _ in range(2)] == [b"TRACE"] * 2
    assert work.times == 2


def test_where_nothing_can_be_kept_the_work_is_done(trace: Source, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    assert cached(trace, None, "1", Counted(), Cache(tmp_path / "file" / "cache")) == b"TRACE"
    assert cached(trace, None, "1", Counted(), Cache(tmp_path / "file")) == b"TRACE"


def test_the_oldest_goes_first_and_what_was_used_is_young(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most_bytes=3 * (16 + 100))
    for age, key in ((300, "a"), (200, "b"), (100, "c")):
        cache.put(key, key.encode() * 100)
        os.utime(tmp_path / f"{key}.summary", (1e9 - age, 1e9 - age))
    assert cache.get("a") == b"a" * 100
    cache.put("d", b"d" * 100)
    assert {key: cache.get(key) is not None for key in "abcd"} == {
        "a": True,
        "b": False,
        "c": True,
        "d": True,
    }
    assert len(list(tmp_path.iterdir())) == 3


def test_what_fails_is_not_kept(trace: Source, cache: Cache, tmp_path: Path) -> None:
    def work(path: Path) -> bytes:
        raise UserError(N_("{path}: is empty", path=path))

    with pytest.raises(UserError, match=r"^rank0\.json: is empty$") as caught:
        cached(trace, None, "1", work, cache)
    assert caught.value.message.values == {"path": "rank0.json"}
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/job/rank0.json", b"trace")
    yield filesystem
    filesystem.rm("/job", recursive=True)


def test_a_store_is_believed_what_it_says_of_a_file(
    store: fsspec.AbstractFileSystem, cache: Cache, tmp_path: Path
) -> None:
    work = Counted()
    known = Source("rank0.json", "memory:///job/rank0.json", 5, identity="ETag=1")
    unknown = Source("rank0.json", "memory:///job/rank0.json", 5)
    assert [cached(known, tmp_path, "1", work, cache) for _ in range(2)] == [b"TRACE"] * 2
    assert work.times == 1
    assert [cached(unknown, tmp_path, "1", work, cache) for _ in range(2)] == [b"TRACE"] * 2
    assert work.times == 2  # found by its bytes, the second time
    store.pipe("/job/rank0.json", b"TRACK")
    assert cached(known, tmp_path, "1", work, cache) == b"TRACE"  # not fetched
    assert cached(unknown, tmp_path, "1", work, cache) == b"TRACK"
    other = Source("rank0.json", "memory:///job/rank0.json", 5, identity="ETag=2")
    assert cached(other, tmp_path, "1", work, cache) == b"TRACK"


def test_the_directory_is_the_user_s_unless_they_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEKIT_CACHE", "/somewhere")
    assert cache_directory() == Path("/somewhere")
    monkeypatch.setenv("TRACEKIT_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/me/.cache")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_directory().parts[-2:] == ("tracekit", "ranks")


def test_what_is_known_is_told_without_fetching(trace: Source, cache: Cache) -> None:
    remote = Source("rank0.json", "memory:///nowhere/rank0.json", 5, identity="ETag=1")
    assert (known(trace, "1", cache), known(remote, "1", cache)) == (None, None)
    cached(trace, None, "1", Counted(), cache)
    assert known(trace, "1", cache) == b"TRACE"
    assert known(trace, "2", cache) is None
    assert known(Source("x", "/no/such/file"), "1", cache) is None
    assert known(Source("x", "memory:///nowhere/rank1.json"), "1", cache) is None
