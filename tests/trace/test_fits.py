"""A trace that will not fit is refused while it is read, with what it needs and what there is."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tracekit.messages import UserError
from tracekit.trace import fits, read
from tracekit.trace.fits import Budget

KB = 1_000
MB = 1_000_000
GB = 1_000_000_000
OP_BYTES = 44  # four numbers of 64 bits (start, end, sequence, thread of the forward), three of 32


@dataclass
class Kept:
    size_bytes: int
    shapeless_bytes: int = 0
    signature_count: int = 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of 1 GB where 3 GB more are available, whose analysis takes 5 times its columns."""
    monkeypatch.setattr(fits, "resident_bytes", lambda: GB)
    monkeypatch.setattr(fits, "available_bytes", lambda returned=0: 3 * GB + returned)
    monkeypatch.setattr(fits, "unshared_bytes", lambda process: 100 * MB)
    monkeypatch.setattr(fits, "ANALYSIS_FACTOR", 5.0)
    monkeypatch.setattr(fits, "ANALYSIS_FACTOR_WITHOUT_SHAPES", 3.0)
    monkeypatch.setattr(fits, "SIGNATURE_BYTES", 10 * KB)
    monkeypatch.setattr(fits, "HELPER_SHARE", 0.5)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("read_bytes", "kept", "helpers", "needed", "free"),
    [
        # 0.2 GB without the columns that are kept, which become 4 GB
        (10 * GB, Kept(800 * MB), 0, "4.2", "4.0"),
        (20 * MB, Kept(800 * MB), 0, "4.2", "4.0"),  # packed very well
        # 0.1 GB; half of the columns take 3 times as much: 450 × 5 + 450 × 3
        (10 * GB, Kept(900 * MB, 450 * MB), 0, "3.7", None),
        (10 * GB, Kept(900 * MB, 200 * MB), 0, "4.2", "4.0"),
        # 0.3 GB, 3.5 GB for 700 MB of columns, and 1 GB for 100,000 signatures; or 0.1 GB for 10,000
        (10 * GB, Kept(700 * MB, 0, 100_000), 0, "4.8", "4.0"),
        (10 * GB, Kept(700 * MB, 0, 10_000), 0, "3.9", None),
        # 0.7 GB without the columns; two others have at least half as much each, and give 100 MB back each
        (10 * GB, Kept(300 * MB), 2, "3.7", None),
        (10 * GB, Kept(400 * MB), 2, "4.6", "4.2"),
        (10 * GB, Kept(350 * MB), 2, "4.15", None),  # 0.65 + 3.5
        (10 * GB, Kept(700 * MB), 0, "3.8", None),  # 0.3 + 3.5
        (10 * MB, Kept(0), 0, "1.0", None),
    ],
)
def test_what_has_been_read_is_refused_where_it_alone_does_not_fit(
    read_bytes: int, kept: Kept, helpers: int, needed: str, free: str | None
) -> None:
    budget = Budget(Path("t.json"))
    if free is None:
        budget.check(read_bytes, kept, range(helpers))
        return
    with pytest.raises(UserError) as caught:
        budget.check(read_bytes, kept, range(helpers))
    assert str(caught.value).startswith(
        f"t.json: its first {read_bytes / GB} GB alone need about {needed} GB of memory, "
        f"{free} GB are free; capture "
    )


@pytest.mark.usefixtures("machine")
def test_the_whole_is_refused_with_what_it_needs() -> None:
    Budget(Path("t.json")).check_whole(Kept(700 * MB))
    with pytest.raises(
        UserError, match=r"^t\.json: needs about 4\.2 GB of memory, 4\.0 GB are free; capture "
    ):
        Budget(Path("t.json")).check_whole(Kept(800 * MB))


@pytest.mark.usefixtures("machine")
def test_what_the_program_takes_is_told_before_there_are_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(Path("t.json"))
    budget.check(GB, Kept(100 * MB))  # 0.9 GB without them
    monkeypatch.setattr(fits, "resident_bytes", lambda: 2 * GB)  # which reading takes, and gives back
    monkeypatch.setattr(fits, "available_bytes", lambda returned=0: 2 * GB)
    budget.check(GB, Kept(600 * MB))
    with pytest.raises(UserError, match=r"need about 4\.15 GB"):
        budget.check(GB, Kept(650 * MB))


def test_memory_is_asked_for_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(fits, "resident_bytes", lambda: 0)
    monkeypatch.setattr(fits, "available_bytes", lambda returned=0: asked.append(1) or 100 * GB)
    budget = Budget(Path("t.json"))
    for step in range(161):  # of a quarter of what makes it ask
        budget.check(step << 20, Kept(step << 20))
    assert len(asked) == 40


def document(path: Path, *, ops_at: tuple[int, int], shapes: bool = True) -> Path:
    """1000 events with about as much text each: ops from one place to another, else Python's functions."""
    events = []
    for number in range(1000):
        event = {"ph": "X", "pid": 1, "tid": 2, "ts": number, "dur": 1, "cat": "cpu_op", "name": "aten::relu"}
        event["args"] = {"Input Dims" if shapes else "Something": [[4, 4]]}
        if not ops_at[0] <= number < ops_at[1]:
            event.update(cat="python_function", name="f.py(1): f", args={"Python id": number})
        events.append(event)
    path.write_text(json.dumps({"traceEvents": events}))
    return path


