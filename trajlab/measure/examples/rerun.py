"""Gradients of single examples by running a layer's forward pass again, all examples at once."""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from trajlab.measure.examples.capture import Call
from trajlab.measure.functional import evaluate_at

_ATTENTION = ("query", "key", "value", "key_padding_mask", "attn_mask", "is_causal")
_APART = (  # in evaluation mode they treat one example as they treat many
    nn.GroupNorm,
    nn.LayerNorm,
    nn.PReLU,
    nn.RMSNorm,
    nn.modules.batchnorm._NormBase,
    nn.modules.conv._ConvNd,
)
_MASK = _ATTENTION.index("attn_mask")


def rerun_norms(
    call: Call, parameters: Mapping[str, Tensor], gradient: Tensor, *, elements: int
) -> Tensor | None:
    """Compute ‖∇ℓ_i‖² of a layer's parameters for every example i.

    ``forward`` itself is called, with all arguments that the call had, so that hooks of the user do
    not act again. What it gives has to be what it gave in the batch: that is how a layer which
    mixes its examples, or draws at random, is told.

    Parameters
    ----------
    call : Call
        A call of n examples.
    parameters : mapping of str to Tensor
        Parameters to differentiate for, by their names in the layer.
    gradient : Tensor
        Gradient of the summed losses at the call's output, shape (n, …).
    elements : int
        Numbers of per-example gradients that may be held at a time.

    Returns
    -------
    Tensor or None
        float64, shape (n,); None if the pass cannot be run again for single examples.
    """
    module = call.module
    arguments_written, output_written = call.written()
    of_torch = type(module).__module__.startswith("torch.nn.") and "forward" not in vars(module)
    if arguments_written or module._forward_pre_hooks or (output_written and not of_torch):
        return None
    apart = of_torch and isinstance(module, _APART) and not module.training
    n = len(gradient)
    leaves, structure = _arguments(call)
    attention = isinstance(module, nn.MultiheadAttention)
    values = {name: p.detach() for name, p in parameters.items()}
    dtype = next(iter(values.values())).dtype  # under autocast, activations have another
    batched = {
        place: leaf.to(dtype) if leaf.is_floating_point() else leaf
        for place, leaf in enumerate(leaves)
        if isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == n
        if not (attention and place == _MASK and leaf.ndim == 2)
    }

    def norm(example: dict[int, Tensor], slope: Tensor) -> tuple[Tensor, Tensor]:
        def forward(at: dict[str, Tensor]) -> Tensor:
            given = [
                (example[place] if of_torch else example[place].clone())[None]
                if place in example
                else leaf
                for place, leaf in enumerate(leaves)
            ]
            if attention and _MASK in example:
                given[_MASK] = example[_MASK]  # a mask for each head
            positional, keywords = tree_unflatten(given, structure)
            output = evaluate_at(at, module, lambda m: m.forward(*positional, **keywords))
            first: Tensor = tree_flatten(output)[0][0]
            return first[0]

        output, pull_back = vjp(forward, values)  # type: ignore[misc]
        (slopes,) = pull_back(slope.to(output.dtype))
        return torch.stack([g.double().square().sum() for g in slopes.values()]).sum(), output

    length = max(1, elements // sum(p.numel() for p in values.values()))
    parts = []
    try:
        with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):  # fused ones have no vmap
            warnings.simplefilter("ignore")  # of operations that vmap has to loop over
            for start in range(0, n, length):
                part = slice(start, start + length)
                examples = {place: leaf[part] for place, leaf in batched.items()}
                norms, outputs = vmap(norm, randomness="same")(examples, gradient[part])
                if not apart and not output_written and not _near(outputs, call.value[part]):
                    return None
                parts.append(norms)
    except torch.OutOfMemoryError:
        raise
    except Exception:
        return None
    return torch.cat(parts)


def _arguments(call: Call) -> tuple[list[Any], TreeSpec]:
    """Return the arguments, of which tensors of n rows are the examples'."""
    if not isinstance(call.module, nn.MultiheadAttention):
        return list(call.arguments), call.structure
    positional, keywords = tree_unflatten(list(call.arguments), call.structure)
    given = inspect.signature(call.module.forward).bind(*positional, **keywords)
    given.apply_defaults()
    chosen = {name: given.arguments[name] for name in _ATTENTION} | {"need_weights": False}
    mask = chosen["attn_mask"]
    if mask is not None and mask.ndim == 3:
        chosen["attn_mask"] = mask.view(-1, call.module.num_heads, *mask.shape[1:])
    return tree_flatten(((), chosen))


def _near(outputs: Tensor, expected: Tensor) -> bool:
    if outputs.shape != expected.shape:
        return False
    outputs, expected = outputs.flatten(1), expected.flatten(1)
    eps = max(torch.finfo(t.dtype).eps for t in (outputs, expected))
    largest = expected.abs().amax(1, keepdim=True) if expected.numel() else expected
    same = (outputs - expected).abs() <= eps**0.5 * largest
    return bool((same | (outputs.isnan() & expected.isnan())).all())
