"""What an op costs, from how it was called: matrix FLOPs, vector FLOPs and bytes.

A registry of small formulas, each under its op's name. Which of several nested ops counts is decided by
who knows the nesting; a formula only says whether it is a wrapper.
"""

from tracekit.costs import (
    attention,
    convolution,
    elementwise,
    foreach,
    generation,
    indexing,
    losses,
    matmul,
    movement,
    normalization,
    pooling,
    recurrent_nn,
    reductions,
)
from tracekit.costs.registry import Call, Collective, Cost, UnknownCostError, cost_of, is_wrapper, register

__all__ = [
    "Call",
    "Collective",
    "Cost",
    "UnknownCostError",
    "attention",
    "convolution",
    "cost_of",
    "elementwise",
    "foreach",
    "generation",
    "indexing",
    "is_wrapper",
    "losses",
    "matmul",
    "movement",
    "normalization",
    "pooling",
    "recurrent_nn",
    "reductions",
    "register",
]
