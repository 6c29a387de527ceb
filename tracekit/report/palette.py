"""The colours of pictures and of the page, so that a part of the model looks the same wherever it is drawn.

Okabe and Ito's colours as seaborn's "colorblind" palette has them, but for two that are too pale for white
paper: they are told apart with any kind of colour vision. Grey stands for what has no colour of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

BLUE, ORANGE, GREEN, VERMILION = "#0173b2", "#de8f05", "#029e73", "#d55e00"
PURPLE, SKY, BROWN, OLIVE = "#cc78bc", "#56b4e9", "#ca9161", "#b3a100"
GREY = "#949494"
SERIES = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BROWN, OLIVE)

# What limits, in the words of `limited_by`.
LIMITS = {
    "compute": BLUE,
    "memory": ORANGE,
    "latency": PURPLE,
    "host": VERMILION,
    "network": GREEN,
    "transfer": BROWN,
}

# Parts of a block, in the words of `BlockPart.part`.
PARTS = {
    "attention": BLUE,
    "linear_attention": SKY,
    "mamba": GREEN,
    "convolution": BROWN,
    "mlp": ORANGE,
    "moe": VERMILION,
    "norm": PURPLE,
    "residual": GREY,
}


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each of the first names; grey for what is beyond them."""
    return {name: SERIES[i] if i < len(SERIES) else GREY for i, name in enumerate(dict.fromkeys(names))}
