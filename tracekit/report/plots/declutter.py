"""Places labels beside dots so that none covers another: first come first, who finds no room stays away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

GAP = 2.0
RINGS = 5
_CROSSING = 15.0  # points that a name goes away rather than have its line go through another name


class Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def holds(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.bottom <= y <= self.top


@dataclass(frozen=True)
class Label:
    """A text of this size that belongs to a dot at `x`, `y`; all in points of the screen."""

    x: float
    y: float
    radius: float
    width: float
    height: float


def place(
    labels: Sequence[Label],
    within: Box,
    taken: Iterable[Box] = (),
    seen: Sequence[tuple[Box, float]] = (),
) -> list[Box | None]:
    """Where each label stands within a box, clear of what is taken; None for one that finds no room.

    `seen`: what should not be covered, with the distance in points that this is worth.
    """
    taken = list(taken)
    found: list[Box | None] = []
    for label in labels:
        best, least = None, float("inf")
        for distance, box in _candidates(label):
            is_inside = within.holds(box.left, box.bottom) and within.holds(box.right, box.top)
            if not is_inside or any(map(box.overlaps, taken)):
                continue
            cost = distance + sum(weight for one, weight in seen if box.overlaps(one))
            cost += _CROSSING * sum(one.holds(*point) for point in _way(label, box) for one in taken)
            if cost < least:
                best, least = box, cost
        found.append(best)
        if best is not None:
            taken.append(best)
    return found


def _candidates(label: Label) -> Iterable[tuple[float, Box]]:
    """Boxes around the dot, with what they cost: beside it first, then above and below, then farther."""
    width, height = label.width, label.height
    right, left = label.x + label.radius + GAP, label.x - label.radius - GAP - width
    middle = label.y - height / 2
    for ring in range(RINGS):
        rise = ring * height
        spots = [
            (right + shift * side, middle + rise * up) if side > 0 else (left - shift, middle + rise * up)
            for shift in (0.0, 25.0, 60.0, 110.0)
            for side in (1, -1)
            for up in (1, -1)
        ]
        above, below = label.y + label.radius + GAP + rise, label.y - label.radius - GAP - rise - height
        spots += [(x, y) for x in (label.x - width / 2, label.x, label.x - width) for y in (above, below)]
        for number, (x, y) in enumerate(spots):
            box = Box(x, y, x + width, y + height)
            yield _distance(label, box) + number * 0.1, box


def nearest(label: Label, box: Box) -> tuple[float, float]:
    """The point of a box that a line from the dot goes to."""
    return min(max(label.x, box.left), box.right), min(max(label.y, box.bottom), box.top)


def _distance(label: Label, box: Box) -> float:
    x, y = nearest(label, box)
    return math.hypot(x - label.x, y - label.y)


def _way(label: Label, box: Box) -> list[tuple[float, float]]:
    """Points of the line from the dot to the label."""
    x, y = nearest(label, box)
    return [(label.x + (x - label.x) * step / 6, label.y + (y - label.y) * step / 6) for step in range(1, 6)]
