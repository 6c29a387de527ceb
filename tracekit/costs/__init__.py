"""What an op costs, from how it was called: matrix FLOPs, vector FLOPs and bytes.

A registry of small formulas, each under its op's name. Which of several nested ops counts is decided by
who knows the nesting; a formula only says whether it is a wrapper.
"""

from tracekit.costs import attention, convolution, matmul
from tracekit.costs import collectives as collectives
from tracekit.costs import compiled as compiled
from tracekit.costs import fbgemm as fbgemm
from tracekit.costs import fused as fused
from tracekit.costs import linear_attention as linear_attention
from tracekit.costs import scans as scans
from tracekit.costs import serving as serving
from tracekit.costs.registry import Call, Collective, Cost, UnknownCostError, cost_of, is_wrapper, register

__all__ = [
    "Call",
    "Collective",
    "Cost",
    "UnknownCostError",
    "attention",
    "convolution",
    "cost_of",
    "is_wrapper",
    "matmul",
    "register",
]
