"""Mirror a run to TensorBoard; `trajlab import tensorboard FOLDER --out DIR` reads it back."""

import sys
from pathlib import Path

import torch

from toy import TASKS, Model, batches, evaluate, task_losses
from trajlab import Recorder
from trajlab.record.sinks import TensorBoard

path = Path(sys.argv[1])
model = Model()
optimizer = torch.optim.Adam(model.parameters(), 0.01)
with Recorder(
    path,
    model,
    tasks=TASKS,
    optimizer=optimizer,
    sinks=[TensorBoard(path.with_suffix(".tensorboard"))],
) as recorder:
    for batch in batches():
        recorder.backward(task_losses(model, batch))
        optimizer.step()
        optimizer.zero_grad()
    recorder.evaluate("train", evaluate(model, batches()))
    recorder.evaluate("test", evaluate(model, batches(seed=1)))
