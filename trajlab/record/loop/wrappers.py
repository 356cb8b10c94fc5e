"""Models inside others: compiled ones, replicas of several processes, shards."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trajlab.errors import TrajlabError
from trajlab.measure.graph import below_losses

_HIDING = {  # by the name of its node
    "CompiledFunctionBackward": "a compiled graph",
    "CheckpointFunctionBackward": "a reentrant checkpoint (use_reentrant=False hides nothing)",
}


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model that ``torch.compile`` or ``DistributedDataParallel`` wraps.

    Its parameters then have the same names however a run was trained, and what probes compute on
    data of their own is neither compiled nor waits for other processes.
    """
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, DistributedDataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner


def compiled_part(model: nn.Module) -> str | None:
    """Return words for the part of a model that is compiled, None if none is."""
    for name, module in model.named_modules():
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            return f"the submodule {name}" if name else "the model"
    return None


def refuse_compiled(model: nn.Module, what: str, remedy: str) -> None:
    """Raise if the model or a part of it is compiled.

    Raises
    ------
    TrajlabError
        Naming the compiled module, what cannot be done with it, and what to do.
    """
    part = compiled_part(model)
    if part is not None:
        raise TrajlabError(f"{part} is compiled, and {what}; {remedy}")


def is_sharded(model: nn.Module) -> bool:
    """Say whether a part of the model was given to ``fully_shard``."""
    return any(
        base.__name__ == "FSDPModule"  # its module moved between versions of torch
        for module in model.modules()
        for base in type(module).__mro__
    )


def hidden_part(losses: Iterable[Tensor]) -> str | None:
    """Return words for a part of the losses' graph that hides its parameters, None if none does."""
    names = (node.name() for node in below_losses(losses))
    return next((_HIDING[name] for name in names if name in _HIDING), None)
