"""Lightning: one callback, and total_loss in the steps."""

import sys

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from toy import TASKS, Model, batches, task_losses
from trajlab import probes
from trajlab.record.integrations.lightning import RecorderCallback, total_loss


class Module(pl.LightningModule):
    """The toy model as a LightningModule."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def training_step(self, batch, index):
        """Return the total loss; was: sum(task_losses(...).values())."""
        return total_loss(self, task_losses(self.model, batch))

    def validation_step(self, batch, index):
        """Let the callback see the losses, and log a metric named <task>_<metric>."""
        x, y = batch
        right = self.model(x)["left"].argmax(1) == y[:, 0]
        self.log("val_left_accuracy", right.float().mean())
        return total_loss(self, task_losses(self.model, batch))

    def configure_optimizers(self):
        """Return the optimizer."""
        return torch.optim.Adam(self.parameters(), 0.01)


module = Module()
callback = RecorderCallback(
    sys.argv[1],
    tasks=TASKS,
    shared=module.model.trunk,
    probes=[probes.TaskGradients()],
    metadata={"setting": "toy", "method": "uniform", "seed": 0},
)
trainer = pl.Trainer(
    max_epochs=3,
    callbacks=[callback],
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
)
trainer.fit(
    module,
    DataLoader(batches(), batch_size=None),
    DataLoader(batches(seed=1), batch_size=None),
)
