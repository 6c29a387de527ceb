"""What all of a report is made of."""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, frozen=True):
    """Base of everything in a report: immutable."""
