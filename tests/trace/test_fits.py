"""A trace that will not fit is refused while it is read, with what it needs and what there is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tracekit.messages import UserError
from tracekit.trace import fits
from tracekit.trace.fits import Budget

MB = 1_000_000
GB = 1_000_000_000


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of 1 GB where 3 GB more are available, whose analysis takes 5 times its columns."""
    monkeypatch.setattr(fits, "resident_bytes", lambda: GB)
    monkeypatch.setattr(fits, "available_bytes", lambda: 3 * GB)
    monkeypatch.setattr(fits, "ANALYSIS_FACTOR", 5.0)
    monkeypatch.setattr(fits, "PROGRAM_BYTES", 0)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("size", "read", "kept", "needed"),
    [
        (10 * GB, GB, 90 * MB, "4.5"),  # 900 MB of columns in the end
        (10 * GB, 5 * GB, 450 * MB, "4.5"),
        (100 * MB, 6 * MB, 60 * MB, "5.0"),  # packed very well, and repeated events: 16.7 times as much
        (0, 20 * MB, 900 * MB, "4.5"),  # a pipe: what has been read is too much already
        (100 * GB, GB, 900 * MB, "4.5"),  # too little of it to tell, but too much already
    ],
)
def test_what_will_not_fit_is_refused_with_both_figures(size: int, read: int, kept: int, needed: str) -> None:
    with pytest.raises(UserError) as caught:
        Budget(Path("t.json"), size).check(read, kept)
    assert str(caught.value).startswith(
        f"t.json: needs about {needed} GB of memory, 4.0 GB are free; capture "
    )


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("size", "read", "kept"),
    [
        (10 * GB, GB, 80 * MB),  # 4 GB in the end: just what there is
        (10 * GB, 10 * GB, 800 * MB),
        (100 * GB, GB, 790 * MB),  # a hundredth of the file, which may be followed by anything
        (0, 100 * GB, 800 * MB),
        (100 * MB, 101 * MB, 700 * MB),  # a file that grows
        (100 * MB, 10 * MB, 15 * MB),  # would be 0.75 GB, and too early to look
        (100 * MB, 10 * MB, 0),
    ],
)
def test_what_fits_is_not_refused(size: int, read: int, kept: int) -> None:
    Budget(Path("t.json"), size).check(read, kept)


def test_memory_is_asked_for_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(fits, "resident_bytes", lambda: 0)
    monkeypatch.setattr(fits, "available_bytes", lambda: asked.append(1) or 100 * GB)
    budget = Budget(Path("t.json"), 160 << 20)
    for mebibyte in range(161):
        budget.check(mebibyte << 20, mebibyte << 12)
    assert len(asked) == 10


def test_out_of_memory_names_the_file() -> None:
    with (
        pytest.raises(UserError, match=r"^t\.json: does not fit into memory"),
        Budget(Path("t.json"), 1).guarded(),
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


def test_what_is_available_is_no_more_than_the_machine_has() -> None:
    import psutil

    assert 0 < fits.available_bytes() <= psutil.virtual_memory().total
    assert 0 < fits.resident_bytes() <= psutil.virtual_memory().total
