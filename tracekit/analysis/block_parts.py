"""Parts of blocks: attention, FFN, experts, Mamba, convolution, norms, and what of a block is in none.

A part is what is called in a call of the block: a module that several blocks share counts in each for what
it did there, and what a checkpoint runs again alone is in no block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from tracekit.analysis.module_totals import ModuleTotals
from tracekit.analysis.per_pass import PerPass, over_cells
from tracekit.analysis.work import ModuleWork, Work
from tracekit.attribution import NOBODY, Attribution, Block, Floats, Mask, is_within_same, nearest, sum_by
from tracekit.trace import Ints

PARTS = ("attention", "linear_attention", "mamba", "convolution", "mlp", "moe", "norm", "residual")
RESIDUAL = PARTS.index("residual")
# The groups that the predecessor's report knows, and the mixers that it did not.
GROUPS = {
    "attention": ("attention",),
    "ffn": ("mlp", "moe"),
    "mixer": ("mamba", "linear_attention", "convolution"),
}


@dataclass(frozen=True)
class BlockParts:
    """[block, part]; `residual` is the block without its other parts. Times in ns."""

    calls: Ints
    gpu_time: Ints
    cpu_time: Ints
    matrix: Ints
    launched_matrix: Ints
    work: Work
    gpu_time_per_pass: PerPass  # a row per part of the first block, then of the second …
    cpu_time_per_pass: PerPass
    matrix_per_pass: PerPass
    bound_per_pass: PerPass
    bounded_time_per_pass: PerPass

    def of_passes(self, passes: Mask) -> BlockParts:
        """With the columns per pass of some passes only."""
        names = [field.name for field in fields(self) if field.name.endswith("_per_pass")]
        return replace(self, **{name: getattr(self, name).of_passes(passes) for name in names})

    def times_per_pass(self, block: int) -> list[tuple[str, float, float]]:
        """Each part with its GPU and CPU time per pass, medians in µs; nothing where there are no passes."""
        if not self.gpu_time_per_pass.passes:
            return []
        own = slice(block * len(PARTS), (block + 1) * len(PARTS))
        gpu, cpu = self._gpu_medians_us[own], self._cpu_medians_us[own]
        called = np.flatnonzero(self.calls[block]).tolist()
        return [(PARTS[part], gpu[part] or 0.0, cpu[part] or 0.0) for part in called]

    def groups(self, block: int) -> dict[str, int]:
        """Matrix FLOPs over the whole trace by group."""
        return {
            name: sum(int(self.matrix[block, PARTS.index(p)]) for p in own) for name, own in GROUPS.items()
        }

    def groups_per_pass(self, block: int) -> dict[str, int]:
        """Matrix FLOPs per pass by group, medians; 0 where there are no passes."""
        medians = self._matrix_medians[block * len(PARTS) : (block + 1) * len(PARTS)]
        return {name: sum(round(medians[PARTS.index(p)] or 0) for p in own) for name, own in GROUPS.items()}

    @cached_property
    def _gpu_medians_us(self) -> list[float | None]:
        return self.gpu_time_per_pass.medians_us()

    @cached_property
    def _cpu_medians_us(self) -> list[float | None]:
        return self.cpu_time_per_pass.medians_us()

    @cached_property
    def _matrix_medians(self) -> list[float | None]:
        return self.matrix_per_pass.medians()


def parts_of_blocks(
    attribution: Attribution, totals: ModuleTotals, work: ModuleWork, blocks: Sequence[Block]
) -> BlockParts:
    """The parts of `blocks`, by the order of these."""
    tree, module = attribution.tree, attribution.tree.module
    number_of = np.full(len(tree.modules) + 1, NOBODY, np.int64)
    part_of = np.full(len(tree.modules), NOBODY, np.int64)
    remainder = np.full(len(blocks), RESIDUAL, np.int64)
    for number, block in enumerate(blocks):
        number_of[block.module] = number
        for index, part in block.parts.items():
            part_of[index] = PARTS.index(part)
        if set(block.parts.values()) <= {"norm"} and block.kind in PARTS:
            remainder[number] = PARTS.index(block.kind)  # the block is itself the part
    is_block, is_part = number_of[module] != NOBODY, part_of[module] != NOBODY
    parent = tree.nesting.parent
    above = np.append(nearest(is_block | is_part, parent), NOBODY)[parent]
    # The outermost part within the innermost block counts. What a block calls of another one is in both.
    is_top_block = is_block & ~is_within_same(module, parent)
    is_top_part = is_part & ~is_block & (above != NOBODY)
    is_top_part[is_top_part] = is_top_block[above[is_top_part]]
    shape, passes = (len(blocks), len(PARTS)), len(attribution.passes)
    at = np.flatnonzero(is_top_part)
    cell_of_part = number_of[module[above[at]]] * len(PARTS) + part_of[module[at]]
    whole = np.flatnonzero(is_top_block)
    remainder_cell = np.arange(len(blocks)) * len(PARTS) + remainder
    cell_of_block = remainder_cell[number_of[module[whole]]]
    rows = np.concatenate((whole, at, at))
    cells = np.concatenate((cell_of_block, cell_of_part, remainder_cell[cell_of_part // len(PARTS)]))
    signs = np.concatenate((np.ones(len(whole) + len(at)), -np.ones(len(at))))
    size = shape[0] * shape[1]

    def per_cell(values: Ints | Floats) -> Floats:
        return sum_by(cells, signs * values[rows], size).reshape(shape)

    by_pass = over_cells(cells, attribution.scope_pass[rows], size, passes)

    def per_cell_and_pass(values: Ints | Floats) -> PerPass:
        return by_pass(signs * values[rows])

    def counts(values: Ints) -> Ints:
        return np.asarray(per_cell(values).round(), np.int64)

    launched = np.where(totals.scope_gpu_events > 0, totals.scope_matrix, 0)
    calls = np.bincount(cells[signs > 0], minlength=size).reshape(shape)
    return BlockParts(
        calls=calls,
        gpu_time=counts(totals.scope_gpu_time),
        cpu_time=counts(tree.scopes.end - tree.scopes.start),
        matrix=counts(totals.scope_matrix),
        launched_matrix=counts(launched),
        work=work.scopes.each(per_cell),
        gpu_time_per_pass=per_cell_and_pass(totals.scope_gpu_time),
        cpu_time_per_pass=per_cell_and_pass(tree.scopes.end - tree.scopes.start),
        matrix_per_pass=per_cell_and_pass(totals.scope_matrix),
        bound_per_pass=per_cell_and_pass(work.scopes.bound),
        bounded_time_per_pass=per_cell_and_pass(work.scopes.bounded_time),
    )
