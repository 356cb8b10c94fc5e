"""Which optimizer steps make the updates that a step counts."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakMethod

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from trajlab.errors import TrajlabError
from trajlab.record.loop.loss_scale import LossScale

_logger = logging.getLogger("trajlab")
_PATIENCE = 100  # backward passes without an update, more than a line search takes
REMEDY = (
    "neither the optimizer that was given nor another one of these parameters has called step(); "
    "pass optimizer= the one that does (a wrapper's inner one), or step= to observe() and "
    "evaluate()"
)
_MISSING = f"trajlab has seen %d backward passes and no update: {REMEDY}"
_FOLLOWS = (
    "trajlab counts the steps of another %s, which updates these parameters in the place of the "
    "optimizer that was given"
)
_WITHIN = (
    "the optimizer steps within the backward pass, so trajlab cannot know the gradient that it "
    "takes; where that was asked for, it is NaN"
)


class Updates:
    """Notices the updates of the watched parameters, whichever optimizer makes them.

    The optimizer that is given counts. If another one that holds its parameters or the shared ones
    steps in its place (it was made anew, or works inside a wrapper), that one counts from then on.

    Parameters
    ----------
    optimizer : Optimizer or a wrapper of one
        What the loop calls to update the parameters.
    shared : method
        Returns the shared parameters as they are at present.
    on_update : method
        Called after each update, as long as its object lives.

    Attributes
    ----------
    passes : int
        Backward passes since the last update.
    """

    def __init__(
        self, optimizer: Any, shared: Callable[[], Iterable[Tensor]], on_update: Callable[[], None]
    ) -> None:
        self._given = self._leader = optimizer
        # Weak: who watches must go with its last reference, and with it the model's process group.
        self._shared = WeakMethod(shared)
        self._on_update = WeakMethod(on_update)
        self.passes = 0
        self._usual = 1  # passes that made an update so far, at most
        self._told: set[str] = set()
        self._hook = register_optimizer_step_post_hook(self._stepped)

    def begin_pass(self) -> None:
        """Note a backward pass."""
        self.passes += 1
        if self.passes > _PATIENCE * self._usual:
            self._tell(_MISSING, self.passes)

    def end_pass(self, passes: int) -> None:
        """Note that so many passes make an update."""
        self._usual = max(self._usual, passes)

    def restart(self) -> None:
        """Note that the count of steps was corrected, or that an update was skipped."""
        self.passes = 0

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first parameter group of the optimizer that counts."""
        groups = getattr(self._leader, "param_groups", None) or groups_of(self._leader)
        return float(groups[0]["lr"])

    def stop(self) -> None:
        """Watch no more, and tell if updates were missed."""
        self._hook.remove()
        if self.passes > self._usual:
            self._tell(_MISSING, self.passes)
        self.passes = 0

    def _tell(self, sentence: str, *words: object) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            _logger.warning(sentence, *words)

    def _stepped(self, optimizer: Optimizer, *_: object) -> None:
        if LossScale.skips_inside(optimizer):
            return
        if optimizer is not self._leader:
            if not self.passes or not self._holds(optimizer):
                return  # of other parameters, or around the step that has just been counted
            inside = groups_of(optimizer)[0]
            if not any(inside is group for group in groups_of(self._leader)):
                self._tell(_FOLLOWS, type(optimizer).__name__)
            self._leader = optimizer
        if in_backward():
            self._tell(_WITHIN)
        self._usual = max(self._usual, self.passes)
        self.passes = 0
        on_update = self._on_update()
        if on_update is not None:
            on_update()

    def _holds(self, optimizer: Optimizer) -> bool:
        """Say whether an optimizer holds parameters of the given one, or shared ones."""
        shared = self._shared()
        present = shared() if shared is not None else ()
        watched = {id(p) for p in (*parameters_of(self._given), *present)}
        return any(id(p) in watched for p in parameters_of(optimizer))


def in_backward() -> bool:
    """Say whether a backward pass is running, as where each parameter is updated within it."""
    return torch._C._current_graph_task_id() >= 0


def groups_of(optimizer: Any) -> list[dict[str, Any]]:
    """Return the parameter groups of an optimizer, or of those that a wrapper holds.

    Raises
    ------
    TrajlabError
        If there is none.
    """
    groups = getattr(optimizer, "param_groups", None)
    if groups is None:
        groups = [group for inner in _held(optimizer) for group in inner.param_groups]
    if not groups:
        raise TrajlabError(
            f"optimizer= is {type(optimizer).__name__}, which is no optimizer and holds none; pass "
            "the one whose step() updates the shared parameters"
        )
    return list(groups)


def _held(wrapper: Any) -> Iterator[Optimizer]:
    """Yield the optimizers that an object has as attributes, or in lists and mappings of its."""
    for value in getattr(wrapper, "__dict__", {}).values():
        several = value.values() if isinstance(value, Mapping) else value
        for each in several if isinstance(several, Iterable) else [value]:
            if isinstance(each, Optimizer):
                yield each


def parameters_of(optimizer: Any) -> list[Tensor]:
    """Return the parameters that an optimizer updates."""
    return [parameter for group in groups_of(optimizer) for parameter in group["params"]]


def check_optimizer(optimizer: Any, parameters: Iterable[Tensor]) -> None:
    """Raise if an optimizer of torch's updates none of a model's parameters.

    Others may keep copies of the parameters, so that a warning is all that can be said.

    Raises
    ------
    TrajlabError
        Saying what to pass; also if it is no optimizer.
    """
    identities = {id(p) for p in parameters}
    if any(id(p) in identities for p in parameters_of(optimizer)):
        return
    sentence = "optimizer= holds none of this model's parameters; pass the one that trains it"
    if type(optimizer).__module__.startswith("torch."):
        raise TrajlabError(sentence)
    _logger.warning("%s", sentence)
