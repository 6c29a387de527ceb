"""Command line of capture: arguments in, one call, exit code out. Imports torch only once they are read."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from tracekit.capture.errors import CaptureError, one_line
from tracekit.capture.writer import check_destination

_DTYPES = ("bfloat16", "float16", "float32", "float64", "bf16", "fp16", "fp32")


def main(argv: list[str] | None = None) -> int:
    """Capture what `argv` asks for; 0, or 2 after one line on stderr, or 130 after Ctrl-C."""
    options = _parser().parse_args(argv)
    try:
        print(_capture(options))
    except CaptureError as error:
        print(f"tracekit capture: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tracekit capture: interrupted, nothing was written", file=sys.stderr)
        return 130
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
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        raise CaptureError(f"needs torch (pip install torch transformers): {one_line(str(error))}") from error
    from tracekit.capture.build import DTYPES, build_workload, resolve_device
    from tracekit.capture.record import capture_forward

    with _progress(total=1 + 2 * options.passes + options.warmup + (options.warmup > 0) + 1) as on_step:
        on_step("build")
        work = build_workload(
            options.config or options.model,
            is_config_file=options.config is not None,
            random_weights=options.random_weights,
            name=options.name,
            batch_size=options.batch_size,
            sequence_length=options.seq_len,
            dtype=DTYPES[options.dtype] if options.dtype else None,
            device=resolve_device(options.device),
        )
        metadata = capture_forward(
            work,
            path,
            warmup=options.warmup,
            passes=options.passes,
            options={key: value for key, value in vars(options).items() if key != "output"},
            on_step=on_step,
        )
    return _summary(metadata, path)


def _summary(metadata: dict[str, Any], path: Path) -> str:
    latency_ms = statistics.median(metadata["latencies_us"]) / 1e3
    return (
        f"{path}: {path.stat().st_size / 2**20:.1f} MiB, {metadata['passes']} passes of "
        f"{metadata['model']['name']} ({metadata['model']['class']}, {metadata['dtype']}) on "
        f"{metadata['device']['name']}, {latency_ms:.3f} ms each without the profiler"
    )


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A progress line on a terminal, if tqdm is installed; yields what is called before every step."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda phase: None
        return
    # disable=None: shown on a terminal only.
    with tqdm(total=total, disable=None, leave=False, bar_format="{desc} {bar} {n_fmt}/{total_fmt}") as bar:

        def announce(phase: str) -> None:
            bar.set_description(f"capture: {phase}", refresh=False)
            bar.update()
            bar.refresh()

        yield announce


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, like every other error of a user's."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def _parser() -> _Parser:
    parser = _Parser(
        prog="tracekit capture",
        description="Run forward passes of a model under the profiler and write them as one trace file.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="NAME_OR_DIR", help="a model that transformers can load")
    source.add_argument("--config", metavar="CONFIG.json", help="a configuration; implies --random-weights")
    parser.add_argument(
        "--random-weights", action="store_true", help="take only the configuration of --model"
    )
    parser.add_argument("--name", help="the model's name in the trace (default: the one it was given by)")
    parser.add_argument("--batch-size", type=_at_least(1), default=1, metavar="N", help="default: 1")
    parser.add_argument("--seq-len", type=_at_least(1), default=128, metavar="N", help="default: 128 tokens")
    parser.add_argument("--dtype", choices=_DTYPES, help="default: the configuration's, else float32")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: the GPU if there is one)")
    parser.add_argument("--warmup", type=_at_least(0), default=3, metavar="N", help="unrecorded passes (3)")
    parser.add_argument("--passes", type=_at_least(1), default=5, metavar="N", help="recorded passes (5)")
    parser.add_argument("-o", "--output", required=True, metavar="TRACE.json.gz", help="the file to write")
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return value

    number.__name__ = "number"  # argparse calls it so when `text` is none
    return number
