"""Four micro-batches to an update, in bf16 autocast, with a loss scaler and clipping."""

import sys

import torch

from toy import TASKS, Model, batches, task_losses
from trajlab import Recorder, probes

model = Model()
optimizer = torch.optim.Adam(model.parameters(), 0.01)
scaler = torch.amp.GradScaler("cpu")  # float16 needs one; bf16 does not
with Recorder(
    sys.argv[1],
    model,
    tasks=TASKS,
    optimizer=optimizer,
    scaler=scaler,
    probes=[probes.TaskGradients(update=True)],  # and the gradient after clipping
) as recorder:
    for i, batch in enumerate(batches()):
        with torch.autocast("cpu", torch.bfloat16):
            losses = task_losses(model, batch)
        recorder.backward(losses, accumulate=4)  # was: scaler.scale(sum(losses) / 4).backward()
        if i % 4 == 3:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
