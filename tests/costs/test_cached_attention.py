"""Attention over an engine's cache: no FLOPs, and the bytes that are certain, against arithmetic on paper."""

from __future__ import annotations

from typing import Any

import pytest

from tests.costs.calls import BF16, FP32, INT32, UINT8, known, tensor
from tracekit.costs import is_partial, is_wrapper

# 3 sequences at their next token, 8 heads over 2, 32 per head: queries, outputs, a new key and value each
ONE = 2 * (2 * 3 * 8 * 32 + 2 * 3 * 2 * 32)
DECODE, KEY_PAGES = tensor(3, 8, 32), tensor(1000, 2, 4, 16, 8)
VALUE_PAGES = tensor(1000, 2, 32, 16)
MLA_Q, LATENTS = tensor(3, 16, 576), tensor(1000, 64, 576)


@pytest.mark.parametrize(
    ("op", "arguments", "moved"),
    [
        ("_C::paged_attention_v1", [DECODE, DECODE, KEY_PAGES, VALUE_PAGES, 2, 0.1], ONE),
        (
            "_C::paged_attention_v2",
            [DECODE, None, None, None, DECODE, KEY_PAGES, VALUE_PAGES, 2, 0.1],
            ONE,
        ),
        ("aiter::pa_fwd_asm", [DECODE, KEY_PAGES, VALUE_PAGES, tensor(3, 10, dtype=INT32)], ONE),
        # one head of keys at least
        (
            "aiter::paged_attention_ragged",
            [
                DECODE,
                tensor(9, dtype=UINT8),
                DECODE,
                tensor(1000, 1, 2, 32),
                tensor(1000, 1, 2, 32),
            ],
            2 * (2 * 3 * 8 * 32 + 2 * 3 * 32),
        ),
        (
            "_C::sm100_cutlass_mla_decode",
            [tensor(3, 16, 512), tensor(3, 16, dtype=FP32), tensor(3, 16, 512), tensor(3, 16, 64), LATENTS],
            2 * (3 * 16 * (512 + 512 + 64) + 3 * 576) + 4 * 48,
        ),
        (
            "sgl_kernel::cutlass_mla_decode",
            [tensor(3, 16, 512), tensor(3, 16, 512), tensor(3, 16, 64), LATENTS],
            2 * (3 * 16 * (512 + 512 + 64) + 3 * 576),
        ),
        (
            "sgl_kernel::fwd_kvcache_mla",
            [tensor(3, 1, 16, 576), tensor(1000, 64, 1, 576), 512, tensor(3, dtype=INT32)],
            2 * (3 * 16 * (576 + 512) + 3 * 576) + 4 * 48,
        ),
        ("aiter::mla_decode_stage1_asm_fwd", [MLA_Q, tensor(1000, 1, 1, 576)], 2 * (3 * 16 * 576 + 3 * 576)),
        (
            "vllm::unified_attention_with_output",
            [tensor(9, 8, 32), tensor(9, 2, 32), tensor(9, 2, 32), tensor(9, 8, 32), "layer"],
            2 * 9 * (8 + 2 + 2 + 8) * 32,
        ),
        (
            "vllm::unified_attention",
            [tensor(9, 8, 32), tensor(9, 2, 32), tensor(9, 2, 32), "layer"],
            2 * 9 * (8 + 2 + 2 + 8) * 32,
        ),
        (
            "vllm::unified_mla_attention_with_output",
            [tensor(9, 16, 192), tensor(9, 512), tensor(9, 1, 64), tensor(9, 2048), "layer"],
            2 * 9 * (16 * 192 + 512 + 64 + 2048),
        ),
    ],
)
def test_decoding(op: str, arguments: list[Any], moved: int) -> None:
    found = known(op, *arguments)
    assert (found.matrix, found.bytes, found.dtype) == (0, moved, BF16)
    assert is_partial(op, found)


def test_entries_of_engines_count_only_where_nothing_in_them_does() -> None:
    assert is_wrapper("vllm::unified_attention_with_output")
    assert not is_wrapper("_C::paged_attention_v1")
