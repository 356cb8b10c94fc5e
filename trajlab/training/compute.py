"""What training costs: floating-point operations and processor time, a table of its own."""

import copy
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from trajlab.record.probes import Moment, Probe
from trajlab.record.probes.probe import Row
from trajlab.store import Column, Table
from trajlab.training.methods import Method
from trajlab.training.setting import MultiTaskModel, Split

Batch = Mapping[str, tuple[Tensor, Tensor]]
Losses = Callable[[MultiTaskModel, Batch], dict[str, Tensor]]


class Compute(Probe):
    """What the training steps so far cost, without evaluations.

    Attributes
    ----------
    flops
        Floating-point operations, by `flops_per_step`.
    seconds
        Of the processor, all threads together, with what is recorded on the way.
    """

    def __init__(self) -> None:
        super().__init__(every="epoch")
        self.flops = 0.0
        self.seconds = 0.0

    @contextmanager
    def step(self, flops: float) -> Iterator[None]:
        """Add up the operations and the processor time of the step that is made inside."""
        start = time.process_time()
        yield
        self.seconds += time.process_time() - start
        self.flops += flops

    def table(self, moment: Moment) -> Table:
        """Declare ``compute``."""
        return Table(
            "compute",
            (
                Column(
                    "flops",
                    description="floating-point operations of the training steps so far: those of "
                    "matrix products and convolutions, a multiplication and an addition as two",
                ),
                Column(
                    "seconds",
                    units="s",
                    description="processor time of the training steps so far, evaluations left out",
                ),
            ),
        )

    def measure(self, moment: Moment) -> Row:
        """Return ``flops`` and ``seconds``."""
        return {"flops": self.flops, "seconds": self.seconds}


class _Unrecorded:
    """In the place of a recorder: what a method asks of one, without recording."""

    def backward(self, losses: Mapping[str, Tensor], weights: Any = None) -> None:
        ones = dict.fromkeys(losses, 1.0)
        total = sum((weights or ones)[task] * loss for task, loss in losses.items())
        total.backward()  # type: ignore[union-attr]

    def observe(self, losses: Mapping[str, Tensor], weights: Any = None) -> None:
        pass


def flops_per_step(
    method: Method, model: MultiTaskModel, batches: Batch, losses: Losses, draws: int
) -> float:
    """Count the floating-point operations of one update, those of its method included.

    Neither the model nor a random stream is changed.

    Parameters
    ----------
    method
        One of its own for this: its state changes.
    model
        A copy of it is trained by one step.
    batches
        Of every task.
    losses
        From model and batches to per-example losses.
    draws
        How many draws of tasks to average over, where a method draws them.

    Returns
    -------
    float
        Of matrix products and convolutions, as `torch.utils.flop_counter` knows them.
    """
    twin = copy.deepcopy(model)
    counts = Counter(tuple(method.draw()) for _ in range(draws))
    devices = [tensor.device for tensor in model.parameters() if tensor.is_cuda][:1]
    with torch.random.fork_rng(devices):
        total = sum(
            number * _count(method, twin, {task: batches[task] for task in tasks}, losses)
            for tasks, number in counts.items()
        )
    return total / draws


def _count(method: Method, model: MultiTaskModel, batch: Batch, losses: Losses) -> int:
    def means() -> dict[str, Tensor]:
        return {name: loss.mean() for name, loss in losses(model, batch).items()}

    with FlopCounterMode(display=False) as counter:
        method.backward(_Unrecorded(), means(), model)  # type: ignore[arg-type]
        method.after_update(means)
    return int(counter.get_total_flops())


def first_batches(
    splits: Mapping[str, Split], size: int, device: torch.device
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the first batch of each task; tasks that share their inputs share the tensor.

    Parameters
    ----------
    splits
        Each task's training split.
    size
        Examples of a batch.
    device
        Where they go.
    """
    shared: dict[int, Tensor] = {}
    batch = {}
    for name, (inputs, targets) in splits.items():
        rows = torch.arange(min(size, len(targets)))
        if id(inputs) not in shared:
            shared[id(inputs)] = inputs[rows].to(device)
        batch[name] = (shared[id(inputs)], targets[rows].to(device))
    return batch
