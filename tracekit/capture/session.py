"""Session: `capture(model, path)` around somebody's own loop.

Puts the scopes on, runs the profiler over a window of steps, takes everything off again and writes the
trace, also when the loop ends with an exception: then of what ran until there.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from tracekit.capture.counting import Counts, counting
from tracekit.capture.errors import CaptureError, failures_named, one_line
from tracekit.capture.memory import allocator_peak
from tracekit.capture.metadata import describe, phase_row
from tracekit.capture.passes import Clock, Recorder, step_range, synchronize
from tracekit.capture.scopes import chosen_modules, module_scopes
from tracekit.capture.telemetry import gpu_states
from tracekit.capture.writer import check_destination, write_trace

_TIME_TO_LEAVE_S = 0.1


class Capture:
    """The capture of a loop, as a context manager; `step()` ends a step of the loop."""

    def __init__(self, path: Path, steps: Callable[[Capture], Generator[None, None, None]]) -> None:
        self._path = path
        self._steps: Generator[None, None, None] | None = steps(self)
        self._has_begun = False
        self.is_recording = False
        """Whether the profiler is on: not yet during warm-up, no longer after the last step."""
        self.metadata: dict[str, Any] | None = None
        """What went into the file beside the trace (before anything was redacted), once it is written."""

    def __enter__(self) -> Capture:
        if self._has_begun:
            raise CaptureError(f"{self._path}: this capture was used before: call capture() for another")
        self._has_begun = True
        self._go_on()
        return self

    def step(self) -> None:
        """End one step of the loop and begin the next; does nothing once the file is written."""
        self._go_on()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """End the capture, if it has not ended, as the `with` block's end does; `error` is not raised here.

        Raises:
            CaptureError: the loop ended without an error within the warm-up, or nothing could be written.
        """
        steps, self._steps = self._steps, None
        if steps is None:
            return
        try:
            steps.throw(_LoopEnded() if error is None else _LoopFailed(error))
        except (StopIteration, _LoopFailed):
            return
        except _LoopEnded:
            raise CaptureError(
                f"{self._path}: not written, the loop ended within the warm-up: "
                "call step() at the end of each step, or warm up less"
            ) from None

    def _go_on(self) -> None:
        if self._steps is None:
            return
        try:
            next(self._steps)
        except StopIteration:
            self._steps = None
        except BaseException:
            self._steps = None
            raise


def end_of_training(session: Capture) -> None:
    """End a trainer's capture with the training, which has gone well: what is missing is a warning."""
    try:
        session.end()
    except CaptureError as error:
        warnings.warn(f"tracekit: {error}", stacklevel=3)


class _LoopEnded(BaseException):
    """Thrown into the generator of steps where the `with` block ends without an error."""


