"""The exact Gram matrix of task gradients: one autograd pass a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK = 2**14  # coordinates; in float64, those of 8 tasks fill 1 MiB of cache


@dataclass(frozen=True)
class TaskGram:
    """Inner products of task gradients, layer by layer.

    Attributes
    ----------
    layers : tuple of str
        Qualified names of the modules that directly own the parameters, in the parameters' order.
    gram : Tensor
        float64, shape (layer, task, task): ``gram[l, s, t]`` is the inner product of the gradients
        of tasks s and t with respect to the parameters of layer l. The sum over layers is the Gram
        matrix of the whole. An omitted task's row and column are NaN.
    """

    layers: tuple[str, ...]
    gram: Tensor


def group_by_layer(parameters: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Group parameters by the layer that owns them.

    A layer is a module that directly owns parameters. Its qualified name is the parameter's without
    the last part, and the model itself is ``""``. ``named_parameters`` names a tied parameter once,
    where it first occurs, so it counts there.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        Parameters by qualified name, as ``Module.named_parameters`` gives them.

    Returns
    -------
    dict of str to list of str
        The names of each layer's parameters, in the given order.
    """
    layers: dict[str, list[str]] = {}
    for name in parameters:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    return layers


def task_gram(losses: Sequence[Tensor | None], parameters: Mapping[str, Tensor]) -> TaskGram:
    """Compute the Gram matrix of the losses' gradients for each layer.

    The graph of the losses is retained and stays usable; no ``.grad`` is touched.

    Parameters
    ----------
    losses : sequence of Tensor or None
        One scalar a task, on one graph or several. None for an omitted task; a loss that needs no
        gradient has the gradient zero.
    parameters : mapping of str to Tensor
        The parameters to differentiate for, by qualified name. One that a loss does not reach, or
        that is frozen, has the gradient zero.

    Returns
    -------
    TaskGram
        Accumulated in float64, whatever the parameters' type.
    """
    layers = group_by_layer(parameters)
    trainable = {name: p for name, p in parameters.items() if p.requires_grad}
    gradients = [_gradients(loss, trainable) for loss in losses]
    device = next((p.device for p in parameters.values()), torch.device("cpu"))
    gram = torch.zeros(len(layers), len(losses), len(losses), dtype=torch.float64, device=device)
    for block, names in zip(gram, layers.values(), strict=True):
        for name in names:
            if name in trainable:
                block += _inner_products([g.get(name) for g in gradients], trainable[name]).to(
                    device
                )
    gram = (gram + gram.mT) / 2  # a product may round its two triangles differently
    omitted = [t for t, loss in enumerate(losses) if loss is None]
    gram[:, omitted, :] = gram[:, :, omitted] = torch.nan
    return TaskGram(tuple(layers), gram)


def _gradients(loss: Tensor | None, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if loss is None or not loss.requires_grad or not parameters:
        return {}
    found = torch.autograd.grad(
        loss, list(parameters.values()), retain_graph=True, allow_unused=True
    )
    return {name: g for name, g in zip(parameters, found, strict=True) if g is not None}


def _inner_products(gradients: Sequence[Tensor | None], parameter: Tensor) -> Tensor:
    """Return the Gram matrix for one parameter, some coordinates at a time to spare memory."""
    rows = [_coordinates(g if g is not None else torch.zeros_like(parameter)) for g in gradients]
    gram = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=parameter.device)
    for chunks in zip(*(torch.split(row, _CHUNK) for row in rows), strict=True):
        chunk = torch.stack(chunks).double()
        gram.addmm_(chunk, chunk.mT)
    return gram


def _coordinates(gradient: Tensor) -> Tensor:
    """Flatten a gradient into real numbers whose products are the inner products."""
    dense = gradient.detach().to_dense()  # nn.Embedding(sparse=True)
    return (torch.view_as_real(dense) if dense.is_complex() else dense).reshape(-1)
