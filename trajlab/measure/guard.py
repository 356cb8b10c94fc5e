"""One guard around every measurement, so that measuring never changes training."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

_HOOKS = (
    "_forward_pre_hooks",
    "_forward_hooks",
    "_backward_pre_hooks",
    "_backward_hooks",
    # which of them are called with keywords, or after an exception too
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
)


@contextmanager
def guard(model: nn.Module) -> Iterator[None]:
    """Restore on exit whatever a measurement may change in the model or the process.

    Inside, the parameters have no ``.grad``, buffers are copies, gradients are enabled, and
    autocast and inference mode are off. On exit, by an exception too, these are as they were:
    ``.grad`` of every parameter (the same tensors), train/eval flags and hooks of every submodule,
    buffers (the same tensors), tables that ``max_norm`` clips, the random states of torch (CPU and
    CUDA), NumPy and Python, and the autograd and autocast modes. What the measurement accumulated
    in ``.grad`` is dropped, and with it any graph it holds.

    Tensor hooks, and ``retain_grad`` on activations of the training graph, also fire for a
    measurement's backward passes; no guard can tell them apart.

    Parameters
    ----------
    model : nn.Module
        The model that is measured.
    """
    modules = list(model.modules())
    with ExitStack() as stack:
        for part in PARTS:
            stack.enter_context(part(modules))
        yield


@contextmanager
def _gradients(modules: Sequence[nn.Module]) -> Iterator[None]:
    parameters = [p for m in modules for p in m._parameters.values() if p is not None]
    saved = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in zip(parameters, saved, strict=True):
            parameter.grad = gradient


@contextmanager
def _modes(modules: Sequence[nn.Module]) -> Iterator[None]:
    saved = [module.training for module in modules]
    try:
        yield
    finally:
        for module, training in zip(modules, saved, strict=True):
            if module.training != training:
                module.training = training  # not .train(): it recurses, and users override it


@contextmanager
def _buffers(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Lend copies of the buffers.

    Writing the old values back would count as a change of tensors that the training graph may have
    saved, and make its backward fail.
    """
    owners = [module for module in modules if module._buffers]
    saved = [dict(module._buffers) for module in owners]
    copies = {
        id(buffer): buffer.detach().clone()
        for buffers in saved
        for buffer in buffers.values()
        if buffer is not None
    }
    for module, buffers in zip(owners, saved, strict=True):
        module._buffers.update({name: copies.get(id(buffer)) for name, buffer in buffers.items()})
    try:
        yield
    finally:
        for module, buffers in zip(owners, saved, strict=True):
            module._buffers.clear()
            module._buffers.update(buffers)


@contextmanager
def _clipped_tables(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Undo what a forward pass does to the rows that ``max_norm`` clips.

    It writes the weights in place. They get their values back without a change that a training
    graph, which may have saved them, would notice.
    """
    tables = [
        module.weight
        for module in modules
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.max_norm is not None
    ]
    saved = [table.detach().clone() for table in tables]
    with ExitStack() as uncounted:
        for table in tables:  # one at a time, as torch 2.6 takes them
            uncounted.enter_context(_unsafe_preserve_version_counter(table))
        try:
            yield
        finally:
            with torch.no_grad():
                for table, values in zip(tables, saved, strict=True):
                    table.copy_(values)


@contextmanager
def _hooks(modules: Sequence[nn.Module]) -> Iterator[None]:
    registries = [getattr(module, name) for module in modules for name in _HOOKS]
    saved = [dict(registry) if registry else {} for registry in registries]
    try:
        yield
    finally:
        for registry, hooks in zip(registries, saved, strict=True):
            if registry or hooks:
                registry.clear()
                registry.update(hooks)


def _torch_random(modules: Sequence[nn.Module]) -> AbstractContextManager[None]:
    # A CUDA that nobody has used yet has no stream to protect, and asking would start it.
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if used else ()
    return torch.random.fork_rng(devices=devices)


@contextmanager
def _numpy_random(modules: Sequence[nn.Module]) -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002 - the global stream is what users' code draws from
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


@contextmanager
def _python_random(modules: Sequence[nn.Module]) -> Iterator[None]:
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def autograd_modes() -> Iterator[None]:
    """Enable gradients, and have autocast and inference mode off: all that torch's own code needs.

    It sets what `torch.autocast` sets, for entering that costs more than all other parts.
    """
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False), autograd_modes():
            yield
        return
    gradients = torch.is_grad_enabled()
    autocast = {device: torch.is_autocast_enabled(device) for device in ("cpu", "cuda")}
    try:
        torch.set_grad_enabled(True)
        for device in autocast:
            torch.set_autocast_enabled(device, False)
        yield
    finally:
        torch.set_grad_enabled(gradients)
        for device, enabled in autocast.items():
            torch.set_autocast_enabled(device, enabled)


def _autograd_modes(modules: Sequence[nn.Module]) -> AbstractContextManager[None]:
    return autograd_modes()


PARTS: tuple[Callable[[Sequence[nn.Module]], AbstractContextManager[None]], ...] = (
    _autograd_modes,  # first: what the others copy must not be inference tensors
    _gradients,
    _modes,
    _buffers,
    _clipped_tables,
    _hooks,
    _torch_random,
    _numpy_random,
    _python_random,
)


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which autocast, left on, lowers the precision of no product.

    Parameters
    ----------
    device : torch.device
        Of the tensors that are multiplied.
    """
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