@pytest.fixture
def room_for_250_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for as many with shapes, at 4 times their columns, and no more than 12 more."""
    monkeypatch.setattr("tracekit.trace.cut.CHUNK_BYTES", 1000)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 500)
    monkeypatch.setattr(fits, "CHECK_EVERY_BYTES", 1)
    monkeypatch.setattr(fits, "ANALYSIS_FACTOR", 4.0)
    monkeypatch.setattr(fits, "ANALYSIS_FACTOR_WITHOUT_SHAPES", 2.0)
    monkeypatch.setattr(fits, "SIGNATURE_BYTES", 0)
    monkeypatch.setattr(fits, "resident_bytes", lambda: 0)
    monkeypatch.setattr(fits, "available_bytes", lambda returned=0: 4 * OP_BYTES * 262)


@pytest.mark.usefixtures("room_for_250_ops")
@pytest.mark.parametrize("ops_at", [(0, 250), (750, 1000), (300, 550)])
def test_a_trace_that_fits_is_read_wherever_its_ops_stand(tmp_path: Path, ops_at: tuple[int, int]) -> None:
    """With the ops first, a tenth of the file has 100, and all of it would have 1000 if it were alike."""
    trace = read(document(tmp_path / "t.json", ops_at=ops_at))
    assert (len(trace.ops), trace.event_count) == (250, 1000)


@pytest.mark.usefixtures("room_for_250_ops")
@pytest.mark.parametrize(("ops_at", "least", "most"), [((0, 400), 0.2, 0.35), ((600, 1000), 0.8, 0.95)])
def test_a_trace_that_does_not_fit_is_refused_where_that_is_certain(
    tmp_path: Path, ops_at: tuple[int, int], least: float, most: float
) -> None:
    path = document(tmp_path / "t.json", ops_at=ops_at)
    read_bytes: list[int] = []
    with pytest.raises(UserError, match=r"t\.json: its first .* GB alone need about"):
        read(path, read_bytes.append)
    assert least < sum(read_bytes) / path.stat().st_size < most


@pytest.mark.usefixtures("room_for_250_ops")
def test_ops_without_shapes_take_less(tmp_path: Path) -> None:
    assert len(read(document(tmp_path / "t.json", ops_at=(0, 500), shapes=False)).ops) == 500
    with pytest.raises(UserError, match=r"alone need about"):
        read(document(tmp_path / "t.json", ops_at=(0, 600), shapes=False))


@pytest.mark.usefixtures("room_for_250_ops")
def test_what_several_processes_have_read_is_known_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fits, "HELPER_SHARE", 0.0)
    assert len(read(document(tmp_path / "t.json", ops_at=(0, 250)), processes=2).ops) == 250
    with pytest.raises(UserError, match=r"t\.json: needs about"):
        read(document(tmp_path / "t.json", ops_at=(0, 400)), processes=2)


def test_out_of_memory_names_the_file() -> None:
    with (
        pytest.raises(UserError, match=r"^t\.json: does not fit into memory"),
        Budget(Path("t.json")).guarded(),
    ):
        raise MemoryError


def group(directory: Path, files: dict[str, object]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(f"{text}\n")


def test_limits_of_control_groups_and_those_they_are_in(tmp_path: Path) -> None:
    group(tmp_path / "proc/self", {"cgroup": "0::/slice/container"})
    base = tmp_path / "sys/fs/cgroup"
    statistics = "anon 1\ninactive_file 500\nactive_file 7"
    group(base / "slice/container", {"memory.max": 4000, "memory.current": 2000, "memory.stat": statistics})
    group(base / "slice", {"memory.max": 9000, "memory.current": 8000, "memory.stat": "inactive_file 0"})
    group(base, {"memory.max": "max", "memory.current": 8000, "memory.stat": "inactive_file 0"})
    assert list(fits._group_rooms(tmp_path)) == [4000 - 2000 + 500, 9000 - 8000]


def test_a_container_sees_its_own_limit_at_the_root(tmp_path: Path) -> None:
    """Without a name space of its own it is told a path that exists outside alone."""
    group(tmp_path / "proc/self", {"cgroup": "0::/docker/0123"})
    group(tmp_path / "sys/fs/cgroup", {"memory.max": 4000, "memory.current": 1000, "memory.stat": ""})
    assert list(fits._group_rooms(tmp_path)) == [3000]


def test_limits_of_the_first_version_of_control_groups(tmp_path: Path) -> None:
    group(tmp_path / "proc/self", {"cgroup": "5:cpu,cpuacct:/job\n4:hugetlb,memory:/job\n0::/"})
    base = tmp_path / "sys/fs/cgroup/memory"
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
    group(
        base / "job", dict(zip(names, (5000, 3000, "inactive_file 1\ntotal_inactive_file 30"), strict=True))
    )
    group(base, dict(zip(names, (9223372036854771712, 3000, "total_inactive_file 0"), strict=True)))
    assert list(fits._group_rooms(tmp_path)) == [2030]


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert list(fits._group_rooms(tmp_path)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_limit_of_the_address_space(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    import psutil

    taken = psutil.Process().memory_info().vms
    limit = taken + 200 * MB
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
    assert 150 * MB < fits.available_bytes() <= 200 * MB
    assert fits.available_bytes(returned_bytes=GB) <= 200 * MB  # to others, which have a limit of their own


def test_what_is_available_is_no_more_than_the_machine_has() -> None:
    import psutil

    assert 0 < fits.available_bytes() <= psutil.virtual_memory().total
    assert 0 < fits.resident_bytes() <= psutil.virtual_memory().total


def test_what_another_process_has_for_itself() -> None:
    import psutil

    own = fits.unshared_bytes(os.getpid())
    assert 0 < own <= psutil.Process().memory_info().rss + MB
    assert fits.unshared_bytes(2**30) == 0  # there is none
