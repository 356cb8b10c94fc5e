"""Squared gradient norms of single examples in one layer, by the cheapest formula that is right."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from trajlab.measure.examples.capture import Call
from trajlab.measure.examples.rerun import rerun_norms

_ELEMENTS = 2**23  # of per-example gradients held at a time: 32 MiB in float32


def layer_norms(call: Call, parameters: Mapping[str, Tensor], gradient: Tensor) -> Tensor | None:
    """Compute ‖∇ℓ_i‖² of a layer's parameters for every example i.

    Parameters
    ----------
    call : Call
        A call of n examples that are kept apart behind it.
    parameters : mapping of str to Tensor
        Parameters to differentiate for, by their names in the layer.
    gradient : Tensor
        Gradient of the summed losses at the call's output, shape (n, …).

    Returns
    -------
    Tensor or None
        float64, shape (n,); None if no formula is right for the layer.

    References
    ----------
    I. Goodfellow, *Efficient Per-Example Gradient Computations* (2015), arXiv:1510.01799, for the
    Linear layer.
    """
    module = call.module
    plain = parameters.keys() <= {"weight", "bias"} and "forward" not in vars(module)
    if plain and not call.written()[0]:
        inputs = call.input
        if type(module) is nn.Linear:
            return _linear_norms(parameters, inputs, gradient)
        if type(module) is nn.Conv2d and _is_linear_on_patches(module):
            size = inputs[0].numel() * module.weight[0, 0].numel()
            return torch.cat(
                [
                    _linear_norms(parameters, _patches(module, a), b.flatten(2).mT)
                    for a, b in _chunks(size, inputs, gradient)
                ]
            )
        if type(module) is nn.Embedding and not module.scale_grad_by_freq:
            return _embedding_norms(module, inputs, gradient)
    if isinstance(module, nn.Embedding | nn.EmbeddingBag) and (
        module.max_norm is not None  # its forward pass writes the weights
        or module.scale_grad_by_freq  # by how often the whole batch looks them up
    ):
        return None
    return rerun_norms(call, parameters, gradient, elements=_ELEMENTS)


def _is_linear_on_patches(module: nn.Conv2d) -> bool:
    return module.groups == 1 and module.padding_mode == "zeros" and module.padding != "same"


def _patches(module: nn.Conv2d, inputs: Tensor) -> Tensor:
    """Return what each output position of a convolution sees, shape (n, position, value)."""
    padding = 0 if isinstance(module.padding, str) else module.padding
    return nn.functional.unfold(
        inputs, module.kernel_size, module.dilation, padding, module.stride
    ).mT


def _linear_norms(parameters: Mapping[str, Tensor], inputs: Tensor, gradient: Tensor) -> Tensor:
    n, width, out = len(inputs), inputs.shape[-1], gradient.shape[-1]
    a, b = inputs.reshape(n, -1, width).to(gradient.dtype), gradient.reshape(n, -1, out)
    rows = a.shape[1]
    norms = torch.zeros(n, dtype=torch.float64, device=gradient.device)
    if "bias" in parameters:
        norms += _squares(b.sum(1))
    if "weight" in parameters:
        if rows == 1:
            norms += _squares(a) * _squares(b)
        elif rows * (width + out) < width * out:
            norms += ((a @ a.mT).double() * (b @ b.mT).double()).sum((1, 2))
        else:
            norms += torch.cat([_squares(y.mT @ x) for x, y in _chunks(width * out, a, b)])
    return norms


def _embedding_norms(module: nn.Embedding, indices: Tensor, gradient: Tensor) -> Tensor:
    """Sum the products of the gradients at places where the same row was looked up."""
    n = len(indices)
    places = indices.reshape(n, -1)
    slopes = gradient.reshape(n, places.shape[1], -1)
    parts = []
    for index, slope in _chunks(places.shape[1] ** 2, places, slopes):
        same = index[:, :, None] == index[:, None, :]
        if module.padding_idx is not None:
            same &= (index != module.padding_idx)[:, :, None]
        parts.append((same * (slope.double() @ slope.double().mT)).sum((1, 2)))
    return torch.cat(parts)


def _chunks(size: int, left: Tensor, right: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Split along the first axis, so that gradients of `size` elements fit."""
    length = max(1, _ELEMENTS // max(size, 1))
    return zip(torch.split(left, length), torch.split(right, length), strict=True)


def _squares(rows: Tensor) -> Tensor:
    return rows.flatten(1).double().square().sum(1)
