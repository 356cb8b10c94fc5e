"""A multi-task optimizer that owns the backward."""

import sys

import torch
from torch import nn
from torchjd.aggregation import PCGrad
from torchjd.autojac import jac_to_grad, mtl_backward

from toy import TASKS, Model, batches
from trajlab import Recorder, probes

model = Model()
optimizer = torch.optim.Adam(model.parameters(), 0.01)
aggregator = PCGrad()
with Recorder(
    sys.argv[1],
    model,
    tasks=TASKS,
    shared=model.trunk,
    optimizer=optimizer,
    probes=[probes.TaskGradients(update=True)],  # and what PCGrad made of the task gradients
    metadata={"setting": "toy", "method": "pcgrad", "seed": 0},
) as recorder:
    for x, y in batches():
        z = model.trunk(x)
        losses = {
            "left": nn.functional.cross_entropy(model.left(z), y[:, 0]),
            "right": nn.functional.cross_entropy(model.right(z), y[:, 1]),
        }
        recorder.observe(losses)
        mtl_backward(list(losses.values()), features=z)
        jac_to_grad(model.trunk.parameters(), aggregator)
        optimizer.step()
        optimizer.zero_grad()
