"""A compiled model: the recorder works outside its graph."""

import sys

import torch

from toy import TASKS, Model, batches, task_losses
from trajlab import Recorder, probes

model = Model()
compiled = torch.compile(model, backend="aot_eager")  # quick to compile; leave backend= out
optimizer = torch.optim.Adam(model.parameters(), 0.01)
with Recorder(
    sys.argv[1],
    compiled,
    tasks=TASKS,
    shared=model.trunk,  # a compiled graph does not tell what is shared
    optimizer=optimizer,
    probes=[probes.TaskGradients(every=5)],
) as recorder:
    for batch in batches():
        recorder.backward(task_losses(compiled, batch))
        optimizer.step()
        optimizer.zero_grad()
