"""Passes: run rounds of a scenario, to warm up, to time them, or under the profiler.

Knows devices and torch's profiler; knows neither what a pass runs nor where the trace goes.
"""

from __future__ import annotations

import gc
import inspect
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch.profiler import ProfilerActivity

from tracekit.capture.errors import CaptureError
from tracekit.capture.modes import Scenario
from tracekit.capture.scopes import pass_scope

Step = Callable[[str], None]
"""Told of every pass that is about to run, with the name of its phase."""


@dataclass
class Latencies:
    """Durations in µs: of passes by phase, and of whole steps where a step is more than its pass."""

    by_phase: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    steps: list[float] = field(default_factory=list)


@contextmanager
def steady(device: torch.device, *, learns: bool = False) -> Iterator[None]:
    """Inference (or, if it `learns`, training) on `device`, with the garbage collector held back.

    A full collection takes tens of milliseconds in a process with torch and transformers and falls into
    whichever module happens to allocate.
    """
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        with (
            torch.enable_grad() if learns else torch.inference_mode(),
            torch.cuda.device(device) if device.type == "cuda" else nullcontext(),
        ):
            yield
    finally:
        if collects:
            gc.enable()


def warm_up(scenario: Scenario, rounds: int, on_step: Step) -> None:
    for _ in range(rounds):
        for one in scenario.round():
            on_step("warm-up")
            one.run()
            if one.afterwards:
                one.afterwards()
            synchronize(scenario.work.device)


def time_rounds(scenario: Scenario, rounds: int, on_step: Step) -> Latencies:
    """Latency of each pass: between CUDA events on a GPU, by the wall clock on a CPU."""
    device = scenario.work.device
    found = Latencies()
    for _ in range(rounds):
        for one in scenario.round():
            on_step("latency")
            synchronize(device)
            clock = Clock(device)
            clock.mark()
            one.run()
            clock.mark()
            if one.afterwards:
                one.afterwards()
                clock.mark()
            laps = clock.laps_us()
            found.by_phase[one.phase].append(laps[0])
            if one.afterwards:
                found.steps.append(sum(laps))
    return found


