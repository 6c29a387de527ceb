"""What all renderers share."""

from __future__ import annotations

import pytest

from tracekit.report.view import sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("copy the trace", "Copy the trace"),
        ("copy. Or not", "Copy. Or not"),
        ("ёлка", "Ёлка"),
        ("torch.compile is worth a try", "torch.compile is worth a try"),
        (
            "set_float32_matmul_precision('high') allows TF32",
            "set_float32_matmul_precision('high') allows TF32",
        ),
        ("", ""),
        (" ", " "),
    ],
)
def test_sentences_begin_in_upper_case_but_for_code(text: str, expected: str) -> None:
    assert sentence(text) == expected
