"""A distributed job on the CPU: a process per rank trains with DDP over gloo and captures a trace.

    python gloo_job.py FOLDER WORLD SLOW_RANK SECONDS

One rank is slow in one module. Run as a program of its own: it forks, and a test's process may have threads.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from tracekit.capture import capture

STEPS = 2


class Slow(nn.Linear):
    """A layer that takes its time on one rank."""

    seconds = 0.0

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return super().forward(input)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(32, 64), Slow(64, 32)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(values)))


def work(rank: int, world: int, folder: Path, seconds: float) -> None:
    """One rank: warm up, capture, leave."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    blocks = nn.Sequential(Block(), Block(), Block())
    blocks[1].second.seconds = seconds
    model = nn.parallel.DistributedDataParallel(blocks)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with capture(model, folder / f"rank{rank}.json.gz", warmup=1, steps=STEPS) as recording:
        for _ in range(1 + STEPS):
            model(torch.randn(8, 32)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            recording.step()
    dist.barrier()
    dist.destroy_process_group()


def main(folder: str, world: str, slow_rank: str, seconds: str) -> None:
    fork = multiprocessing.get_context("fork")
    ranks = [
        fork.Process(
            target=work,
            args=(rank, int(world), Path(folder), float(seconds) if rank == int(slow_rank) else 0.0),
        )
        for rank in range(int(world))
    ]
    for one in ranks:
        one.start()
    for one in ranks:
        one.join()
    sys.exit(max(one.exitcode or 0 for one in ranks))


if __name__ == "__main__":
    main(*sys.argv[1:])
