"""Command line of capture: arguments in, one call, exit code out. Imports torch only once they are read."""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracekit.capture.arguments import parse
from tracekit.capture.errors import CaptureError, failures_named, named, one_line
from tracekit.capture.writer import check_destination


def run(argv: list[str] | None = None) -> int:
    """`main` as a program of its own: whatever asks it to end is an interruption, and cleans up."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    code = main(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that comes while Python ends would have the last word
    return code


def main(argv: list[str] | None = None) -> int:
    """Capture what `argv` asks for; 0, or 2 after one line on stderr."""
    options = parse(argv)
    try:
        _say(_capture(options))
    except CaptureError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted, nothing was written")
    except MemoryError:
        return _fail("out of memory")
    except Exception as error:
        if os.environ.get("TRACEKIT_DEBUG"):
            raise
        return _fail(f"internal error, please report it ({named(error)}); TRACEKIT_DEBUG=1 shows where")
    return 0


def _fail(text: str) -> int:
    print(f"tracekit capture: {' '.join(text.split())}", file=sys.stderr)
    return 2


def _say(line: str) -> None:
    """Print what was written; that it is written does not depend on anybody's hearing it."""
    try:
        encoding = sys.stdout.encoding or "utf-8"
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            sys.stdout.close()  # lest Python tries once more at its end


def _capture(options: argparse.Namespace) -> str:
    """Do it; returns the line that says what was written."""
    options.random_weights |= options.config is not None
    # huggingface_hub reads these when it is imported, which is why they come before the imports below. It
    # announces every retry as a warning; the error at the end says it all.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if options.random_weights:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # Its own messages would stand beside our one line.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    path = Path(options.output)
    check_destination(path)
    destination = path.absolute()  # a factory may change the directory
    try:
        import torch
    except (ImportError, OSError) as error:
        raise CaptureError(f"needs torch (pip install torch transformers): {one_line(str(error))}") from error
    from tracekit.capture.build import resolve_device
    from tracekit.capture.record import Plan, capture_scenario

    device = resolve_device(options.device)
    if options.cuda_graph and device.type != "cuda":
        raise CaptureError("--cuda-graph needs a GPU")
    if options.tf32:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    with _Progress() as progress:
        progress("build")
        with failures_named("preparing the model and its inputs"):
            chosen = _scenario(options, device)
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
            destination,
            plan,
            options={key: value for key, value in vars(options).items() if key != "output"},
            on_step=progress,
        )
    return _summary(metadata, path, destination.stat().st_size)


def _scenario(options: argparse.Namespace, device: Any) -> Any:
    """The workload that the options describe, in their mode."""
    from tracekit.capture.build import DTYPES, build_workload
    from tracekit.capture.factory import workload_from_factory
    from tracekit.capture.modes import scenario

    dtype = DTYPES[options.dtype] if options.dtype else None
    if options.factory is not None:
        work = workload_from_factory(
            options.factory, name=options.name, dtype=dtype, device=device, inputs_file=options.inputs
        )
    else:
        work = build_workload(
            options.model if options.config is None else options.config,
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
    return scenario(
        work,
        options.mode,
        cache_length=options.cache_len,
        new_tokens=options.new_tokens,
        optimizer=options.optimizer,
    )


def _summary(metadata: dict[str, Any], path: Path, size_bytes: int) -> str:
    phases = metadata["phases"]
    times = ", ".join(
        f"{phase['name'] + ' ' if len(phases) > 1 else ''}"
        f"{statistics.median(phase['latencies_us']) / 1e3:.3f} ms"
        for phase in phases
    )
    return (
        f"{path}: {size_bytes / 2**20:.1f} MiB, {metadata['passes']} passes of "
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
