"""Several processes: torchrun --nproc-per-node=2 examples/distributed.py run.h5."""

import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from toy import TASKS, Model, batches, task_losses
from trajlab import Recorder, probes


def train(path: str) -> None:
    """Train a replica in each process; the recorder of the first one writes."""
    torch.manual_seed(0)
    model = Model()
    replica = DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    with Recorder(
        path,
        replica,
        tasks=TASKS,
        shared=model.trunk,
        optimizer=optimizer,
        probes=[probes.TaskGradients()],
    ) as recorder:
        for batch in batches(seed=dist.get_rank()):
            recorder.backward(task_losses(replica, batch))
            optimizer.step()
            optimizer.zero_grad()


dist.init_process_group("gloo")
train(sys.argv[1])  # a function: a replica that lives on would keep gloo's threads at work
dist.barrier()  # gloo may hang where one process ends while another still talks
dist.destroy_process_group()
