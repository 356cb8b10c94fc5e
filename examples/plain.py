"""A plain loop."""

import sys

import torch

from toy import TASKS, Model, batches, evaluate, task_losses
from trajlab import Recorder, probes

model = Model()
optimizer = torch.optim.Adam(model.parameters(), 0.01)
with Recorder(
    sys.argv[1],
    model,
    tasks=TASKS,
    optimizer=optimizer,
    probes=[probes.TaskGradients()],
    metadata={"setting": "toy", "method": "uniform", "seed": 0},
) as recorder:
    for _ in range(3):
        for batch in batches():
            recorder.backward(task_losses(model, batch))
            optimizer.step()
            optimizer.zero_grad()
        recorder.evaluate("train", evaluate(model, batches()))
        recorder.evaluate("test", evaluate(model, batches(seed=1)))
