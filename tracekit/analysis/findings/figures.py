"""Numbers as findings write them; units stand in the messages, which are translated."""

from __future__ import annotations


def ms(us: float) -> str:
    """Three digits of a time in ms."""
    return f"{us / 1000:.3g}" if us < 1e6 else f"{us / 1000:.0f}"


def number(value: float) -> str:
    """A count, which per pass need not be whole."""
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"


def percent(share: float) -> str:
    return f"{share * 100:.2g}" if share < 0.995 else f"{share * 100:.0f}"


def megabytes(size: float) -> str:
    return number(size / 1e6) if size >= 1e6 else f"{size / 1e6:.2g}"
