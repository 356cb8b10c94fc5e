"""One run's problem, method, optimizer and batches, and an epoch of them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trajlab.measure.examples.likelihood import Likelihood
from trajlab.record import Recorder
from trajlab.training.batches import Batches
from trajlab.training.evaluation import evaluate
from trajlab.training.methods import Method, method
from trajlab.training.plan import Plan
from trajlab.training.setting import MultiTaskModel, Problem

SPLITS = ("train", "validation", "test")


class Trainer:
    """One run's problem, method, optimizer and batches: what a checkpoint holds.

    Parameters
    ----------
    plan
        What to train.
    device
        Where.
    root
        The data's folder, if it is not where the setting looks.
    """

    def __init__(self, plan: Plan, device: str = "cpu", root: Path | None = None) -> None:
        self.plan = plan
        self.device = torch.device(device)
        self.problem: Problem = plan.setting.build(plan.condition, plan.seed, root)
        self.model = self.problem.model.to(self.device)
        names = tuple(self.problem.tasks)
        self.method: Method = method(plan.method, names, plan.seed, plan.options)
        self.optimizer = torch.optim.SGD(
            [*self.model.parameters(), *self.method.parameters],
            lr=plan.learning_rate,
            momentum=plan.momentum,
            weight_decay=plan.weight_decay,
        )
        splits = {name: task.splits["train"] for name, task in self.problem.tasks.items()}
        together = [splits] if self.problem.shared_inputs else [{k: v} for k, v in splits.items()]
        self.batches = [
            Batches(group, plan.batch_size, 1000 * plan.seed + index, self.device)
            for index, group in enumerate(together)
        ]
        self.epoch = 0

    @property
    def steps(self) -> int:
        """Updates an epoch."""
        return max(map(len, self.batches))

    def losses(
        self, model: MultiTaskModel, batches: Mapping[str, tuple[Tensor, Tensor]]
    ) -> dict[str, Tensor]:
        """Return each task's per-example losses ``(n,)`` on its batch."""
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.plan.precision == "bfloat16"
        ):
            outputs = model({name: inputs for name, (inputs, _) in batches.items()})
        tasks = self.problem.tasks
        return {
            name: tasks[name].loss(output.float(), batches[name][1])
            for name, output in outputs.items()
        }

    def predict(
        self, model: MultiTaskModel, batches: Mapping[str, tuple[Tensor, Tensor]]
    ) -> dict[str, Tensor | Likelihood]:
        """Return what each task's outputs on its batch say about targets."""
        outputs = model({name: inputs for name, (inputs, _) in batches.items()})
        tasks = self.problem.tasks
        return {name: tasks[name].likelihood(output) for name, output in outputs.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on, bit for bit on a CPU."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "method": self.method.state_dict(),
            "batches": [batches.state_dict() for batches in self.batches],
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.method.load_state_dict(state["method"])
        for batches, saved in zip(self.batches, state["batches"], strict=True):
            batches.load_state_dict(saved)
        torch.set_rng_state(state["random"])

    @property
    def early(self) -> set[int]:
        """Steps of the first epoch after which it is evaluated; fewer where they coincide."""
        halvings = range(1, self.plan.early_evaluations + 1)
        return {round(self.steps * 2 ** (-k / 2)) for k in halvings} - {0, self.steps}

    def advance(self, recorder: Recorder) -> bool:
        """Train one epoch; return whether the losses stayed finite."""
        sums = dict.fromkeys(self.problem.tasks, 0.0)
        early = set() if self.epoch else self.early
        for step in range(1, self.steps + 1):
            chosen = self.method.draw()
            drawn = {
                name: batch
                for batches in self.batches
                if not batches.tasks.isdisjoint(chosen)
                for name, batch in batches.draw().items()
                if name in chosen
            }
            examples = self.losses(self.model, drawn)
            losses = {name: loss.mean() for name, loss in examples.items()}
            self.method.backward(recorder, losses, self.model)
            self.optimizer.step()
            self.optimizer.zero_grad()
            for name, loss in losses.items():
                sums[name] += loss.item()
            if not all(map(math.isfinite, sums.values())):
                return False
            if step in early:
                self.evaluate(recorder)
        self.method.end_epoch({name: total / self.steps for name, total in sums.items()})
        self.epoch += 1
        return True

    def evaluate(self, recorder: Recorder) -> None:
        """Record losses and metrics on every split, after so many whole epochs."""
        recorder.epoch = self.epoch
        for split in SPLITS:
            recorder.evaluate(split, evaluate(self.problem, split))
