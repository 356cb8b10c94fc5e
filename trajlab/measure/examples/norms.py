"""Squared norm of every example's own gradient."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from trajlab.errors import TrajlabError
from trajlab.measure.examples.attention import AttentionCall, attention_norms
from trajlab.measure.examples.capture import Call
from trajlab.measure.layers import group_by_layer

_ELEMENTS = 2**23  # of per-example gradients held at a time: 32 MiB in float32


def sample_norms(
    losses: Tensor, parameters: Mapping[str, Tensor], calls: Mapping[str, Call] | None = None
) -> Tensor:
    """Compute ‖∇ℓ_i‖² for every example i.

    A layer whose call was captured costs no backward pass of its own: its gradients follow from its
    input and its output's gradient. For a Linear layer not even the gradient is formed, where the
    products of the positions are the cheaper way. Parameters that are used elsewhere too (tied
    weights, a layer called twice), or whose layer does not keep examples apart along the first
    axis, are differentiated example by example: exact, one pass an example.

    Parameters
    ----------
    losses : Tensor
        One an example, shape (n,), with the graph. It is retained and no ``.grad`` is touched.
    parameters : mapping of str to Tensor
        What to differentiate for, by qualified name.
    calls : mapping of str to Call, optional
        The layers' calls in this graph, as `trajlab.measure.examples.capture.Capture` caught them.

    Returns
    -------
    Tensor
        float64, shape (n,).

    References
    ----------
    I. Goodfellow, *Efficient Per-Example Gradient Computations* (2015), arXiv:1510.01799, for the
    Linear layer.
    """
    n = len(losses)
    norms = torch.zeros(n, dtype=torch.float64, device=losses.device)
    if not losses.requires_grad or not n:
        return norms
    left = {name: p for name, p in parameters.items() if p.requires_grad}
    layers = group_by_layer(left)
    uses = _uses(losses)
    known = {
        layer: call
        for layer, call in (calls or {}).items()
        if layer in layers
        and call.output.node in uses
        and all(uses[_accumulator(left[name])] == 1 for name in _covered(layer, call, layers))
        and _keeps_to_itself(call, {name.rpartition(".")[2] for name in layers[layer]}, uses)
        and call.input.ndim > 0
        and len(call.input) == n
        and call.shape[:1] == (n,)
    }
    for layer, output in _output_gradients(losses, known).items():
        call = known[layer]
        own = {
            name[len(layer) + 1 :] if layer else name: left.pop(name)
            for name in _covered(layer, call, layers)
        }
        if isinstance(call, AttentionCall):
            length = max(1, _ELEMENTS // sum(p.numel() for p in own.values()))
            norms += attention_norms(call, own, output, length)
        else:
            norms += _layer_norms(call.module, own, call.input, output)
    if left:
        chosen = list(left.values())
        for i in range(n):
            found = torch.autograd.grad(losses[i], chosen, retain_graph=True, allow_unused=True)
            for gradient in found:
                if gradient is not None:
                    norms[i] += _squares(gradient.to_dense()[None])[0]
    return norms


def _covered(layer: str, call: Call, layers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the parameters whose only use is a call; attention projects its output itself."""
    inner = f"{layer}.out_proj" if layer else "out_proj"
    return [*layers[layer], *(layers.get(inner, []) if isinstance(call, AttentionCall) else [])]


def _keeps_to_itself(call: Call, own: Set[str], uses: Mapping[object, int]) -> bool:
    """Say whether the layer's forward pass can be run again, and nothing else it gave was used."""
    if isinstance(call, AttentionCall):
        return call.weights is None or call.weights.node not in uses
    return own <= set(call.module._parameters) and not any(call.module.children())