class Clock:
    """Marks moments on `device`; the laps between them are read at the end, when all has run."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._on_gpu = device.type == "cuda"
        self._marks: list[Any] = []

    def mark(self) -> None:
        if self._on_gpu:
            new_event: Callable[..., Any] = torch.cuda.Event
            with torch.cuda.device(self._device):  # an event is of the current device
                event = new_event(enable_timing=True)
                event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter_ns())

    def laps_us(self) -> list[float]:
        pairs = list(zip(self._marks, self._marks[1:], strict=False))
        if self._on_gpu:
            if self._marks:
                self._marks[-1].synchronize()
            return [start.elapsed_time(end) * 1e3 for start, end in pairs]
        return [(end - start) / 1e3 for start, end in pairs]


class Recorder:
    """torch's profiler, with shapes, in the two steps that tracing a GPU has: prepared, then started.

    `all_threads`: also of threads that do not descend from the one that starts it. `memory`: with what is
    allocated and freed.

    Raises:
        CaptureError: this torch cannot trace the GPU, or another profiler or recorder is at work. A recorder
            is, from when it is made until it is stopped.
    """

    _current: ClassVar[Recorder | None] = None

    def __init__(
        self, on_gpu: bool, *, memory: bool = False, with_stack: bool = False, all_threads: bool = False
    ) -> None:
        supported_activities: Callable[[], Any] = torch.profiler.supported_activities
        activities = [ProfilerActivity.CPU]
        if on_gpu:
            activities.append(ProfilerActivity.CUDA)
            if ProfilerActivity.CUDA not in supported_activities():
                raise CaptureError("this build of torch cannot trace a GPU (no CUPTI or roctracer in it)")
        self.profiler = torch.profiler.profile(
            activities=activities,
            record_shapes=True,
            with_stack=with_stack,
            profile_memory=memory,
            experimental_config=_all_threads() if all_threads else None,
            **_WITHOUT_WARNING,
        )
        self._state = "new"
        if Recorder._current is not None or _a_profiler_runs():
            raise CaptureError(
                "another profiler or another capture is at work in this process: one at a time, please"
            )
        Recorder._current = self

    def prepare(self) -> None:
        """Switch the tracing of the GPU on; nothing is recorded yet."""
        if self._state == "new":
            self._refuse_others()
            self.profiler.prepare_trace()
            self._state = "prepared"

    def start(self) -> None:
        self.prepare()
        self._refuse_others()
        self.profiler.start_trace()
        self._state = "started"

    def stop(self) -> None:
        """Stop recording; harmless when nothing is, or no longer.

        Raises:
            CaptureError: somebody else has stopped it, so there is nothing to be had.
        """
        state, self._state = self._state, "stopped"
        if Recorder._current is self:
            Recorder._current = None
        if state == "prepared":
            self.profiler.start_trace()  # the only way out of a prepared trace
        if state in ("prepared", "started"):
            _insist_on_a_profiler()
            self.profiler.stop_trace()

    def check(self) -> None:
        """To be called between passes.

        Raises:
            CaptureError: somebody else has stopped the profiler; to go on would end the process.
        """
        if self._state == "started":
            _insist_on_a_profiler()

    def _refuse_others(self) -> None:
        # Of two, torch loses one or both, or the process.
        if _a_profiler_runs():
            raise CaptureError("torch's profiler is running already: end it before a capture records")


# torch 2.11 warns of what happens to the events of earlier cycles, of which there are none here.
_WITHOUT_WARNING: dict[str, Any] = (
    {"acc_events": True} if "acc_events" in inspect.signature(torch.profiler.profile).parameters else {}
)


def _insist_on_a_profiler() -> None:
    if not _a_profiler_runs():
        raise CaptureError("the model's own code has used torch's profiler, which ended this one")


def _a_profiler_runs() -> bool:
    # torch keeps count of no more than one: the flag is off as soon as any profiler has ended.
    return bool(getattr(torch.autograd.profiler, "_is_profiler_enabled", False))


def _all_threads() -> Any:
    """The setting that makes torch record every thread; None where this torch has none."""
    try:
        return torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
    except (AttributeError, TypeError):
        return None


def profile_rounds(
    scenario: Scenario,
    rounds: int,
    on_step: Step,
    *,
    settle: bool,
    around_pass: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> tuple[torch.profiler.profile, list[str]]:
    """Run `rounds` rounds under the profiler.

    Returns the stopped profiler, and the phase of each pass by the number in its scope. `settle` runs one
    more round after the GPU's tracing is switched on and before anything is recorded: the first launches
    afterwards pay for that switch. The device is idle at every pass's start and end, and waiting for it
    lies outside the pass's scope. `around_pass` opens one more range inside that.

    Raises:
        CaptureError: this torch cannot trace the GPU.
    """
    device = scenario.work.device
    recorder = Recorder(device.type == "cuda")
    phases: list[str] = []
    try:
        recorder.prepare()
        if settle:
            warm_up(scenario, 1, on_step)
        recorder.start()
        for _ in range(rounds):
            for one in scenario.round():
                on_step("profile")
                synchronize(device)
                number = len(phases)
                phases.append(one.phase)
                with step_range(number) if one.afterwards else nullcontext():
                    with pass_scope(number), around_pass():
                        one.run()
                    if one.afterwards:
                        one.afterwards()
                    synchronize(device)
                recorder.check()
    finally:
        recorder.stop()
    return recorder.profiler, phases


def step_range(number: int) -> AbstractContextManager[Any]:
    """The range `ProfilerStep#<number>`, as torch's own schedule names a step."""
    step: AbstractContextManager[Any] = torch.profiler.record_function(f"ProfilerStep#{number}")
    return step


def synchronize(device: torch.device) -> None:
    """Wait for all GPUs: a sharded model runs on several."""
    if device.type == "cuda":
        for index in range(torch.cuda.device_count()):
            if torch.cuda.device_count() == 1 or index == device.index or _is_used(index):
                torch.cuda.synchronize(index)


def _is_used(index: int) -> bool:
    """Whether this process has memory on the GPU; to ask anything of another would set one up there."""
    return bool(torch.cuda.memory_reserved(index))