class _LoopFailed(BaseException):
    """The same where it ends with one. (Thrown itself, a `StopIteration` would become another.)"""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def capture(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    warmup: int = 0,
    steps: int | None = None,
    scopes: str = "all",
    count_flops: bool = True,
    with_stack: bool = False,
    redact: bool = False,
    end_on_error: bool = False,
) -> Capture:
    """Capture what happens to `model` inside a `with` block into the trace file `path` (`….json.gz`).

        with capture(model, "trace.json.gz", warmup=3, steps=2) as c:
            for batch in loader:
                train(model, batch)
                c.step()

    Without `step()`, everything inside is recorded. With it, the first `warmup` steps are not: the first
    of them counts the matrix FLOPs of every module (`count_flops`; it runs slowly), the ones between it
    and the last are timed without the profiler, and in the last the tracing of the GPU is switched on. So
    3 is the least that measures everything. After `steps` recorded steps (None: all) the file is written.
    `scopes` chooses modules (see `chosen_modules`), `redact` leaves out what identifies machine and model.
    `end_on_error` ends the capture where a forward of the model raises, for loops without a `with` block.

    The model is afterwards as it was, also after an error inside, which leaves a trace of what ran.

    Raises:
        CaptureError: nothing can be written at `path`, this torch cannot trace the GPU, the model is being
            captured already, or the block ended within the warm-up.
    """
    destination = Path(path)
    check_destination(destination)
    chosen_modules(model, scopes)
    if warmup < 0 or (steps is not None and steps < 1):
        raise CaptureError("warmup must be at least 0, and steps at least 1")
    device = _device_of(model)

    def loop(session: Capture) -> Generator[None, None, None]:
        counts: Counts | None = None
        error: BaseException | None = None
        completed = 0  # recorded steps that step() has ended
        on_error = session.end if end_on_error else None
        recorder = Recorder(device.type == "cuda", with_stack=with_stack, all_threads=True)
        latencies = _Latencies(device)
        before = gpu_states(device)
        try:
            with allocator_peak(device) as memory:
                for number in range(warmup):
                    if number == warmup - 1:
                        recorder.prepare()
                    if number == 0 and count_flops:
                        with counting(model, on_error=on_error) as counts:
                            yield
                    elif 0 < number < warmup - 1:
                        with latencies.of_step(model, on_error):
                            yield
                    else:
                        with _watched(model, on_error):
                            yield
            synchronize(device)
            recorder.start()  # before the scopes: a range that another thread has open then would break it
            with module_scopes(model, which=scopes, on_error=on_error) as scoped:
                session.is_recording = True
                try:
                    for number in count() if steps is None else range(steps):
                        with step_range(number):
                            yield
                        recorder.check()
                        completed = number + 1
                    synchronize(device)
                except _LoopEnded:
                    synchronize(device)
                    if warmup and not completed and not any(scoped.called):
                        raise  # it ended with the last step of the warm-up
                except _LoopFailed as failure:
                    error = failure.error
            _let_others_leave()
        finally:
            session.is_recording = False
            recorder.stop()
        notes = (
            []
            if scoped.called[0]
            else [
                "no call of the model itself was recorded: it ran within a compiled function, or not at all"
            ]
        )
        if counts is not None:
            counts = counts.renumbered([module for _, module in scoped.modules])
            if counts.failure:
                notes.append(f"FLOPs were not counted: {counts.failure}")
        try:
            with failures_named(f"describing {type(model).__name__}"):
                metadata = describe(
                    model,
                    name=name or type(model).__name__,
                    mode="loop",
                    device=device,
                    phases=latencies.phases(counts),
                    step_latencies_us=latencies.steps_us,
                    scoped=scoped,
                    counts=counts,
                    memory=memory,
                    telemetry={"before": before, "after": gpu_states(device)},
                    error=None if error is None else f"{type(error).__name__}: {one_line(str(error))}",
                    warmup=warmup,
                    steps=completed,
                    options={"scopes": scopes, "warmup": warmup, "steps": steps, "with_stack": with_stack},
                    notes=notes,
                )
            write_trace(recorder.profiler.export_chrome_trace, metadata, destination, redact=redact)
        except CaptureError as failure:
            if error is None:
                raise
            warnings.warn(f"tracekit: no trace of what ran before the error: {failure}", stacklevel=4)
        else:
            session.metadata = metadata

    return Capture(destination, loop)


@contextmanager
def _watched(model: nn.Module, on_error: Callable[[BaseException], object] | None) -> Iterator[None]:
    """Tells `on_error`, if there is one, what a call of the model raises."""
    if on_error is None:
        yield
        return
    with module_scopes(model, which="0", open_range=lambda _: nullcontext(), on_error=on_error):
        yield


def _let_others_leave() -> None:
    """Time for other threads to leave the ranges that they are in: torch loses its head over open ones."""
    if threading.active_count() > 1:
        time.sleep(_TIME_TO_LEAVE_S)


class _Latencies:
    """Times steps, and calls of the model in them, without the profiler."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.steps_us: list[float] = []
        self._calls_us: list[list[float]] = []  # of each step

    @contextmanager
    def of_step(self, model: nn.Module, on_error: Callable[[BaseException], object] | None) -> Iterator[None]:
        calls: list[Clock] = []
        depth = 0

        @contextmanager
        def timed(_: int) -> Iterator[None]:
            nonlocal depth
            depth += 1
            clock = Clock(self._device)
            clock.mark()
            try:
                yield
            finally:
                depth -= 1
                clock.mark()
                if not depth:  # a call within a call is part of it
                    calls.append(clock)

        synchronize(self._device)
        with module_scopes(model, which="0", open_range=timed, on_error=on_error):
            clock = Clock(self._device)
            clock.mark()
            yield
            clock.mark()
        try:
            of_calls = [lap for call in calls for lap in call.laps_us()]
            of_step = clock.laps_us()
        except RuntimeError:  # the loop captures a CUDA graph, and the events in it are no moments
            return
        self.steps_us += of_step
        self._calls_us.append(of_calls)

    def phases(self, counts: Counts | None) -> list[dict[str, Any]]:
        """The metadata's `phases`: one, of forwards, where every step calls the model once."""
        if any(len(calls) != 1 for calls in self._calls_us) or (counts and counts.calls.get(0) != 1):
            return []
        latencies = [lap for calls in self._calls_us for lap in calls]
        flops = None if counts is None or counts.failure else counts.flops
        return [phase_row("forward", latencies_us=latencies, flops=flops)]


def _device_of(model: nn.Module) -> torch.device:
    """The first GPU that holds anything of the model, else the CPU; of an empty model, the GPU if any."""
    devices = [tensor.device for tensor in (*model.parameters(), *model.buffers())]
    on_gpu = [device for device in devices if device.type == "cuda"]
    if on_gpu:
        return on_gpu[0]
    is_there = any(device.type != "meta" for device in devices)
    return torch.device("cuda", 0) if not is_there and torch.cuda.is_available() else torch.device("cpu")
