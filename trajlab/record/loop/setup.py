"""What a recorder is made with, as it is checked before training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import nn

from trajlab.errors import TrajlabError
from trajlab.record.loop.shared import name_shared
from trajlab.record.loop.updates import check_optimizer
from trajlab.record.loop.wrappers import is_sharded, refuse_compiled, unwrap
from trajlab.record.moment import Predict, TaskLosses


@dataclass(frozen=True, slots=True)
class Setup:
    """The loop that a recorder is made for.

    Attributes
    ----------
    model : nn.Module
        The model as the loop calls it, in whatever wraps it.
    tasks : tuple of str
        All declared tasks.
    parameters : mapping of str to nn.Parameter, or None
        The shared parameters by qualified name; None if they are to be found on the first step.
    shared : nn.Module or sequence of nn.Parameter, or None
        What the tasks share, as it was given.
    optimizer : Optimizer or a wrapper of one, or None
        What updates the parameters, if the recorder knows it.
    task_losses : callable or None
        As in `trajlab.record.moment.Moment`.
    predict : callable or None
        As there.
    """

    model: nn.Module
    tasks: tuple[str, ...]
    parameters: Mapping[str, nn.Parameter] | None
    shared: nn.Module | Sequence[nn.Parameter] | None
    optimizer: Any
    task_losses: TaskLosses | None
    predict: Predict | None

    @property
    def inner(self) -> nn.Module:
        """The model without what wraps it."""
        return unwrap(self.model)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        tasks: Sequence[str],
        shared: nn.Module | Iterable[nn.Parameter] | None,
        **beside: Any,
    ) -> Self:
        """Name what was given as the model does, and check it.

        Parameters
        ----------
        model, tasks, shared
            As a recorder takes them.
        **beside
            `optimizer`, `task_losses` and `predict`.

        Raises
        ------
        TrajlabError
            If task names are not distinct, `shared` is not part of the model, the optimizer is
            another model's, or a graph is needed and cannot tell what is shared; saying what to
            pass.
        """
        names = check_tasks(tasks)
        if not isinstance(model, nn.Module):
            raise TrajlabError(f"the model is a {type(model).__name__}; give the nn.Module")
        for name in ("task_losses", "predict"):
            if beside.get(name) is not None and not callable(beside[name]):
                raise TrajlabError(f"{name}= is no function; give fn(model, batch)")
        given = shared if shared is None or isinstance(shared, nn.Module) else list(shared)
        named = None if given is None else name_shared(unwrap(model), given)
        setup = cls(model=model, tasks=names, parameters=named, shared=given, **beside)
        if setup.optimizer is not None:
            check_optimizer(setup.optimizer, setup.inner.parameters())
        if named is None:
            refuse_compiled(model, "its graph hides what the tasks share", "pass shared=")
            if is_sharded(model):
                raise TrajlabError(
                    "a sharded model's graph hides what the tasks share; pass shared="
                )
        return setup


def check_tasks(tasks: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the tasks.

    Raises
    ------
    TrajlabError
        If there is none, or they are not distinct.
    """
    names = check_names("tasks", tasks)
    if not names or len(set(names)) < len(names):
        raise TrajlabError(f"tasks={tasks!r} must be a list of distinct names")
    return names


def check_names(what: str, names: object) -> tuple[str, ...]:
    """Return names that are given as a list.

    Raises
    ------
    TrajlabError
        If they are one text, or another thing.
    """
    several = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else (0,)
    if not all(isinstance(name, str) for name in several):
        raise TrajlabError(f"{what}={names!r} must be a list of names")
    return several
