"""LibMTL's trainer: the losses as its weighting gets them, before it makes gradients of them."""

import sys

import torch
from LibMTL import Trainer
from LibMTL.loss import CELoss
from LibMTL.metrics import AccMetric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from toy import TASKS, batches, evaluate
from trajlab import Recorder, probes


class Recorded(Trainer):
    """LibMTL's trainer, that tells a recorder what it does."""

    def attach(self, recorder: Recorder, data: dict[str, list[tuple[Tensor, Tensor]]]) -> None:
        """Record from here on, and evaluate on the data of each split where LibMTL tests."""
        self.recorder, self.data = recorder, data
        combine = self.model.backward

        def backward(losses: Tensor, **settings: object) -> object:
            recorder.observe(dict(zip(self.task_name, losses, strict=True)))
            return combine(losses, **settings)

        self.model.backward = backward

    def test(self, *arguments: object, **settings: object) -> object:
        """Test as LibMTL does, which leaves the model in evaluation mode; then record."""
        found = super().test(*arguments, **settings)
        for split, pairs in self.data.items():
            on_device = [(x.to(self.device), y.to(self.device)) for x, y in pairs]
            self.recorder.evaluate(split, evaluate(self.model, on_device))
        return found


def labelled(pairs: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Return points with their labels by task, as LibMTL takes them."""
    x, y = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return [(point, dict(zip(TASKS, of, strict=True))) for point, of in zip(x, y, strict=True)]


data = {"train": batches(), "test": batches(seed=1)}
train, test = (DataLoader(labelled(pairs), 16) for pairs in data.values())
settings = {
    "task_dict": {
        task: {"metrics": ["acc"], "metrics_fn": AccMetric(), "loss_fn": CELoss(), "weight": [1]}
        for task in TASKS
    },
    "weighting": "PCGrad",
    "architecture": "HPS",
    "encoder_class": lambda: nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16)),
    "rep_grad": False,
    "multi_input": False,
    "optim_param": {"optim": "adam", "lr": 0.01},
    "scheduler_param": None,
    "weight_args": {},
    "arch_args": {},
}


def decoders() -> nn.ModuleDict:
    """Return the head of each task."""
    return nn.ModuleDict({task: nn.Linear(16, 3) for task in TASKS})


torch.manual_seed(0)
trainer = Recorded(decoders=decoders(), **settings)
with Recorder(
    sys.argv[1],
    trainer.model,
    tasks=trainer.task_name,
    shared=list(trainer.model.get_share_params()),
    optimizer=trainer.optimizer,
    probes=[probes.TaskGradients(update=True)],  # and what PCGrad made of the task gradients
    metadata={"setting": "toy", "method": "pcgrad", "seed": 0},
) as recorder:
    trainer.attach(recorder, data)
    trainer.train(train, test, epochs=2)
