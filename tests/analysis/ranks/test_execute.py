"""What becomes of every source when workers fail, die and are interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.analysis.ranks.works import named
from tracekit.analysis.ranks import execute
from tracekit.analysis.ranks.execute import run, worthwhile_workers
from tracekit.analysis.ranks.sources import Source
from tracekit.messages import UserError

ROOT = Path(__file__).parents[3]


def outcomes(
    folder: Path, names: Sequence[str], workers: int | None = None, executor: Executor | None = None
) -> dict[str, str]:
    sources = [Source(name, str(folder)) for name in names]
    done = list(run(sources, named, workers=workers, executor=executor))
    assert sorted(one.source.name for one in done) == sorted(names)  # each once
    return {one.source.name: one.result.decode() if one.result else str(one.reason) for one in done}


def tries(folder: Path) -> dict[str, int]:
    return {path.name: path.read_text().count("\n") for path in folder.iterdir()}


def test_what_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    names = ["a", "damaged", "bug", "b", "large"]
    assert outcomes(tmp_path, names, 2) == {
        "a": "A",
        "b": "B",
        "damaged": f"{tmp_path / 'damaged'}: is empty",
        "bug": "internal error, please report it (TwistedError: so twisted)",
        "large": "LARGE",  # once nobody else takes memory
    }


def test_a_worker_that_dies_takes_nobody_along(tmp_path: Path) -> None:
    names = ["a", "deadly1", "b", "c", "deadly2", "d"]
    assert outcomes(tmp_path, names, 2) == {
        **{name: name.upper() for name in ("a", "b", "c", "d")},
        **dict.fromkeys(("deadly1", "deadly2"), str(execute.DIED)),
    }
    assert {name: count for name, count in tries(tmp_path).items() if count > 2} == {}


def test_what_died_for_no_reason_of_its_own_is_tried_again(tmp_path: Path) -> None:
    assert outcomes(tmp_path, ["unlucky"], 1) == {"unlucky": "UNLUCKY"}


def test_an_executor_of_the_caller_stays_open(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as executor:
        done = outcomes(tmp_path, ["a", "damaged", "b"], executor=executor)
        assert executor.submit(str, 1).result() == "1"
    assert done == {"a": "A", "b": "B", "damaged": f"{tmp_path / 'damaged'}: is empty"}


def test_an_executor_that_broke_is_asked_for_nothing_more(tmp_path: Path) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        done = outcomes(tmp_path, ["deadly", "a"], 1, executor)
    assert done == dict.fromkeys(("deadly", "a"), str(execute.BROKEN))


def test_as_many_workers_as_there_are_files_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "usable_cores", lambda: 8)
    monkeypatch.setattr(execute, "available_bytes", lambda: 64 << 30)
    sources = [Source(f"{number}.json.gz", "/x.json.gz", 500 << 20) for number in range(20)]
    assert worthwhile_workers(sources) == 8
    assert worthwhile_workers(sources[:3]) == 3
    # Of 500 MiB compressed each takes 5 × 500 + 64 MiB: 3 of these are 7.5 GiB, 4 of them 10.0.
    monkeypatch.setattr(execute, "available_bytes", lambda: 8 << 30)
    assert worthwhile_workers(sources) == 3
    monkeypatch.setattr(execute, "available_bytes", lambda: 0)
    assert worthwhile_workers(sources) == 1


def test_an_executor_and_a_scheduler_are_too_many() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(UserError, match="not both"):
        list(run([Source("a", "/")], named, executor=executor, scheduler="tcp://127.0.0.1:1"))


def test_who_stops_listening_ends_the_workers(tmp_path: Path) -> None:
    with closing(
        run([Source(name, str(tmp_path)) for name in ("a", "slow1", "slow2")], named, workers=2)
    ) as done:
        assert next(done).result == b"A"
        children = psutil.Process().children()
        workers = [one for one in children if "spawn_main" in " ".join(one.cmdline())]
        assert len(workers) == 2
    assert not psutil.wait_procs(workers, 5)[1]


# A script as users write them, without `if __name__ == "__main__"`.
SCRIPT = """
import sys
from tracekit.analysis.ranks.execute import run
from tracekit.analysis.ranks.sources import Source
from tests.analysis.ranks.works import named
from tracekit.interruption import interruptible
with interruptible():
    sources = [Source(name, sys.argv[1]) for name in sys.argv[2:]]
    print(sorted(one.result for one in run(sources, named, workers=2)))
"""


def started(tmp_path: Path, *names: str) -> subprocess.Popen[str]:
    for folder in ("notes", "scratch"):
        (tmp_path / folder).mkdir()
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    return subprocess.Popen(
        [sys.executable, tmp_path / "script.py", tmp_path / "notes", *names],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "scratch")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_script_need_not_be_made_for_it(tmp_path: Path) -> None:
    assert started(tmp_path, "a", "b", "c").communicate(timeout=60) == ("[b'A', b'B', b'C']\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["ctrl-c", "term", "kill"])
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, how: str) -> None:
    program = started(tmp_path, "slow1", "slow2", "a")
    try:
        deadline = time.monotonic() + 60
        while len(tries(tmp_path / "notes")) < 2 or not all(tries(tmp_path / "notes").values()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert list((tmp_path / "scratch").glob("tracekit-*/copy"))
        workers = [
            psutil.Process(int((tmp_path / "notes" / name).read_text())) for name in ("slow1", "slow2")
        ]
        if how == "ctrl-c":
            os.killpg(program.pid, signal.SIGINT)  # as a terminal does
        else:
            program.send_signal(signal.SIGTERM if how == "term" else signal.SIGKILL)
        _output, errors = program.communicate(timeout=20)
    finally:
        program.kill()
    assert errors.count("Traceback") == (how != "kill")  # that of the script
    assert not psutil.wait_procs(workers, 10)[1]
    deadline = time.monotonic() + 10
    while list((tmp_path / "scratch").glob("tracekit-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_scratch_is_gone_after_all_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (notes := tmp_path / "notes").mkdir()
    assert outcomes(notes, ["a"]) == {"a": "A"}
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
