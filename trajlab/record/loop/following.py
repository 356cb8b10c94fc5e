"""Shared parameters by name, while training freezes, unfreezes, adds and replaces parameters."""

import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from trajlab.errors import TrajlabError
from trajlab.record.loop.setup import Setup
from trajlab.record.loop.shared import discover_shared, losses_by_parameter
from trajlab.record.loop.wrappers import is_sharded
from trajlab.store import Column, Table, Trajectory

_logger = logging.getLogger("trajlab")
CHANGES = Table(
    "shared_parameters",
    (
        Column("added", dtype="str", description="parameters that are shared from this step on"),
        Column("removed", dtype="str", description="parameters that are not shared any more"),
    ),
)
_Parameters = Mapping[str, nn.Parameter]
_GONE = nn.Parameter(torch.empty(0))  # one that the model has no more


class Following:
    """The shared parameters that are trainable at present.

    A module that was given, or of which all parameters were, is looked up by its name, so what it
    gains counts; other parameters that were given are looked up by theirs. Where nothing was given,
    those that were found once stay shared, and others are looked for on the graph when the model's
    parameters have changed.

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
        self._searching = False  # for what became shared, until a batch has enough losses
        self._told: set[tuple[str, ...]] = set()
        self._recorded: _Parameters | None = None  # by the session before, until the first look

    def resume(self, run: Trajectory, step: int) -> None:
        """Go on from the parameters that were shared at a step of what was recorded."""
        names = dict(self._model.named_parameters())
        recorded = shared_at(run, step)
        if run.shared:  # it came to know some
            self._recorded = {name: names.get(name, _GONE) for name in recorded}
        self.ever = tuple(dict.fromkeys([*run.shared, *self.ever]))

    def present(self) -> Iterable[Tensor]:
        """Return the shared parameters as the model has them now; all if none is shared now."""
        known = self._fixed or _signature(self._model) == self._signature
        parameters = self.parameters if known or self._look_up is None else self._look_up()
        return parameters.values() if parameters else self._model.parameters()

    def follow(self, losses: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
        """Look at the model once more.

        Parameters
        ----------
        losses : mapping of str to Tensor
            The losses of the current batch; empty where there is none.

        Returns
        -------
        added, removed : list of str
            Names of shared parameters, if they were known before and have changed; of one that has
            another shape now, both.

        Raises
        ------
        TrajlabError
            If what the tasks share has to be found from the graph for the first time, and cannot.
        """
        signature = self._signature if self._fixed else _signature(self._model)
        search = self._searching and len(losses) >= min(2, len(self._tasks))
        same = signature == self._signature and self._recorded is None
        if self.parameters is not None and same and not search:
            return [], []
        parameters = self._find(losses)
        if parameters is None:
            return [], []  # wait for a batch that tells
        before = self.parameters if self._recorded is None else self._recorded
        self.parameters, self._signature, self._recorded = parameters, signature, None
        known = {*self.ever, *parameters}
        names = [name for name, _ in self._model.named_parameters() if name in known]
        self.ever = (*names, *(name for name in self.ever if name not in names))
        if before is None:
            return [], []
        added = [name for name, p in parameters.items() if _shape(before.get(name)) != _shape(p)]
        removed = [name for name, p in before.items() if _shape(parameters.get(name)) != _shape(p)]
        if added or removed:
            self._tell(added, removed)
        return added, removed

    def _find(self, losses: Mapping[str, Tensor]) -> _Parameters | None:
        if self._look_up is not None:
            return self._look_up()
        if self.parameters is None:
            return discover_shared(self._model, self._tasks, losses) if losses else None
        needed = min(2, len(self._tasks))
        self._searching = len(losses) < needed
        names = set(self.ever)
        if not self._searching:
            try:
                numbers = losses_by_parameter(self._model, losses)
            except TrajlabError as error:
                self._say("trajlab keeps to the shared parameters known by name: %s", str(error))
            else:
                names |= {name for name, number in numbers.items() if number >= needed}
        every = self._model.named_parameters()
        return {name: p for name, p in every if name in names and p.requires_grad}

    def _tell(self, added: list[str], removed: list[str]) -> None:
        names = {name for name, _ in self._model.named_parameters()}
        gone = [name for name in removed if name not in names]
        frozen = [name for name in removed if name in names and name not in added]
        changes = (("added", added), ("left out", frozen), ("gone", gone))
        self._say(
            "trajlab measures other shared parameters from this step on: %s; the table "
            "shared_parameters says where%s (said once)",
            "; ".join(f"{what} {', '.join(some)}" for what, some in changes if some),
            "; if others take the place of those gone, make a recorder with them as shared="
            if gone and not added
            else "",
        )

    def _say(self, sentence: str, *words: str) -> None:
        """Warn the first time; what is frozen and unfrozen in turn would be said for ever."""
        if (sentence, *words) not in self._told:
            self._told.add((sentence, *words))
            _logger.warning(sentence, *words)


def shared_at(run: Trajectory, step: int) -> list[str]:
    """Return the names of the parameters that were shared just before a step of a run."""
    if CHANGES.name not in run.tables:
        return list(run.shared)
    table = run.table(CHANGES.name)
    events: dict[str, list[tuple[int, bool]]] = {name: [] for name in run.shared}
    for column, there in (("removed", False), ("added", True)):  # one in both has another shape
        for at, names in zip(table["step"], table[column], strict=True):
            for name in filter(None, names.split(", ")):
                events.setdefault(name, []).append((int(at), there))
    shared = []
    for name, changes in events.items():
        changes.sort()
        earlier = [there for at, there in changes if at < step]
        from_the_start = not changes or not changes[0][1]
        if earlier[-1] if earlier else from_the_start:
            shared.append(name)
    return shared


def _look_up(
    model: nn.Module, shared: nn.Module | Iterable[nn.Parameter] | None
) -> Callable[[], _Parameters] | None:
    """Return a function that finds the trainable ones of what was given, by its names."""
    if shared is None:
        return None
    paths, names = _names(model, shared)

    def look_up() -> _Parameters:
        modules = dict(model.named_modules(remove_duplicate=False))
        there = (modules[path].parameters() for path in paths if path in modules)
        inside = {id(parameter) for parameter in chain.from_iterable(there)}
        every = model.named_parameters()
        return {n: p for n, p in every if (n in names or id(p) in inside) and p.requires_grad}

    return look_up


def _names(
    model: nn.Module, shared: nn.Module | Iterable[nn.Parameter]
) -> tuple[list[str], set[str]]:
    """Return the names of the largest modules that were given whole, and of other parameters."""
    for path, module in model.named_modules():
        if module is shared:
            return [path], set()
    given = {id(p) for p in (shared.parameters() if isinstance(shared, nn.Module) else shared)}
    every = [name for name, _ in model.named_parameters()]
    left = {name for name, p in model.named_parameters() if id(p) in given}
    paths = []
    for path, _ in model.named_modules():
        inside = {name for name in every if not path or name.startswith(f"{path}.")}
        if inside and inside <= left:
            paths.append(path)
            left -= inside
    return paths, left


def _shape(parameter: Tensor | None) -> torch.Size | None:
    """Return the shape of a parameter that is there, and not to be made by the first batch."""
    return None if parameter is None or is_lazy(parameter) else parameter.shape


def _signature(model: nn.Module) -> list[tuple[int, bool]]:
    """Return what changes when parameters are frozen, unfrozen, added, removed or replaced."""
    return [
        (id(parameter), parameter.requires_grad)
        for module in model.modules()
        for parameter in module._parameters.values()
        if parameter is not None
    ]
