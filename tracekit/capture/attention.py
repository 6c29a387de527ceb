"""Attention: whether a class can have the implementation that is asked for, and which others it can have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tracekit.capture.configuration import transformers_module
from tracekit.capture.errors import CaptureError, one_line

_ABOUT_ATTENTION = re.compile(r"attn|attention|flash|sdpa|flex", re.IGNORECASE)


def check_attention(found_class: Any, attn_implementation: str) -> None:
    """Refuse what transformers has never heard of; a name with a slash is a kernel on the hub.

    Raises:
        CaptureError: with the names of those that the class can use here.
    """
    known = _known_attention()
    if known and attn_implementation not in known and "/" not in attn_implementation:
        raise CaptureError(
            f"--attn-implementation {attn_implementation}: not known; "
            f"{found_class.__name__} can use {', '.join(_usable_attention(found_class))}"
        )


@contextmanager
def attention_errors(found_class: Any, attn_implementation: str | None) -> Iterator[None]:
    """Say of a failure that comes from the wish for an attention what else there is."""
    try:
        yield
    except CaptureError as error:
        text = str(error.__cause__ or error)
        if attn_implementation is None or not re.search(
            r"attn|attention|flash|sdpa|flex", text, re.IGNORECASE
        ):
            raise
        raise CaptureError(
            f"--attn-implementation {attn_implementation}: {one_line(text)} "
            f"({found_class.__name__} can use {', '.join(_usable_attention(found_class))})"
        ) from error


def _known_attention() -> set[str]:
    modeling = getattr(transformers_module(), "modeling_utils", None)
    functions: Any = getattr(modeling, "ALL_ATTENTION_FUNCTIONS", None)
    return {"eager", *functions.valid_keys()} if hasattr(functions, "valid_keys") else set()


def _usable_attention(found_class: Any) -> list[str]:
    """The implementations that this class supports and that are installed here."""
    utils = transformers_module().utils
    usable = ["eager"]
    for name, flag, check in (
        ("sdpa", "_supports_sdpa", None),
        ("flex_attention", "_supports_flex_attn", None),
        ("flash_attention_2", "_supports_flash_attn", "is_flash_attn_2_available"),
        ("flash_attention_3", "_supports_flash_attn", "is_flash_attn_3_available"),
    ):
        is_installed = check is None or getattr(utils, check, lambda: False)()
        if getattr(found_class, flag, False) and is_installed:
            usable.append(name)
    return usable
