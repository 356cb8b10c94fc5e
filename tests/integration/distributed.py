"""A distributed training, run by `ranks`, or by ``torchrun``: KIND PATH RANK-THAT-DIES."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from tests.models import TwoHeads
from tests.processes import ended, processes
from tests.record.loops import TASKS, batches, joined, losses
from trajlab import Recorder, probes

STEPS, SIZE = 4, 2
DIES_AT = 20


def rank_batch(step: int, rank: int) -> Any:
    return batches(STEPS * SIZE)[SIZE * (step % STEPS) + rank]


def global_batch(step: int) -> Any:
    return joined([rank_batch(step, rank) for rank in range(SIZE)])


def wrapped(kind: str, model: TwoHeads) -> nn.Module:
    if kind.startswith("ddp"):
        return DistributedDataParallel(model)
    for layer in model.trunk:
        if isinstance(layer, nn.Linear):
            fully_shard(layer)
    return fully_shard(model)


def train(kind: str, path: str, dies: int | None) -> None:
    rank = dist.get_rank()
    passes = 2 if kind.endswith("accumulated") else 1
    model = TwoHeads(64)
    called = wrapped(kind, model)
    optimizer = torch.optim.SGD(called.parameters(), 0.3)
    memory = 0 if kind.endswith("sketched") else 2**30
    measured: list[Any] = [
        probes.TaskGradients(memory=memory, update=not kind.endswith("sketched"))
    ]
    if kind.startswith("ddp"):
        measured.append(probes.GradientSketch(every=1))
    steps = STEPS if dies is None else 10**6
    with Recorder(
        path, called, tasks=TASKS, shared=model.trunk, optimizer=optimizer, probes=measured
    ) as recorder:
        for i in range(steps):
            recorder.backward(losses(called, rank_batch(i, rank)), accumulate=passes)
            if i % passes == passes - 1:
                optimizer.step()
                optimizer.zero_grad()
                recorder.flush() if i == DIES_AT else None
            if i > DIES_AT and rank == dies:
                time.sleep(0.5)
                os.kill(os.getpid(), signal.SIGKILL)
        if rank == 0:
            recorder.evaluate("test", {"left": {"loss": 1.0}})
    weights = {
        name: p.full_tensor() if hasattr(p, "full_tensor") else p
        for name, p in model.state_dict().items()
    }
    if rank == 0:
        torch.save(weights, f"{path}.weights")


def end(kind: str) -> None:
    """End the group once the replica is gone, and with it what keeps gloo's threads at work."""
    dist.barrier()  # gloo may hang where one process tears down while another still talks
    dist.destroy_process_group()
    if kind.startswith("fsdp"):
        # torch's caches of sharded tensors keep the group and so gloo's threads, which may abort
        # the process when the interpreter is torn down (pytorch/pytorch#179291)
        sys.stderr.flush()
        os._exit(0)


def one_rank(rank: int, kind: str, path: Path) -> None:
    meet = f"file://{path.with_suffix('.meet')}"
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=SIZE)
    train(kind, str(path), None)
    end(kind)


def ranks(kind: str, path: Path) -> None:
    """Train in two processes, as ``torchrun`` does, which has to import torch in each."""
    started = [processes.Process(target=one_rank, args=(rank, kind, path)) for rank in range(SIZE)]
    for process in started:
        process.start()
    assert [ended(process) for process in started] == [0] * SIZE


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    train(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    end(sys.argv[1])
