"""What all of a report is made of."""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, frozen=True, gc=False):
    """Base of everything in a report: immutable, so that no row is in a cycle and the collector need not look.

    It would look at millions of rows again and again.
    """
