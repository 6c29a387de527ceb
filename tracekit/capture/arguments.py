"""The arguments of `tracekit capture`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

_DTYPES = ("bfloat16", "float16", "float32", "float64", "bf16", "fp16", "fp32")
_MODES = ("forward", "prefill", "decode", "generate", "train")
_COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


# What describes a model that transformers builds, and the inputs that are made up for it.
_NOT_OF_A_FACTORY = (
    *("random_weights", "num_layers", "batch_size", "seq_len"),
    *("attn_implementation", "quantization", "device_map"),
)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The arguments in `argv`; exits with 2 after one line on stderr where they are wrong or contradict."""
    arguments = parser()
    options = arguments.parse_args(argv)
    for name, value in vars(options).items():
        if value == "":  # of a variable that is not set, most likely
            arguments.error(f"--{name.replace('_', '-')} is empty")
    if options.factory is not None:
        for name in _NOT_OF_A_FACTORY:
            if getattr(options, name) not in (None, False):
                flag = "--" + name.replace("_", "-")
                arguments.error(f"{flag} is not for --factory, whose function makes the model and its inputs")
    else:
        options.batch_size = options.batch_size or 1
        options.seq_len = options.seq_len or 128
    return options


def parser() -> argparse.ArgumentParser:
    """The parser; what is wrong with arguments is one line on stderr and exit code 2."""
    parser = _Parser(
        prog="tracekit capture",
        description="Run passes of a model under the profiler and write them, module by module, as one file.",
    )
    _add_model(parser.add_argument_group("what is captured"))
    _add_workload(parser.add_argument_group("what it does"))
    _add_variants(parser.add_argument_group("how it runs"))
    _add_recording(parser.add_argument_group("what is recorded"))
    return parser


def _add_model(group: argparse._ArgumentGroup) -> None:
    source = group.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="NAME_OR_DIR", help="a model that transformers can load")
    source.add_argument("--config", metavar="CONFIG.json", help="a configuration; implies --random-weights")
    source.add_argument(
        "--factory",
        metavar="MODULE:FUNCTION",
        help="any nn.Module: the function returns the model and its inputs",
    )
    group.add_argument("--random-weights", action="store_true", help="take only the configuration of --model")
    group.add_argument("--num-layers", type=_at_least(1), metavar="N", help="shorten the model to N layers")
    group.add_argument("--name", help="the model's name in the trace (default: the one it was given by)")


def _add_workload(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--mode",
        choices=_MODES,
        default="forward",
        help="forward (default); prefill: a prompt into an empty cache; decode: one token after a filled "
        "cache; generate: both; train: forward, backward, optimizer",
    )
    group.add_argument("--batch-size", type=_at_least(1), metavar="N", help="default: 1")
    group.add_argument("--seq-len", type=_at_least(1), metavar="N", help="default: 128 tokens")
    group.add_argument(
        "--cache-len",
        type=_at_least(1),
        metavar="N",
        help="tokens in the cache of decode (the prompt's)",
    )
    group.add_argument(
        "--new-tokens", type=_at_least(1), default=8, metavar="N", help="decode steps of generate (8)"
    )
    group.add_argument(
        "--optimizer", choices=("adamw", "sgd", "none"), default="adamw", help="of train (adamw)"
    )
    group.add_argument(
        "--inputs",
        metavar="FILE",
        help="your own inputs: .pt, .safetensors or .json (default: made up)",
    )


def _add_variants(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dtype", choices=_DTYPES, help="default: the configuration's, else float32")
    group.add_argument("--device", help="cpu, cuda or cuda:N (default: the GPU if there is one)")
    group.add_argument("--device-map", metavar="MAP", help="spread the model over GPUs: auto, or a JSON map")
    group.add_argument("--attn-implementation", metavar="NAME", help="eager, sdpa, flash_attention_2, …")
    group.add_argument(
        "--quantization",
        metavar="METHOD[:KEY=VALUE,…]",
        help="one of transformers' own, such as torchao",
    )
    group.add_argument("--tf32", action="store_true", help="let float32 matrix products use TF32")
    group.add_argument(
        "--compile",
        nargs="?",
        const="default",
        choices=_COMPILE_MODES,
        metavar="MODE",
        help="torch.compile: " + ", ".join(_COMPILE_MODES) + "; the model is one scope then",
    )
    group.add_argument(
        "--cuda-graph", action="store_true", help="replay the pass from a CUDA graph; one scope as well"
    )


def _add_recording(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--warmup", type=_at_least(0), default=3, metavar="N", help="unrecorded passes (3)")
    group.add_argument(
        "--passes", type=_at_least(1), default=5, metavar="N", help="recorded ones (5); of generate: prompts"
    )
    group.add_argument(
        "--scopes",
        default="all",
        metavar="all|blocks|leaves|DEPTH",
        help="which modules are recorded (all)",
    )
    group.add_argument(
        "--memory", action="store_true", help="also the bytes that each module allocates, in one more pass"
    )
    group.add_argument(
        "--no-flop-count",
        dest="count_flops",
        action="store_false",
        help="do without the pass in which torch.utils.flop_counter counts",
    )
    group.add_argument(
        "--redact",
        action="store_true",
        help="leave out host, paths, users and what names the model; rename its modules",
    )
    group.add_argument("-o", "--output", required=True, metavar="TRACE.json.gz", help="the file to write")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, like every other error of a user's."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return value

    number.__name__ = "number"  # argparse calls it so when `text` is none
    return number
