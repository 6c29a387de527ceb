"""The rule about chains of kernels that a compiler would fuse, since each does little but read and write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tracekit.analysis.findings.evidence import Evidence
from tracekit.analysis.findings.figures import megabytes, ms, number
from tracekit.analysis.findings.operands import Operands, Tensor, operands_of, short_name
from tracekit.analysis.schema import Finding
from tracekit.attribution import NOBODY
from tracekit.messages import N_

# A chain of two is often all that an activation is; the gain decides whether it is worth a word.
SHORTEST_CHAIN = 2
# So many ops that come again are the same work on another tensor; fewer may well be one expression.
SHORTEST_REPETITION = 3
# No kernel fuses more; what follows is a chain of its own.
LONGEST_CHAIN = 128


class Chain(NamedTuple):
    """What fusing a run of kernels saves, in bytes; `joined` are the positions of those that it joins."""

    joined: tuple[int, ...]
    traffic: int  # of the joined ones, as they are
    saved: int


@dataclass
class _Total:
    time: int = 0
    traffic: int = 0
    saved: int = 0
    gain: float = 0.0
    chains: int = 0
    longest: tuple[str, ...] = ()
    scopes: set[int] = field(default_factory=set)


def elementwise_chains(evidence: Evidence, taken: Collection[int] = ()) -> Iterator[Finding]:
    """Pointwise and reducing kernels that a module's own code launches one after the other.

    Each reads and writes memory, where a fused kernel keeps in registers what one makes and the next reads.
    `taken`: positions in `evidence.work` of what another rule has accounted for.
    """
    work = evidence.work
    operands = _per_signature(evidence)
    fuses = evidence.of_work([one is not None for one in operands])
    fuses[list(taken)] = False
    known: dict[bytes, tuple[Chain, ...]] = {}
    totals: dict[int, _Total] = defaultdict(_Total)
    label, scope, gpu_time = (
        column.tolist() for column in (evidence.label_of_scope(work.scope), work.scope, work.gpu_time)
    )
    bandwidth = evidence.device.bandwidth_gbs if evidence.device else None
    for first, last in evidence.runs(fuses & work.in_pass):
        codes = work.signature[first:last]
        key = codes.tobytes()
        if key not in known:
            known[key] = _chains(
                [operands[code] for code in codes.tolist()],
                [evidence.trace.signatures[code].name for code in codes.tolist()],
            )
        for chain in known[key]:
            total = totals[label[first]]
            time = sum(gpu_time[first + position] for position in chain.joined)
            total.time += time
            total.traffic += chain.traffic
            total.saved += chain.saved
            total.chains += 1
            total.scopes.add(scope[first])
            if bandwidth:  # bytes ÷ (GB/s) is ns
                left = (chain.traffic - chain.saved) / bandwidth
                # The fused kernel moves what is left as fast as these kernels move what they do.
                total.gain += max(0.0, min(time * chain.saved / max(1, chain.traffic), time - left))
            if len(chain.joined) > len(total.longest):
                total.longest = tuple(
                    short_name(evidence.trace.signatures[codes[position]].name) for position in chain.joined
                )
    for group, total in totals.items():
        gain = evidence.per_pass_us(total.gain)
        if not bandwidth or not evidence.matters(gain):
            continue
        yield Finding(
            id="kernels.unfused",
            severity=evidence.severity(gain),
            module=evidence.module_of(group, total.scopes),
            evidence=N_(
                "elementwise kernels follow each other for {time} ms "
                "({ops}; chains in a pass: {chains}, modules: {modules}); "
                "fused, they would save {saved} of {traffic} MB of memory traffic",
                ops=" → ".join(total.longest),
                chains=number(total.chains / evidence.passes),
                modules=evidence.modules_in(total.scopes),
                time=ms(evidence.per_pass_us(total.time)),
                saved=megabytes(total.saved / evidence.passes),
                traffic=megabytes(total.traffic / evidence.passes),
            ),
            gain_us=gain,
            advice=N_("a fused kernel reads its inputs once: torch.compile, or a library's fused version"),
        )


def _per_signature(evidence: Evidence) -> list[Operands | None]:
    """Of signatures that occur among what launches; None for others."""
    operands: list[Operands | None] = [None] * len(evidence.trace.signatures)
    for code in np.unique(evidence.work.signature).tolist():
        if code != NOBODY:
            operands[code] = operands_of(evidence.trace.signatures[code])
    return operands


def _chains(run: Sequence[Operands | None], names: Sequence[str]) -> tuple[Chain, ...]:
    """The chains in a run of kernels; where ops repeat (queries, then keys), each repetition is its own."""
    found = []
    start = 0
    while start < len(run):
        size = _before_repetition(names[start : start + LONGEST_CHAIN])
        chain = _chain([one for one in run[start : start + size] if one is not None])
        if len(chain.joined) >= SHORTEST_CHAIN:
            found.append(Chain(tuple(start + at for at in chain.joined), chain.traffic, chain.saved))
        start += size
    return tuple(found)


def _before_repetition(names: Sequence[str]) -> int:
    """How many names there are before they begin anew; all of them where they do not."""
    for size in range(SHORTEST_REPETITION, len(names) // 2 + 1):
        if names[:size] == names[size : 2 * size]:
            return size
    return len(names)


def _chain(run: Sequence[Operands]) -> Chain:
    """What a fused kernel need not move: a tensor that the chain made and that it reads again.

    A trace has no names for tensors. An input counts as made in the chain where an earlier output has its
    shape and type, one that nobody has read yet before one that somebody has; each output is one input of a
    kernel only. Outputs that nobody reads are written, and so is the last. Copies that keep the type, to make
    tensors contiguous, come in flocks: one reads an output that nobody has read, and none of another copy.
    """
    run = [_copied(kernel) for kernel in run]  # types that a trace does not say are filled in
    made: list[tuple[int, Tensor]] = []
    read: set[int] = set()  # positions of kernels whose output a later one reads
    joined: set[int] = set()
    copied: set[int] = set()
    saved = 0
    for position, kernel in enumerate(run):
        taken: set[int] = copied | read if kernel.only_copies else set()
        element = None
        for tensor in kernel.reads:
            fitting = [
                (source, output)
                for source, output in reversed(made)
                if source not in taken
                and output.shape == tensor.shape
                and (output.dtype == tensor.dtype or output.dtype is None or tensor.dtype is None)
            ]
            if not fitting or not tensor.elements:
                element = element or tensor.dtype
                continue
            source, output = next((one for one in fitting if one[0] not in read), fitting[0])
            dtype = output.dtype or tensor.dtype
            output.dtype = tensor.dtype = element = dtype
            taken.add(source)
            read.add(source)
            joined |= {source, position}
            saved += tensor.bytes
        if kernel.writes is not None:
            kernel.writes.dtype = kernel.writes.dtype or element
            made.append((position, kernel.writes))
            copied |= {position} if kernel.only_copies else set()
    saved += sum(output.bytes for source, output in made if source in read)
    traffic = 0
    for position in joined:
        kernel = run[position]
        fallback = kernel.writes.dtype if kernel.writes else None
        for tensor in (*kernel.reads, *([kernel.writes] if kernel.writes else ())):
            traffic += Tensor(tensor.shape, tensor.dtype or fallback).bytes
    return Chain(tuple(sorted(joined)), traffic, saved)


def _copied(kernel: Operands) -> Operands:
    reads = tuple(Tensor(one.shape, one.dtype) for one in kernel.reads)
    writes = kernel.writes and Tensor(kernel.writes.shape, kernel.writes.dtype)
    return Operands(reads, writes, kernel.only_copies)
