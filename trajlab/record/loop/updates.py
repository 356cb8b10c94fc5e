"""Which optimizer steps make the updates that a step counts."""

import logging
from collections.abc import Callable, Iterable
from typing import Any
from weakref import ref

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from trajlab.errors import TrajlabError
from trajlab.record.loop.loss_scale import LossScale

_logger = logging.getLogger("trajlab")
_PATIENCE = 100  # backward passes without an update, more than any line search takes


class Updates:
    """Notices the updates of the watched parameters, whichever optimizer makes them.

    The optimizer that is given counts. If another one that holds the same or the shared parameters
    steps in its place (it was made anew, or works inside a wrapper), that one counts from then on.

    Parameters
    ----------
    optimizer : Optimizer or a wrapper of one
        The optimizer that the loop uses, or what wraps it.
    shared : callable
        Returns the shared parameters as they are at present.
    on_update : callable
        Called after each update.
    """

    def __init__(
        self, optimizer: Any, shared: Callable[[], Iterable[Tensor]], on_update: Callable[[], None]
    ) -> None:
        self._given = ref(optimizer)
        self._leader = ref(optimizer)
        self._shared = shared
        self._on_update = on_update
        self._passes = 0  # since the last update
        self._told = False
        self._hook = register_optimizer_step_post_hook(self._stepped)

    def begin_pass(self, passes: int) -> None:
        """Note a backward pass, of so many that make an update."""
        self._passes += 1
        if self._passes > _PATIENCE * passes and not self._told:
            self._told = True
            _logger.warning(
                "trajlab has seen %d backward passes and no update since: neither the optimizer "
                "that was given nor another one of these parameters has stepped; pass optimizer= "
                "the one that calls step(), or step= at each call",
                self._passes - 1,
            )

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first parameter group of the optimizer that counts."""
        leader = self._leader() or self._given()
        groups = groups_of(leader) if leader is not None else []
        return float(groups[0]["lr"]) if groups else float("nan")

    def stop(self) -> None:
        """Watch no more."""
        self._hook.remove()

    def _stepped(self, optimizer: Optimizer, *_: object) -> None:
        if LossScale.skips_inside(optimizer):
            return
        if optimizer is not self._leader():
            if not self._passes or not self._holds(optimizer):
                return  # of other parameters, or around the step that has just been counted
            _logger.info(
                "trajlab counts the steps of the %s that has stepped in the place of the optimizer "
                "it was given",
                type(optimizer).__name__,
            )
            self._leader = ref(optimizer)
        self._passes = 0
        self._on_update()

    def _holds(self, optimizer: Optimizer) -> bool:
        """Say whether an optimizer holds parameters of the given one, or shared ones."""
        given = self._given()
        watched = {id(p) for p in (parameters_of(given) if given is not None else ())}
        watched |= {id(p) for p in self._shared()}
        return any(id(p) in watched for p in parameters_of(optimizer))


def groups_of(optimizer: Any) -> list[dict[str, Any]]:
    """Return the parameter groups of an optimizer, or of the one that a wrapper holds.

    Raises
    ------
    TrajlabError
        If there is none.
    """
    groups = getattr(optimizer, "param_groups", None)
    if groups is None:
        inner = (v for v in getattr(optimizer, "__dict__", {}).values() if isinstance(v, Optimizer))
        groups = getattr(next(inner, None), "param_groups", None)
    if groups is None:
        raise TrajlabError(
            f"optimizer={optimizer!r} is no optimizer and holds none; pass the one whose step() "
            "updates the model"
        )
    return list(groups)


def parameters_of(optimizer: Any) -> list[Tensor]:
    """Return the parameters that an optimizer updates."""
    return [parameter for group in groups_of(optimizer) for parameter in group["params"]]


def check_optimizer(optimizer: Any, parameters: Iterable[Tensor]) -> None:
    """Raise if an optimizer updates none of a model's parameters.

    Raises
    ------
    TrajlabError
        Saying what to pass; also if it is no optimizer.
    """
    own = {id(p) for p in parameters}
    held = parameters_of(optimizer)
    if type(optimizer).__module__.startswith("torch.") and not any(id(p) in own for p in held):
        raise TrajlabError(
            "optimizer= updates none of this model's parameters; pass the one that trains it"
        )
