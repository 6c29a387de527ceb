"""`with capture(model, path)` around loops: what is in the file, and the model afterwards."""

from __future__ import annotations

import copy
import functools
import gc
import threading
import weakref
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from tracekit.analysis import analyze
from tracekit.capture import CaptureError, capture

from .traces import Scope, Trace, read_trace


class Toy(nn.Module):
    """Two Linear layers, the second called twice; fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.again = nn.Linear(8, 8)
        self.fails = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.again(functional.relu(self.first(x)))
        if self.fails:
            raise ZeroDivisionError("told to")
        return self.again(x)


class Countdown(nn.Module):
    """Calls itself, `depth` levels deep."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, depth: int = 3) -> torch.Tensor:
        return self.layer(x) if depth == 0 else self(x, depth - 1)


X = torch.ones(2, 4)


def attributes(model: nn.Module) -> list[dict[str, Any]]:
    return [dict(module.__dict__) for module in model.modules()]


def names(trace: Trace) -> Counter[str]:
    return Counter(scope.rest for scope in trace.calls)


def steps_in(trace: Trace) -> list[str]:
    ranges = [e for e in trace.content["traceEvents"] if e.get("cat") == "user_annotation"]
    return sorted(e["name"] for e in ranges if e["name"].startswith("ProfilerStep"))