def refuse_batch_statistics(model: nn.Module) -> None:
    """Raise if examples of a batch reach each other's loss through batch normalisation.

    Raises
    ------
    TrajlabError
        Naming the layer.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (
            module.training or module.running_mean is None
        ):
            raise TrajlabError(
                f"layer {name} normalises over the batch, so a single example has no gradient of "
                "its own; put the model into evaluation mode, with running statistics"
            )


def _uses(losses: Tensor) -> Counter[object]:
    """Count the edges into every node of the graph."""
    assert losses.grad_fn is not None
    uses: Counter[object] = Counter([losses.grad_fn])
    stack = [losses.grad_fn]
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is not None:
                if node not in uses:
                    stack.append(node)
                uses[node] += 1
    return uses


def _accumulator(parameter: Tensor) -> object:
    return torch.autograd.graph.get_gradient_edge(parameter).node


def _output_gradients(losses: Tensor, calls: Mapping[str, Call]) -> dict[str, Tensor]:
    """Return ∂ Σ ℓ / ∂ output of the layers that keep examples apart along their first axis."""
    if not calls:
        return {}
    half = (len(losses) + 1) // 2
    edges = [call.output for call in calls.values()]
    found = {}
    halves = [
        torch.autograd.grad(part.sum(), edges, retain_graph=True, materialize_grads=False)
        for part in (losses[:half], losses[half:])
    ]
    for layer, first, second in zip(calls, *halves, strict=True):
        if first is None or second is None:
            continue
        if not (first[half:].any() or second[:half].any()):
            found[layer] = torch.cat([first[:half], second[half:]])
    return found


def _layer_norms(
    module: nn.Module, own: Mapping[str, Tensor], inputs: Tensor, outputs: Tensor
) -> Tensor:
    plain = own.keys() <= {"weight", "bias"}
    if type(module) is nn.Linear and plain:
        return _linear_norms(own, inputs, outputs)
    if type(module) is nn.Conv2d and plain and _is_linear_on_patches(module):
        size = inputs[0].numel() * module.weight[0, 0].numel()
        return torch.cat(
            [
                _linear_norms(own, _patches(module, a), b.flatten(2).mT)
                for a, b in _chunks(size, inputs, outputs)
            ]
        )
    return _any_layer_norms(module, own, inputs, outputs)


def _is_linear_on_patches(module: nn.Conv2d) -> bool:
    return module.groups == 1 and module.padding_mode == "zeros" and module.padding != "same"


def _patches(module: nn.Conv2d, inputs: Tensor) -> Tensor:
    """Return what each output position of a convolution sees, shape (n, position, value)."""
    padding = 0 if isinstance(module.padding, str) else module.padding
    return nn.functional.unfold(
        inputs, module.kernel_size, module.dilation, padding, module.stride
    ).mT


def _linear_norms(own: Mapping[str, Tensor], inputs: Tensor, outputs: Tensor) -> Tensor:
    n, width, out = len(inputs), inputs.shape[-1], outputs.shape[-1]
    a, b = inputs.reshape(n, -1, width).to(outputs.dtype), outputs.reshape(n, -1, out)
    rows = a.shape[1]
    norms = torch.zeros(n, dtype=torch.float64, device=outputs.device)
    if "bias" in own:
        norms += _squares(b.sum(1))
    if "weight" in own:
        if rows == 1:
            norms += _squares(a) * _squares(b)
        elif rows * (width + out) < width * out:
            norms += ((a @ a.mT).double() * (b @ b.mT).double()).sum((1, 2))
        else:
            norms += torch.cat([_squares(y.mT @ x) for x, y in _chunks(width * out, a, b)])
    return norms


def _any_layer_norms(
    module: nn.Module, own: Mapping[str, Tensor], inputs: Tensor, outputs: Tensor
) -> Tensor:
    """Differentiate one layer's own forward pass, example by example, all at once."""
    values = {name: p.detach() for name, p in own.items()}

    def norm(example: Tensor, gradient: Tensor) -> Tensor:
        pull_back = vjp(lambda p: functional_call(module, p, (example[None],)), values)[1]
        (found,) = pull_back(gradient[None])
        return sum((g.double().square().sum() for g in found.values()), gradient.new_zeros(()))

    size = sum(p.numel() for p in values.values())
    dtype = next(iter(values.values())).dtype  # under autocast, activations have another
    inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
    chunks = _chunks(size, inputs, outputs.to(dtype))
    return torch.cat([vmap(norm, randomness="same")(a, b).double() for a, b in chunks])


def _chunks(size: int, left: Tensor, right: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Split along the first axis, so that gradients of `size` elements fit."""
    length = max(1, _ELEMENTS // size)
    return zip(torch.split(left, length), torch.split(right, length), strict=True)


def _squares(rows: Tensor) -> Tensor:
    return rows.flatten(1).double().square().sum(1)
