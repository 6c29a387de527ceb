"""One capture from beginning to end: count, warm up, time, profile, describe, write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tracekit.capture.counting import Counts, counting
from tracekit.capture.errors import CaptureError, failures_named, one_line
from tracekit.capture.memory import allocations_by_module, allocator_peak
from tracekit.capture.metadata import describe, input_rows, phase_row
from tracekit.capture.modes import Pass, Scenario
from tracekit.capture.passes import Step, profile_rounds, steady, time_rounds, warm_up
from tracekit.capture.scopes import Scoped, module_scope, module_scopes
from tracekit.capture.telemetry import gpu_states
from tracekit.capture.writer import write_trace


@dataclass(frozen=True)
class Plan:
    """How a scenario is captured. Rounds: a pass or, of `generate`, a prompt with its new tokens."""

    warmup: int = 3
    rounds: int = 5
    scopes: str = "all"
    compile_mode: str | None = None  # of torch.compile, "default" for its own default; None: eager
    cuda_graph: bool = False
    count_flops: bool = True
    memory: bool = False
    redact: bool = False

    def passes(self, scenario: Scenario) -> int:
        """How many passes the whole capture runs: the steps of a progress bar."""
        each = scenario.passes_per_round
        counted = sum(phase.passes > 0 for phase in scenario.phases) * self.count_flops
        unrecorded = self.warmup + (self.warmup > 0) + self.memory
        return counted + each * (unrecorded + 2 * self.rounds)


def capture_scenario(
    scenario: Scenario,
    path: Path,
    plan: Plan,
    *,
    options: Mapping[str, object],
    on_step: Step = lambda phase: None,
) -> dict[str, Any]:
    """Capture `scenario` into `path`; returns the metadata that went into the file, before redaction.

    The passes are timed first, without profiler and scopes, and then run again under both.

    Raises:
        CaptureError: a pass fails, or the file cannot be written. No file is left then.
    """
    work = scenario.work
    model, device = work.model, work.device
    notes = list(work.notes)
    counts: dict[str, Counts] | None = None
    module_memory: dict[int, dict[str, int]] | None = None
    with failures_named(f"running {work}"), steady(device, learns=scenario.learns):
        if plan.count_flops:
            try:
                # In inference mode the counter cannot follow parametrized weights.
                with torch.inference_mode(False), torch.set_grad_enabled(scenario.learns):
                    counts = count_round(scenario, on_step)
                failures = [one.failure for one in counts.values() if one.failure]
            except Exception as error:  # what cannot be counted is no reason to have no trace
                failures = [f"{type(error).__name__}: {one_line(str(error))}"]
            if failures:
                notes.append(f"FLOPs were not counted: {failures[0]}")
                counts = None
        if plan.compile_mode is not None:
            compile_model: Callable[..., Any] = model.compile
            compile_model(mode=None if plan.compile_mode == "default" else plan.compile_mode)
        warm_up(scenario, plan.warmup, on_step)
        if plan.memory:
            on_step("memory")
            module_memory = _first_pass_memory(scenario)
        if plan.cuda_graph:
            scenario = graphed(scenario)
        before = gpu_states(device)
        with allocator_peak(device) as memory:
            latencies = time_rounds(scenario, plan.rounds, on_step)
        with _scopes(scenario, plan) as (scoped, around_pass):
            profiler, pass_phases = profile_rounds(
                scenario, plan.rounds, on_step, settle=plan.warmup > 0, around_pass=around_pass
            )
        after = gpu_states(device)
    metadata = describe(
        model,
        name=work.name,
        mode=scenario.mode,
        device=device,
        phases=[
            phase_row(
                phase.name,
                latencies_us=latencies.by_phase[phase.name],
                flops=counts[phase.name].flops if counts and phase.name in counts else None,
                passes=phase.passes * plan.rounds,
                tokens=phase.tokens,
                cache_length=phase.cache_length,
            )
            for phase in scenario.phases
        ],
        scoped=scoped,
        inputs=input_rows(work.args, work.inputs),
        dtype=work.dtype,
        batch_size=work.batch_size,
        sequence_length=work.sequence_length,
        pass_phases=pass_phases,
        step_latencies_us=latencies.steps,
        counts=_together(counts),
        memory=memory,
        module_memory=module_memory,
        telemetry={"before": before, "after": after},
        warmup=plan.warmup,
        options=options,
        cuda_graph=plan.cuda_graph,
        notes=notes,
    )
    on_step("write")
    write_trace(profiler.export_chrome_trace, metadata, path, redact=plan.redact)
    return metadata


def count_round(scenario: Scenario, on_step: Step) -> dict[str, Counts]:
    """Counts of the first pass of each phase."""
    found: dict[str, Counts] = {}
    for one in scenario.round():
        if one.phase not in found:
            on_step("count")
            with counting(scenario.work.model) as counts:
                one.run()
            found[one.phase] = counts
        elif len(found) < len(scenario.phases):
            one.run()
        else:
            break
        if one.afterwards:
            one.afterwards()
    return found


def _first_pass_memory(scenario: Scenario) -> dict[int, dict[str, int]]:
    """What the modules allocate in a round's first pass."""
    one = next(scenario.round())
    with module_scopes(scenario.work.model):
        found = allocations_by_module(one.run, on_gpu=scenario.work.device.type == "cuda")
    if one.afterwards:
        one.afterwards()
    return found


def _together(counts: Mapping[str, Counts] | None) -> Counts | None:
    """What was noticed in any phase."""
    if not counts:
        return None
    used: dict[int, int | None] = {}
    for one in counts.values():
        used |= one.used_without_call
    return Counts(used_without_call=used)


@contextmanager
def _scopes(
    scenario: Scenario, plan: Plan
) -> Iterator[tuple[Scoped, Callable[[], AbstractContextManager[Any]]]]:
    """The scopes of the modules; of a replayed graph, which runs none of their code, the root's alone."""
    model = scenario.work.model
    if plan.cuda_graph:
        modules = tuple(model.named_modules())
        yield Scoped(modules, (0,), (0,), (), bytearray([1])), lambda: module_scope(0, "")
        return
    with module_scopes(model, which=plan.scopes) as scoped:
        yield scoped, nullcontext


def graphed(scenario: Scenario) -> Scenario:
    """The scenario with its one kind of pass captured into a CUDA graph, which is replayed.

    Raises:
        CaptureError: there is no GPU, or passes of several kinds.
    """
    if scenario.work.device.type != "cuda":
        raise CaptureError("--cuda-graph needs a GPU")
    if len(scenario.phases) != 1 or scenario.learns:
        raise CaptureError(
            f"--cuda-graph replays passes of one kind, and --mode {scenario.mode} has more: "
            "use --mode forward, prefill or decode"
        )
    with failures_named("capturing a CUDA graph of the pass (what synchronizes cannot be in one)"):
        first = next(scenario.round())
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            first.run()
        torch.cuda.current_stream().wait_stream(side)
        captured = next(scenario.round())
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured.run()

    def replay() -> Iterator[Pass]:
        # `captured` holds the tensors that the graph reads.
        yield Pass(captured.phase, graph.replay)

    return replace(scenario, round=replay)
