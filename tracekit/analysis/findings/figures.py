"""Numbers as findings write them; units stand in the messages, which are translated."""

from __future__ import annotations


def ms(us: float) -> str:
    """Three digits of a time in ms."""
    return f"{us / 1000:.3g}" if us < 1e6 else f"{us / 1000:.0f}"
