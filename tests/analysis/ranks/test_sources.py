"""What is found where, and what remains of a copy."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.analysis.ranks.jobs import server
from tracekit.analysis.ranks.sources import Source, find_sources, local_file
from tracekit.messages import N_, UserError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("rank10.json", "rank2.json.gz", "notes.txt", ".hidden.json", "a/r0.json"):
        path = tmp_path / "job" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"job/{name}".encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe({"/job/rank1.json": b"one", "/job/rank0.json": b"zero!", "/job/log.txt": b"log"})
    yield filesystem
    filesystem.rm("/job", recursive=True)


def names(*patterns: str | Path) -> list[str]:
    return [source.name for source in find_sources(patterns)]


@pytest.mark.usefixtures("folder")
def test_traces_of_a_directory_in_the_order_of_their_numbers() -> None:
    assert names("job") == ["job/rank2.json.gz", "job/rank10.json"]
    assert [source.size_bytes for source in find_sources(["job"])] == [17, 15]


def test_paths_are_absolute_for_workers_and_named_as_they_were_given(folder: Path) -> None:
    (relative,) = find_sources([Path("job/rank10.json")])
    assert (relative.name, relative.url) == ("job/rank10.json", str(folder / "job/rank10.json"))
    absolute = str(folder / "job" / "*.gz")
    assert names(absolute) == [str(folder / "job/rank2.json.gz")]
    assert names((folder / "job/rank10.json").as_uri()) == [(folder / "job/rank10.json").as_uri()]


@pytest.mark.usefixtures("folder")
def test_globs_and_what_they_share() -> None:
    assert names("job/*.json", "job/rank*", "job/rank10.json") == ["job/rank2.json.gz", "job/rank10.json"]
    assert names("job/**/*0.json") == ["job/a/r0.json", "job/rank10.json"]
    assert names("job/rank?.json.gz") == ["job/rank2.json.gz"]


def test_a_file_whose_name_looks_like_a_pattern(folder: Path) -> None:
    (folder / "run[1].json").write_text("x")
    assert names("run[1].json") == ["run[1].json"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("job/*.zip", "job/*.zip: no trace is found there"),
        ("job/b", "job/b: no such file"),
        ("memory://nothing/*.json", "memory://nothing/*.json: no trace is found there"),
        ("memory://nothing.json", "memory://nothing.json: no such file"),
        ("gopher://host/a.json", "gopher://host/a.json: the protocol gopher is not known"),
    ],
)
def test_nothing_found_names_the_pattern(pattern: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        find_sources(["job/rank10.json", pattern])
    assert str(caught.value) == says


@pytest.mark.parametrize("name", ["a::b", "data:,x", "h#h", "q?x"])
def test_a_path_that_looks_like_a_url(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trace = tmp_path / name / "rank0.json"
    trace.parent.mkdir()
    trace.write_text("{}")
    for pattern in (name, f"{name}/rank0.json", f"{name}/*.json"):
        assert [source.url for source in find_sources([pattern])] == [str(trace)]


@pytest.mark.usefixtures("folder")
def test_an_empty_name_is_not_the_current_directory() -> None:
    with pytest.raises(UserError, match="no trace was named"):
        find_sources([""])


def test_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "rank0.json"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match=r"rank0\.json: is a pipe"):
        find_sources([pipe])
    (source,) = find_sources([tmp_path])  # one of many is left out, and named, where it is to be read
    with pytest.raises(UserError, match=r"rank0\.json: is a pipe"), local_file(source):
        pass


def test_no_pattern_at_all() -> None:
    with pytest.raises(UserError, match="no trace was named"):
        find_sources([])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ModuleNotFoundError("No module named 's3fs'", name="s3fs")

    module = sys.modules["fsspec.registry"]  # `fsspec.registry` is a mapping
    monkeypatch.setattr(module, "_import_class", missing)
    monkeypatch.delitem(module._registry, "s3", raising=False)
    with pytest.raises(UserError) as caught:
        find_sources(["s3://bucket/job/*.json.gz"])
    assert str(caught.value) == "s3://bucket/job/*.json.gz: needs s3fs: pip install s3fs"


@pytest.mark.usefixtures("memory")
def test_a_store_is_listed_and_its_files_are_copied(tmp_path: Path) -> None:
    sources = find_sources(["memory://job/*.json"])
    assert [(source.name, source.size_bytes) for source in sources] == [
        ("memory:///job/rank0.json", 5),
        ("memory:///job/rank1.json", 3),
    ]
    assert [source.url for source in find_sources(["memory://job"])] == [source.url for source in sources]
    with local_file(sources[0], tmp_path) as path:
        assert path.read_bytes() == b"zero!"
        assert path.is_relative_to(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("memory")
def test_a_copy_goes_also_after_an_interruption(tmp_path: Path) -> None:
    (source,) = find_sources(["memory://job/rank1.json"])
    with pytest.raises(KeyboardInterrupt), local_file(source, tmp_path):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("memory")
def test_errors_speak_of_the_source_and_not_of_the_copy(tmp_path: Path) -> None:
    (source,) = find_sources(["memory://job/rank1.json"])
    with pytest.raises(UserError) as caught, local_file(source, tmp_path) as path:
        raise UserError(N_("{path}: is empty; capture the trace again", path=path))
    assert str(caught.value) == "memory://job/rank1.json: is empty; capture the trace again"


def test_a_file_that_changed_its_size_is_refused(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    (source,) = find_sources(["memory://job/rank1.json"])
    memory.pipe("/job/rank1.json", b"on")
    with pytest.raises(UserError, match="2 of 3 bytes arrived"), local_file(source, tmp_path):
        pass


def test_a_copy_is_made_in_pieces(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """A trace of 40 MB is not there as a whole beside the one that the store holds."""
    import tracemalloc

    memory.pipe("/job/large.json", os.urandom(1 << 20) * 40)
    (source,) = find_sources(["memory://job/large.json"])
    tracemalloc.start()
    with local_file(source, tmp_path) as path:
        peak = tracemalloc.get_traced_memory()[1]
        assert path.stat().st_size == 40 << 20
    tracemalloc.stop()
    assert peak < 16 << 20


def test_secrets_of_a_url_are_in_no_name() -> None:
    with pytest.raises(UserError) as caught:
        find_sources(["http://me:word@127.0.0.1:9/job/a.json?signature=abc"])
    assert str(caught.value).startswith("http://127.0.0.1:9/job/a.json: ")
    assert "word" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_a_server_is_asked_for_files(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with server(folder) as address:
        base = f"{address}/job"
        (source,) = find_sources([f"{base}/rank10.json?part=1"])
        assert (source.name, source.size_bytes) == (f"{base}/rank10.json", 15)
        assert source.identity is not None  # of Last-Modified
        with local_file(source, tmp_path_factory.mktemp("scratch")) as path:
            assert path.read_bytes() == b"job/rank10.json"
        assert names(f"{base}/*.json") == [f"{base}/rank10.json"]
        with pytest.raises(UserError, match=r"rank11\.json: no such file"):
            find_sources([f"{base}/rank11.json"])


def test_a_worker_without_a_directory_of_its_own_uses_that_of_the_system(
    memory: fsspec.AbstractFileSystem,
) -> None:
    memory.pipe("/job/rank3.json", b"three")
    with local_file(Source("x", "memory:///job/rank3.json", 5)) as path:
        assert path.is_relative_to(tempfile.gettempdir())
    assert not path.parent.exists()