def test_everything_inside_is_recorded_when_nothing_steps(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    model(X)
    with capture(model, path) as c:
        assert c.is_recording
        model(X)
        model(X)
    assert not c.is_recording
    trace = read_trace(path)
    assert names(trace) == {"": 2, "first": 2, "again": 4}
    assert trace.metadata == c.metadata
    assert (trace.metadata["mode"], trace.metadata["error"]) == ("loop", None)
    assert trace.metadata["model"]["class"] == "Toy"
    report = analyze(path)
    assert report.time.passes == 2
    assert {module.path for module in report.modules} == {"", "first", "again"}


def test_a_window_of_steps(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    was_recording = []
    with capture(model, path, warmup=3, steps=2) as c:
        for _ in range(7):
            was_recording.append(c.is_recording)
            model(X)
            assert path.exists() == (len(was_recording) > 5)  # written at once, not when the loop ends
            c.step()
    assert was_recording == [False] * 3 + [True] * 2 + [False] * 2
    trace = read_trace(path)
    assert names(trace) == {"": 2, "first": 2, "again": 4}
    assert steps_in(trace) == ["ProfilerStep#0", "ProfilerStep#1"]
    # the first step is counted and in the third tracing is switched on, so only the second was timed
    assert len(trace.metadata["step_latencies_us"]) == 1
    (phase,) = trace.metadata["phases"]
    assert len(phase["latencies_us"]) == 1
    assert 0 < phase["latencies_us"][0] <= trace.metadata["step_latencies_us"][0]
    # 2 rows: 2·2·4·8, and twice 2·2·8·8
    assert phase["module_flops"] == {"0": 128 + 512, "1": 128, "2": 512}


def test_steps_that_call_the_model_several_times_have_no_latency_of_a_pass(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    with capture(model, path, warmup=4, steps=1) as c:
        for _ in range(5):
            model(X)
            model(X)
            c.step()
    metadata = read_trace(path).metadata
    assert metadata["phases"] == []
    assert len(metadata["step_latencies_us"]) == 2


def test_a_training_loop(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with capture(model, path, warmup=3, steps=2) as c:
        for _ in range(5):
            loss = model(X).pow(2).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            c.step()
    trace = read_trace(path)
    assert names(trace) == {"": 2, "first": 2, "again": 4}
    report = analyze(path)
    # forward 640 FLOPs a step; the gradients of weights as much, those of inputs less the first layer's
    assert report.flops.matrix == 2 * (640 + 640 + 512)
    assert report.flops.matrix_per_pass == 640
    assert {row.name for row in report.regions} >= {"ProfilerStep#0", "Optimizer.step#SGD.step"}


@pytest.mark.parametrize("warmup", [0, 2])
def test_an_error_in_forward_leaves_a_readable_trace_of_what_ran(tmp_path: Path, warmup: int) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    before = attributes(model)

    def loop() -> None:
        with capture(model, path, warmup=warmup) as c:
            for _ in range(warmup + 1):
                model(X)
                c.step()
            model.fails = True
            model(X)

    with pytest.raises(ZeroDivisionError, match="told to"):
        loop()
    model.fails = False
    assert attributes(model) == before
    trace = read_trace(path)
    assert names(trace) == {"": 2, "first": 2, "again": 3}
    assert trace.metadata["error"] == "ZeroDivisionError: told to"
    assert {module.path for module in analyze(path).modules} == {"", "first", "again"}


def test_an_error_within_the_warm_up_leaves_no_file(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    before = attributes(model)
    model.fails = True

    def loop(warmup: int) -> None:
        with capture(model, path, warmup=warmup) as c:
            for _ in range(warmup - 1):
                c.step()
            model(X)

    for warmup in (1, 2, 3):
        with pytest.raises(ZeroDivisionError):
            loop(warmup)
    model.fails = False
    assert attributes(model) == before
    assert list(tmp_path.iterdir()) == []


def test_interrupted_by_hand_it_writes_what_ran(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"

    def loop() -> None:
        with capture(model, path):
            model(X)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert read_trace(path).metadata["error"] == "KeyboardInterrupt: no message"


def test_a_loop_that_ends_within_the_warm_up_is_told_so(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    with (
        pytest.raises(CaptureError, match=r"ended within the warm-up.*call step"),
        capture(model, path, warmup=2),
    ):
        model(X)
    assert "forward" not in model.__dict__
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("warmup", [1, 3])
def test_a_loop_that_ends_with_the_warm_up_is_told_so_too(tmp_path: Path, warmup: int) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"

    def loop() -> None:
        with capture(model, path, warmup=warmup) as c:
            for _ in range(warmup):
                model(X)
                c.step()

    with pytest.raises(CaptureError, match=r"ended within the warm-up.*warm up less"):
        loop()
    assert "forward" not in model.__dict__
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("iterations", "warmup", "whole"), [(4, 3, 1), (5, 3, 2), (2, 0, 2)])
def test_a_step_that_is_not_ended_is_none(
    tmp_path: Path, iterations: int, warmup: int, whole: int, fails: bool
) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"

    def loop() -> None:
        with capture(model, path, warmup=warmup) as c:
            for _ in range(iterations):
                model(X)
                c.step()
            model.fails = fails
            if fails:
                model(X)

    if fails:
        with pytest.raises(ZeroDivisionError):
            loop()
    else:
        loop()
    trace = read_trace(path)
    assert len(steps_in(trace)) == whole + 1  # the range of the step that never was
    assert trace.metadata["steps"] == whole
    report = analyze(path)
    assert report.time.steps == whole
    assert report.flops.matrix_per_step == 128 + 512  # 2·2·4·8, and twice 2·2·8·8


def test_a_capture_is_used_once(tmp_path: Path) -> None:
    model = Toy()
    session = capture(model, tmp_path / "t.json.gz")
    with session:
        model(X)
    with pytest.raises(CaptureError, match="used before"), session:
        pass


def test_the_error_of_the_loop_goes_before_that_of_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()

    def loop() -> None:
        with capture(Toy(), folder / "t.json.gz"):
            folder.rmdir()
            raise ZeroDivisionError

    with pytest.warns(UserWarning, match="no trace of what ran"), pytest.raises(ZeroDivisionError):
        loop()


def test_a_wrong_destination_or_choice_is_told_before_anything_runs(tmp_path: Path) -> None:
    for path in (tmp_path / "t.json", tmp_path / "no" / "t.json.gz"):
        with pytest.raises(CaptureError):
            capture(Toy(), path)
    with pytest.raises(CaptureError, match="--scopes most"):
        capture(Toy(), tmp_path / "t.json.gz", scopes="most")
    with pytest.raises(CaptureError, match="at least"):
        capture(Toy(), tmp_path / "t.json.gz", warmup=-1)


def test_a_second_capture_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    """Of two profilers torch loses one, or the process."""
    for model, other in ((Toy(),) * 2, (Toy(), Toy())):
        with capture(model, tmp_path / "one.json.gz"):
            with (
                pytest.raises(CaptureError, match="another capture is at work"),
                capture(other, tmp_path / "two.json.gz"),
            ):
                pass
            model(X)
        assert names(read_trace(tmp_path / "one.json.gz"))[""] == 1
        assert not (tmp_path / "two.json.gz").exists()


@pytest.mark.parametrize("warmup", [0, 1])
def test_a_profiler_of_the_users_own_goes_on(tmp_path: Path, warmup: int) -> None:
    model = Toy()
    with profile(activities=[ProfilerActivity.CPU]) as theirs:
        with (
            pytest.raises(CaptureError, match="another profiler"),
            capture(model, tmp_path / "t.json.gz", warmup=warmup),
        ):
            pass
        model(X)
    events: Any = theirs.events()
    assert "aten::addmm" in {event.name for event in events}
    assert "forward" not in model.__dict__


def test_steps_may_end_within_inference_mode(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    with capture(model, path, warmup=3, steps=1) as c:
        for _ in range(4):
            with torch.inference_mode():
                model(X)
                c.step()
    metadata = read_trace(path).metadata
    assert metadata["phases"][0]["module_flops"] == {"0": 128 + 512, "1": 128, "2": 512}
    assert torch.ones(2).sum() == 2


def test_what_ends_a_loop_comes_through_as_it_is(tmp_path: Path) -> None:
    batches = iter([X])

    def loop() -> None:
        with capture(Toy(), tmp_path / "t.json.gz") as c:
            while True:
                next(batches)
                c.step()

    with pytest.raises(StopIteration):
        loop()
    assert read_trace(tmp_path / "t.json.gz").metadata["error"] == "StopIteration: no message"


def test_wrappers_that_are_laid_over_forward_do_no_harm(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    with capture(model, path, warmup=3, steps=1) as c:
        inner = model.forward
        model.forward = functools.wraps(inner)(lambda *args: inner(*args))  # type: ignore[method-assign]
        for _ in range(4):
            model(X)
            c.step()
    assert names(read_trace(path)) == {"": 1, "first": 1, "again": 2}
    with capture(model, path):
        model(X)
    assert names(read_trace(path)) == {"": 1, "first": 1, "again": 2}


def test_a_copy_of_the_model_is_none_of_its_calls(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    with capture(model, path):
        model(X)
        clone = copy.deepcopy(model)
        clone(X)
    assert names(read_trace(path)) == {"": 1, "first": 1, "again": 2}
    with capture(clone, path):
        clone(X)
    assert names(read_trace(path)) == {"": 1, "first": 1, "again": 2}


def test_replicas_run_their_own_weights(tmp_path: Path) -> None:
    model = nn.Linear(2, 2, bias=False)
    with capture(model, tmp_path / "t.json.gz"):
        model(torch.ones(1, 2))
        replica: Any = model._replicate_for_data_parallel()
        replica._parameters = {"weight": torch.zeros(2, 2), "bias": None}
        assert replica(torch.ones(1, 2)).abs().sum() == 0
    assert "_replicate_for_data_parallel" not in model.__dict__


def test_modules_that_come_and_go_do_not_change_the_table(tmp_path: Path) -> None:
    model, path = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)), tmp_path / "t.json.gz"
    with capture(model, path, warmup=3, steps=1) as c:
        for step in range(4):
            model(X)
            if step == 1:
                model.insert(0, nn.Identity())  # behind the count, before the recording
            if step == 3:
                model.insert(0, nn.Dropout(0.0))
            c.step()
    trace = read_trace(path)
    rows = {row["index"]: (row["path"], row["type"]) for row in trace.metadata["modules"]}
    kinds = {1: ("0", "Identity"), 2: ("1", "Linear"), 3: ("2", "ReLU"), 4: ("3", "Linear")}
    assert rows == {0: ("", "Sequential"), **kinds}
    assert all(rows[int(scope.key)][0] == scope.rest for scope in trace.calls)
    assert trace.metadata["phases"][0]["module_flops"] == {"0": 128, "2": 64, "3": 0, "4": 64}
    assert "modules were added" in trace.metadata["notes"][0]


class Odd(nn.Module):
    """Holds a layer that nobody has initialized, and a configuration that cannot be told."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.lazy = nn.Linear(4, 4), nn.LazyLinear(3)

    @property
    def config(self) -> Any:
        def to_dict() -> Any:
            raise ValueError("not to be told")

        return SimpleNamespace(to_dict=to_dict)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)
        return y


def test_odd_models_cost_no_trace(tmp_path: Path) -> None:
    model, path = Odd(), tmp_path / "t.json.gz"
    with capture(model, path):
        model(X)
    metadata = read_trace(path).metadata
    assert metadata["model"]["config"] is None
    assert metadata["notes"] == ["the configuration is left out: ValueError: not to be told"]
    assert [row["parameters"] for row in metadata["modules"]] == [20, 20, 0]
    assert analyze(path).time.passes == 1


def test_a_capture_without_a_call_says_so(tmp_path: Path) -> None:
    with capture(Toy(), tmp_path / "t.json.gz"):
        pass
    notes = read_trace(tmp_path / "t.json.gz").metadata["notes"]
    assert notes == [
        "no call of the model itself was recorded: it ran within a compiled function, or not at all"
    ]


def test_the_model_is_free_afterwards(tmp_path: Path) -> None:
    model = Toy()
    gone = weakref.ref(model)
    with capture(model, tmp_path / "t.json.gz"):
        model(X)
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_threads_that_share_a_model_each_have_their_scopes(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    with torch.no_grad(), capture(model, path):
        threads = [threading.Thread(target=lambda: [model(X) for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = read_trace(path).content["traceEvents"]
    by_thread: dict[Any, list[Scope]] = {}
    for event in events:
        if event.get("ph") == "X" and event["name"].startswith("tracekit:"):
            _, key, rest = event["name"].split(":")
            start = int(event["ts"] * 1000)
            scope = Scope(key, rest, start, start + int(event["dur"] * 1000))
            by_thread.setdefault(event["tid"], []).append(scope)
    assert len(by_thread) == 4
    for scopes in by_thread.values():
        assert Counter(scope.rest for scope in scopes) == {"": 20, "first": 20, "again": 40}
        roots = [scope for scope in scopes if scope.rest == ""]
        for scope in scopes:
            if scope.rest:
                assert sum(root.encloses(scope) for root in roots) == 1
    report = analyze(path)
    calls = {module.path: module.calls for module in report.modules}
    assert calls == {"": 80, "first": 80, "again": 160}


def test_a_module_that_calls_itself(tmp_path: Path) -> None:
    model, path = Countdown(), tmp_path / "t.json.gz"
    with capture(model, path, warmup=2, steps=1) as c:
        for _ in range(3):
            model(X)
            c.step()
    trace = read_trace(path)
    assert names(trace) == {"": 4, "layer": 1}
    assert trace.metadata["phases"][0]["module_flops"] == {"0": 64, "1": 64}
    report = analyze(path)
    assert report.time.passes == 1
    assert {module.path: module.matrix_flops for module in report.modules} == {"": 64, "layer": 64}


def test_an_error_may_end_the_capture_of_a_loop_that_has_no_block(tmp_path: Path) -> None:
    model, path = Toy(), tmp_path / "t.json.gz"
    before = attributes(model)
    session = capture(model, path, end_on_error=True).__enter__()
    model(X)
    model.fails = True
    with pytest.raises(ZeroDivisionError):
        model(X)
    model.fails = False
    assert attributes(model) == before
    assert names(read_trace(path)) == {"": 2, "first": 2, "again": 3}
    session.end()  # has ended; once more does no harm


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("all", {"", "0", "0.first", "0.again", "1"}),
        ("leaves", {"", "0.first", "0.again", "1"}),
        ("blocks", {"", "0", "1"}),
        ("0", {""}),
        ("1", {"", "0", "1"}),
        ("2", {"", "0", "0.first", "0.again", "1"}),
    ],
)
def test_scopes_of_chosen_modules(tmp_path: Path, scopes: str, expected: set[str]) -> None:
    model, path = nn.Sequential(Toy(), nn.ReLU()), tmp_path / "t.json.gz"
    with capture(model, path, scopes=scopes):
        model(X)
    trace = read_trace(path)
    assert set(names(trace)) == expected
    assert len(trace.metadata["modules"]) == 5  # the table is the whole model's
    assert {module.path for module in analyze(path).modules} == expected
