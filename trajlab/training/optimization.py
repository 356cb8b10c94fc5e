"""PyTorch's optimizers and learning-rate schedules, by the names that studies use."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import signature
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, LRScheduler, StepLR

from trajlab.errors import TrajlabError

OPTIMIZERS: Mapping[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    """Make an optimizer of a whole network.

    Parameters
    ----------
    name
        A key of `OPTIMIZERS`.
    parameters
        What it trains.
    learning_rate, momentum, weight_decay
        As PyTorch has them; momentum is of ``sgd``, for Adam averages in its own way.

    Raises
    ------
    TrajlabError
        If the name is unknown, or ``adam`` or ``adamw`` is to have a momentum.
    """
    if name not in OPTIMIZERS:
        raise TrajlabError(f"optimizer {name!r} is unknown; choose among {', '.join(OPTIMIZERS)}")
    if name == "sgd":
        return SGD(parameters, lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    if momentum:
        raise TrajlabError(f"momentum={momentum:g} is of sgd; leave it out with {name}")
    return OPTIMIZERS[name](parameters, lr=learning_rate, weight_decay=weight_decay)  # type: ignore[call-arg]


def _constant(optimizer: Optimizer, epoch: int, steps: int) -> None:
    """Keep the learning rate."""


def _step(
    optimizer: Optimizer, epoch: int, steps: int, every: int = 30, factor: float = 0.85
) -> LRScheduler:
    """Multiply the learning rate by `factor` after every so many epochs."""
    return StepLR(optimizer, every * epoch, factor)


def _exponential(optimizer: Optimizer, epoch: int, steps: int, factor: float = 0.95) -> LRScheduler:
    """Multiply the learning rate by `factor` in the course of an epoch, a little at each step."""
    return ExponentialLR(optimizer, factor ** (1 / epoch))


def _cosine(optimizer: Optimizer, epoch: int, steps: int) -> LRScheduler:
    """Let the learning rate fall to 0 at the run's end, along half a cosine."""
    return CosineAnnealingLR(optimizer, steps)


def _inverse_square_root(
    optimizer: Optimizer, epoch: int, steps: int, warmup: int = 4000
) -> LRScheduler:
    """Raise the learning rate linearly over `warmup` steps, then let it fall with 1/√step."""
    return LambdaLR(optimizer, lambda step: min((step + 1) / warmup, (warmup / (step + 1)) ** 0.5))


SCHEDULES: Mapping[str, Callable[..., LRScheduler | None]] = {
    "constant": _constant,
    "step": _step,
    "exponential": _exponential,
    "cosine": _cosine,
    "inverse-sqrt": _inverse_square_root,
}


def schedule_options(name: str) -> list[str]:
    """Return the names of a schedule's own options."""
    return list(signature(SCHEDULES[name]).parameters)[3:]


def make_schedule(
    table: Mapping[str, Any], optimizer: Optimizer, epoch: int, epochs: int
) -> LRScheduler | None:
    """Make the schedule that is to take a step after every update; None for a constant rate.

    Parameters
    ----------
    table
        ``name``, a key of `SCHEDULES`, and its options.
    optimizer
        Whose learning rate it sets.
    epoch
        Updates an epoch.
    epochs
        Of the whole run.

    Raises
    ------
    TrajlabError
        If the name or an option is unknown, or an option has a value that means nothing.
    """
    options = dict(table)
    name = options.pop("name", None)
    if name not in SCHEDULES:
        raise TrajlabError(f"schedule {name!r} is unknown; choose among {', '.join(SCHEDULES)}")
    for key, value in options.items():
        if key not in schedule_options(name):
            known = ", ".join(schedule_options(name)) or "none"
            raise TrajlabError(f"schedule {name!r} has no option {key!r}; it has {known}")
        if not isinstance(value, (int, float)) or value <= 0:
            raise TrajlabError(f"{key} of schedule {name!r} is {value!r}; give a number above 0")
    return partial(SCHEDULES[name], optimizer, epoch, epochs * epoch)(**options)
