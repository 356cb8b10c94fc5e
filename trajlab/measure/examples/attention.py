"""Calls of attention layers, and the gradients of single examples in them."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.func import functional_call, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from trajlab.measure.examples.capture import Call, Capture


@dataclass(frozen=True)
class AttentionCall(Call):
    """One pass of a batch through an ``nn.MultiheadAttention`` with ``batch_first=True``.

    Attributes
    ----------
    key, value : Tensor
        Its further inputs, detached; `input` is the query.
    padding, mask : Tensor or None
        ``key_padding_mask`` and ``attn_mask``.
    weights : GradientEdge or None
        Of the attention weights that it gave beside its output.
    """

    key: Tensor
    value: Tensor
    padding: Tensor | None
    mask: Tensor | None
    weights: GradientEdge | None


@contextmanager
def capture_attention(capture: Capture) -> Iterator[None]:
    """Add the calls of watched attention layers to ``capture.calls``; it catches no tuples itself.

    By hooks on the layers, which are removed on exit. Dropout would be drawn anew: a layer that
    draws is left out.
    """
    handles = [
        module.register_forward_hook(partial(_catch, capture, name), with_kwargs=True)
        for name, module in capture.layers.items()
        if isinstance(module, nn.MultiheadAttention) and module.batch_first
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _catch(
    capture: Capture,
    name: str,
    module: nn.MultiheadAttention,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    outputs: tuple[Tensor, Tensor | None],
) -> None:
    given = inspect.signature(module.forward).bind(*arguments, **keywords).arguments
    output, weights = outputs
    draws = module.training and module.dropout > 0
    if output.grad_fn is None or output.ndim != 3 or draws:
        return
    edge = None if weights is None or weights.grad_fn is None else get_gradient_edge(weights)
    capture.calls[name] = AttentionCall(
        module,
        given["query"].detach(),
        get_gradient_edge(output),
        output.shape,
        given["key"].detach(),
        given["value"].detach(),
        given.get("key_padding_mask"),
        given.get("attn_mask"),
        edge,
    )


def attention_norms(
    call: AttentionCall, own: Mapping[str, Tensor], outputs: Tensor, length: int
) -> Tensor:
    """Compute the squared norm of each example's gradient in an attention layer.

    Its forward pass is run again, for `length` examples at a time.

    Parameters
    ----------
    call : AttentionCall
        Of n examples.
    own : mapping of str to Tensor
        The layer's parameters that count, by their names in it.
    outputs : Tensor
        Gradient of the output, shape (n, position, width).
    length : int
        Examples at a time.

    Returns
    -------
    Tensor
        float64, shape (n,).
    """
    values = {name: p.detach() for name, p in own.items()}
    mask, each = call.mask, call.mask is not None and call.mask.ndim == 3
    if mask is not None and each:  # one for each example and head
        mask = mask.view(len(call.input), -1, *mask.shape[1:])

    def norm(
        query: Tensor, key: Tensor, value: Tensor, slope: Tensor, padding: Any, mask: Any
    ) -> Tensor:
        def forward(p: Mapping[str, Tensor]) -> Tensor:
            given = (query[None], key[None], value[None])
            further = {"attn_mask": mask, "need_weights": False}
            if padding is not None:
                further["key_padding_mask"] = padding[None]
            output: Tensor = functional_call(call.module, dict(p), given, further)[0]
            return output

        (found,) = vjp(forward, values)[1](slope[None])
        return torch.stack([g.double().square().sum() for g in found.values()]).sum()

    found = []
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels cannot be batched
        for start in range(0, len(outputs), length):
            part = slice(start, start + length)
            padding = None if call.padding is None else call.padding[part]
            masks = mask[part] if mask is not None and each else mask
            dims = (0, 0, 0, 0, None if padding is None else 0, 0 if each else None)
            found.append(
                vmap(norm, in_dims=dims)(
                    call.input[part],
                    call.key[part],
                    call.value[part],
                    outputs[part],
                    padding,
                    masks,
                )
            )
    return torch.cat(found)
