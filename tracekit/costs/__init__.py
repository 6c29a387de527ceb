"""What an op costs, from how it was called: matrix FLOPs, vector FLOPs and bytes.

A registry of small formulas, each under its op's name. Which of several nested ops counts is decided by
who knows the nesting; a formula only says whether it is a wrapper.
"""

from tracekit.costs import formulas
from tracekit.costs.extension import load_file, load_packages
from tracekit.costs.formulas.attention_arithmetic import Mask, Sizes, attention_cost
from tracekit.costs.formulas.cached_attention import is_partial
from tracekit.costs.registry import (
    Call,
    Collective,
    Cost,
    UnknownCostError,
    cost_of,
    has_formula,
    is_wrapper,
    register,
    restored,
)

__all__ = [
    "Call",
    "Collective",
    "Cost",
    "Mask",
    "Sizes",
    "UnknownCostError",
    "attention_cost",
    "cost_of",
    "formulas",
    "has_formula",
    "is_partial",
    "is_wrapper",
    "load_file",
    "load_packages",
    "register",
    "restored",
]
