"""Which parameters the tasks share."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.measure.guard import guard
from trajlab.record.loop.reach import reached
from trajlab.record.loop.wrappers import hidden_part

_logger = logging.getLogger("trajlab")


def name_shared(
    model: nn.Module, shared: nn.Module | Iterable[nn.Parameter]
) -> dict[str, nn.Parameter]:
    """Name the given parameters as the model does.

    Parameters
    ----------
    model : nn.Module
        The model that owns them.
    shared : nn.Module or iterable of nn.Parameter
        A submodule, or parameters.

    Returns
    -------
    dict of str to nn.Parameter
        The trainable ones in the model's order, each once.

    Raises
    ------
    TrajlabError
        If one is not the model's, or none is trainable.
    """
    chosen = list(shared.parameters() if isinstance(shared, nn.Module) else shared)
    for each in chosen:
        if not isinstance(each, Tensor):
            raise TrajlabError(
                f"shared= holds {each!r}, which is no parameter; give a submodule of the model or "
                "some of its parameters, not their names"
            )
    wanted = {id(parameter) for parameter in chosen}
    found = {name: p for name, p in model.named_parameters() if id(p) in wanted}
    if len(found) < len(wanted):
        raise TrajlabError(
            f"shared= holds {len(wanted) - len(found)} parameters that are not the model's; give "
            "a submodule of the model or some of its parameters"
        )
    trainable = {name: p for name, p in found.items() if p.requires_grad}
    if not trainable:
        raise TrajlabError("shared= holds no trainable parameter; give the part that tasks share")
    return trainable


def discover_shared(
    model: nn.Module, tasks: Sequence[str], losses: Mapping[str, Tensor]
) -> dict[str, nn.Parameter]:
    """Find the parameters that two or more losses reach, from their graph, and say which.

    With one task, all parameters that it reaches.

    Parameters
    ----------
    model : nn.Module
        The model that owns them.
    tasks : sequence of str
        All declared tasks.
    losses : mapping of str to Tensor
        The losses of one step.

    Returns
    -------
    dict of str to nn.Parameter
        In the model's order, each once.

    Raises
    ------
    TrajlabError
        If fewer than two of several tasks are in `losses`, nothing is shared, or a part of the
        graph hides its parameters.
    """
    needed = min(2, len(tasks))
    if len(losses) < needed:
        raise TrajlabError(
            f"the first step has no loss but {', '.join(losses)!r}, so what the tasks share cannot "
            "be found; pass shared="
        )
    numbers = losses_by_parameter(model, losses)
    shared = {n: p for n, p in model.named_parameters() if numbers.get(n, 0) >= needed}
    if not shared:
        raise TrajlabError("no two task losses reach a common parameter of the model; pass shared=")
    if needed > 1 and numbers.keys() == shared.keys():
        _logger.warning(
            "every parameter that a loss reaches is reached by others too, so trajlab takes all of "
            "them as shared; if some are heads, pass shared= the part that the tasks share"
        )
        return shared
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in shared))
    _logger.warning(
        "trajlab found %d shared parameters in the layers %s; pass shared= to choose others",
        len(shared),
        ", ".join(layers),
    )
    return shared


def losses_by_parameter(model: nn.Module, losses: Mapping[str, Tensor]) -> dict[str, int]:
    """Return how many of the losses reach each parameter that any reaches, by name.

    Raises
    ------
    TrajlabError
        If a part of the graph hides its parameters.
    """
    hidden = hidden_part(losses.values())
    if hidden:
        raise TrajlabError(
            f"the losses come from {hidden}, which hides what the tasks share; pass shared="
        )
    with guard(model):  # a checkpoint runs its part again
        reach = reached(list(losses.values()))
    numbers = {n: sum(id(p) in ids for ids in reach) for n, p in model.named_parameters()}
    return {name: number for name, number in numbers.items() if number}
