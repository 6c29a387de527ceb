"""Command line of capture: arguments in, one call, exit code out. Imports torch only once they are read."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from tracekit.capture.arguments import parse
from tracekit.capture.errors import CaptureError, one_line
from tracekit.capture.writer import check_destination


def main(argv: list[str] | None = None) -> int:
    """Capture what `argv` asks for; 0, or 2 after one line on stderr."""
    options = parse(argv)
    try:
        print(_capture(options))
    except CaptureError as error:
        print(f"tracekit capture: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tracekit capture: interrupted, nothing was written", file=sys.stderr)
        return 2
    return 0


def _capture(options: argparse.Namespace) -> str:
    """Do it; returns the line that says what was written."""
    options.random_weights |= options.config is not None
    # huggingface_hub reads these when it is imported, which is why they come before the imports below. It
    # announces every retry as a warning; the error at the end says it all.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if options.random_weights:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    path = Path(options.output)
    check_destination(path)
    try:
        import torch
    except (ImportError, OSError) as error:
        raise CaptureError(f"needs torch (pip install torch transformers): {one_line(str(error))}") from error
    from tracekit.capture.build import DTYPES, build_workload, resolve_device
    from tracekit.capture.factory import workload_from_factory
    from tracekit.capture.modes import scenario
    from tracekit.capture.record import Plan, capture_scenario

    device = resolve_device(options.device)
    if options.cuda_graph and device.type != "cuda":
        raise CaptureError("--cuda-graph needs a GPU")
    if options.tf32:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    dtype = DTYPES[options.dtype] if options.dtype else None
    with _Progress() as progress:
        progress("build")
        if options.factory:
            work = workload_from_factory(
                options.factory, name=options.name, dtype=dtype, device=device, inputs_file=options.inputs
            )
        else:
            work = build_workload(
                options.config or options.model,
                is_config_file=options.config is not None,
                random_weights=options.random_weights,
                name=options.name,
                batch_size=options.batch_size,
                sequence_length=options.seq_len,
                dtype=dtype,
                device=device,
                attn_implementation=options.attn_implementation,
                num_layers=options.num_layers,
                quantization=options.quantization,
                device_map=options.device_map,
                inputs_file=options.inputs,
            )
        chosen = scenario(
            work,
            options.mode,
            cache_length=options.cache_len,
            new_tokens=options.new_tokens,
            optimizer=options.optimizer,
        )
        plan = Plan(
            warmup=options.warmup,
            rounds=options.passes,
            scopes=options.scopes,
            compile_mode=options.compile,
            cuda_graph=options.cuda_graph,
            count_flops=options.count_flops,
            memory=options.memory,
            redact=options.redact,
        )
        progress.expect(plan.passes(chosen) + 1)
        metadata = capture_scenario(
            chosen,
            path,
            plan,
            options={key: value for key, value in vars(options).items() if key != "output"},
            on_step=progress,
        )
    return _summary(metadata, path)


def _summary(metadata: dict[str, Any], path: Path) -> str:
    phases = metadata["phases"]
    times = ", ".join(
        f"{phase['name'] + ' ' if len(phases) > 1 else ''}"
        f"{statistics.median(phase['latencies_us']) / 1e3:.3f} ms"
        for phase in phases
    )
    return (
        f"{path}: {path.stat().st_size / 2**20:.1f} MiB, {metadata['passes']} passes of "
        f"{metadata['model']['name']} ({metadata['model']['class']}, {metadata['dtype']}) on "
        f"{metadata['device']['name']}, {times} each without the profiler"
    )


class _Progress:
    """A progress line on a terminal, if tqdm is installed; called before every step."""

    def __init__(self) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar: Any = None
        else:
            # disable=None: shown on a terminal only.
            self._bar = tqdm(
                total=1, disable=None, leave=False, bar_format="{desc} {bar} {n_fmt}/{total_fmt}"
            )

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def expect(self, steps: int) -> None:
        """How many more calls there will be."""
        if self._bar is not None:
            self._bar.total = self._bar.n + steps

    def __call__(self, phase: str) -> None:
        if self._bar is not None:
            self._bar.set_description(f"capture: {phase}", refresh=False)
            self._bar.update()
            self._bar.refresh()
