"""One clear training loop: draw a batch for each task, let the method step, evaluate each epoch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from trajlab.record import Recorder
from trajlab.record.probes import Probe
from trajlab.training import checkpoint
from trajlab.training.plan import Plan
from trajlab.training.setting import Problem
from trajlab.training.trainer import Trainer


def train(
    plan: Plan,
    path: Path,
    *,
    probes: Callable[[Problem], Sequence[Probe]] = lambda problem: (),
    on_epoch: Callable[[int], None] = lambda epoch: None,
    device: str = "cpu",
    root: Path | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Train one run and record it; one that was interrupted goes on from its last checkpoint.

    On a CPU the result is, bit for bit, that of an uninterrupted run. A run whose loss is no
    longer finite ends there: its last recorded losses and evaluations show it.

    Parameters
    ----------
    plan
        What to train.
    path
        The trajectory file; a checkpoint lies beside it until the run is complete.
    probes
        From the problem to the probes to record.
    on_epoch
        Called with the epochs completed after each, for progress.
    device
        Where to train, as PyTorch names it.
    root
        The data's folder, if it is not where the setting looks.
    metadata
        To store beside the plan's.

    Returns
    -------
    Path
        The sealed trajectory file.
    """
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        trainer = Trainer(plan, device, root)
        state = checkpoint.load(path)
        with Recorder(
            path,
            trainer.model,
            tasks=list(trainer.problem.tasks),
            shared=trainer.model.trunk,
            optimizer=trainer.optimizer,
            lower_is_better=_lower_is_better(trainer.problem),
            probes=[*probes(trainer.problem), *trainer.probes],
            task_losses=trainer.losses,
            predict=trainer.predict,
            metadata={**plan.metadata, **(metadata or {})},
            resume=True,
            from_step=state["recorder"]["step"] if state else 0,
        ) as recorder:
            if state:
                trainer.load_state_dict(state["trainer"])
                recorder.load_state_dict(state["recorder"])
            else:
                trainer.evaluate(recorder)
            while trainer.epoch < plan.epochs:
                finite = trainer.advance(recorder)
                trainer.evaluate(recorder)
                if not finite:
                    break
                if trainer.method.resumable:
                    states = {"trainer": trainer.state_dict(), "recorder": recorder.state_dict()}
                    checkpoint.save(path, states)
                on_epoch(trainer.epoch)
    checkpoint.file(path).unlink(missing_ok=True)
    return path


def _lower_is_better(problem: Problem) -> list[str]:
    metrics = {k: v for task in problem.tasks.values() for k, v in task.metrics.items()}
    return [name for name, metric in metrics.items() if not metric.higher_is_better]
