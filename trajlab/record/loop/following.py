"""Shared parameters by name, while training freezes, unfreezes, adds and replaces parameters."""

import logging
from collections.abc import Callable, Iterable, Mapping

from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.record.loop.setup import Setup
from trajlab.record.loop.shared import discover_shared
from trajlab.record.loop.wrappers import has_compiled_graph, is_sharded
from trajlab.store import Column, Table

_logger = logging.getLogger("trajlab")
CHANGES = Table(
    "shared_parameters",
    (
        Column("added", dtype="str", description="parameters that are shared from this step on"),
        Column("removed", dtype="str", description="parameters that are not shared any more"),
    ),
)
_Parameters = Mapping[str, nn.Parameter]


class Following:
    """The shared parameters that are trainable at present.

    A module that was given is looked up by its name, so what it gains counts; parameters that were
    given are looked up by theirs; without either, they are found from the graph once more when the
    model's parameters have changed.

    Parameters
    ----------
    setup : Setup
        What the recorder is made with.

    Attributes
    ----------
    parameters : mapping of str to nn.Parameter, or None
        By qualified name, the same object as long as they are the same; None until they are found.
    ever : tuple of str
        The names of all that were shared so far, in the model's order.
    """

    def __init__(self, setup: Setup) -> None:
        self._model: nn.Module = setup.inner
        self._tasks = setup.tasks
        self.parameters: _Parameters | None = setup.parameters
        self.ever: tuple[str, ...] = tuple(setup.parameters or ())
        self._look_up = _look_up(self._model, setup.shared)
        self._signature = _signature(self._model)
        self._fixed = is_sharded(setup.model)  # its modules hold others while they are called

    def present(self) -> Iterable[Tensor]:
        """Return the shared parameters as the model has them now."""
        known = self._fixed or _signature(self._model) == self._signature
        if self._look_up is not None and not known:
            return self._look_up().values()
        return (self.parameters or {}).values()

    def follow(self, losses: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
        """Look at the model once more.

        Parameters
        ----------
        losses : mapping of str to Tensor
            The losses of the current batch; empty where there is none.

        Returns
        -------
        added, removed : list of str
            Names of shared parameters, if they were known before and have changed.

        Raises
        ------
        TrajlabError
            If what the tasks share has to be found from the graph, and cannot be.
        """
        signature = self._signature if self._fixed else _signature(self._model)
        if self.parameters is not None and signature == self._signature:
            return [], []
        found = self._present(losses)
        if found is None:
            return [], []  # wait for a batch that tells
        before, self.parameters, self._signature = self.parameters, found, signature
        known = {*self.ever, *found}
        names = [name for name, _ in self._model.named_parameters() if name in known]
        self.ever = (*names, *(name for name in self.ever if name not in names))
        if before is None or before.keys() == found.keys():
            return [], []
        added = [name for name in found if name not in before]
        removed = [name for name in before if name not in found]
        _tell(added, removed, {name for name, _ in self._model.named_parameters()})
        return added, removed

    def _present(self, losses: Mapping[str, Tensor]) -> _Parameters | None:
        if self._look_up is not None:
            return self._look_up()
        if not losses:
            return None
        if self.parameters is not None:
            return self._found_again(losses)
        if has_compiled_graph(losses.values()):
            raise TrajlabError(
                "the losses come from a compiled graph, which hides what the tasks share; pass "
                "shared="
            )
        return discover_shared(self._model, self._tasks, losses)

    def _found_again(self, losses: Mapping[str, Tensor]) -> _Parameters | None:
        """Find them once more; those known by name where the graph does not tell."""
        if len(losses) < min(2, len(self._tasks)):
            return None
        try:
            return discover_shared(self._model, self._tasks, losses)
        except TrajlabError as error:
            _logger.warning("trajlab keeps to the shared parameters known by name: %s", error)
            names = dict(self._model.named_parameters())
            return {n: names[n] for n in self.ever if n in names and names[n].requires_grad}


def _look_up(
    model: nn.Module, shared: nn.Module | Iterable[nn.Parameter] | None
) -> Callable[[], _Parameters] | None:
    """Return a function that finds the trainable ones of what was given, by its names."""
    if shared is None:
        return None
    path = next((name for name, module in model.named_modules() if module is shared), None)
    given = shared.parameters() if isinstance(shared, nn.Module) else shared
    identities = {id(parameter) for parameter in given}
    names = {name for name, p in model.named_parameters() if id(p) in identities}

    def look_up() -> _Parameters:
        chosen = names
        if path is not None:
            inside = {id(p) for p in model.get_submodule(path).parameters()}
            chosen = {name for name, p in model.named_parameters() if id(p) in inside}
        return {n: p for n, p in model.named_parameters() if n in chosen and p.requires_grad}

    return look_up


def _signature(model: nn.Module) -> list[tuple[int, bool]]:
    """Return what changes when parameters are frozen, unfrozen, added, removed or replaced."""
    return [
        (id(parameter), parameter.requires_grad)
        for module in model.modules()
        for parameter in module._parameters.values()
        if parameter is not None
    ]


def _tell(added: list[str], removed: list[str], names: set[str]) -> None:
    gone = [name for name in removed if name not in names]
    frozen = [name for name in removed if name in names]
    _logger.warning(
        "trajlab measures other shared parameters from this step on: %s; the table "
        "shared_parameters says where%s",
        "; ".join(
            f"{what} {', '.join(some)}"
            for what, some in (("added", added), ("left out", frozen), ("gone", gone))
            if some
        ),
        "" if added or not gone else "; pass shared= a module, so that what takes a place counts",
    )
