"""One run's problem, method, optimizer and batches, and an epoch of them."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trajlab.measure.examples.likelihood import Likelihood
from trajlab.record import Recorder
from trajlab.record.probes import Probe
from trajlab.training.batches import Batches
from trajlab.training.compute import Compute, first_batches, flops_per_step
from trajlab.training.evaluation import evaluate
from trajlab.training.methods import Method, method
from trajlab.training.optimization import make_optimizer, make_schedule
from trajlab.training.plan import Plan
from trajlab.training.setting import MultiTaskModel, Problem, Split
from trajlab.training.smoothing import smoothed

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
        self.problem: Problem = plan.problem(root)
        self.model = self.problem.model.to(self.device)
        names = tuple(self.problem.tasks)
        self._losses = {
            name: smoothed(task.loss, plan.label_smoothing)
            for name, task in self.problem.tasks.items()
        }
        self.method: Method = method(plan.method, names, plan.seed, plan.options)
        self.optimizer = make_optimizer(
            plan.optimizer,
            [*self.model.parameters(), *self.method.parameters],
            plan.learning_rate,
            plan.momentum,
            plan.weight_decay,
        )
        splits = {name: task.splits["train"] for name, task in self.problem.tasks.items()}
        together = [splits] if self.problem.shared_inputs else [{k: v} for k, v in splits.items()]
        self.batches = [
            Batches(group, plan.batch_size, 1000 * plan.seed + index, self.device)
            for index, group in enumerate(together)
        ]
        self.schedule = make_schedule(plan.schedule, self.optimizer, self.steps, plan.epochs)
        self.compute = Compute()
        self._flops = self._flops_per_step(splits)
        self.epoch = 0

    @property
    def steps(self) -> int:
        """Updates an epoch."""
        return self.plan.epoch_steps or max(map(len, self.batches))

    @property
    def probes(self) -> list[Probe]:
        """What is recorded of every run: the method's own, and what training costs."""
        return [*self.method.probes, self.compute]

    def losses(
        self, model: MultiTaskModel, batches: Mapping[str, tuple[Tensor, Tensor]]
    ) -> dict[str, Tensor]:
        """Return each task's per-example losses ``(n,)`` on its batch."""
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.plan.precision == "bfloat16"
        ):
            outputs = model({name: inputs for name, (inputs, _) in batches.items()})
        return {
            name: self._losses[name](output.float(), batches[name][1])
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
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "compute": (self.compute.flops, self.compute.seconds),
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
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        self.compute.flops, self.compute.seconds = state["compute"]

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
            with self.compute.step(self._flops):
                losses = self._update(recorder)
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

    def _update(self, recorder: Recorder) -> dict[str, Tensor]:
        """Make one update; return the losses that it descends."""
        chosen = self.method.draw()
        drawn = {
            name: batch
            for batches in self.batches
            if not batches.tasks.isdisjoint(chosen)
            for name, batch in batches.draw().items()
            if name in chosen
        }
        losses = self._means(drawn)
        self.method.backward(recorder, losses, self.model)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.schedule:
            self.schedule.step()
        self.method.after_update(partial(self._means, drawn))
        return losses

    def _means(self, batches: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Return each task's mean loss on its batch."""
        return {name: loss.mean() for name, loss in self.losses(self.model, batches).items()}

    def _flops_per_step(self, splits: Mapping[str, Split]) -> float:
        names = tuple(self.problem.tasks)
        other = method(self.plan.method, names, self.plan.seed, self.plan.options)
        batches = first_batches(splits, self.plan.batch_size, self.device)
        return flops_per_step(other, self.model, batches, self.losses, self.steps)
