"""Products of a loss's Hessian with vectors."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from pyhessian.utils import hessian_vector_product
from torch import Tensor
from torch.func import grad, linearize

Loss = Tensor | Callable[[Mapping[str, Tensor]], Tensor]


class HessianProduct:
    """The Hessian of a loss with respect to its parameters, as a function of a flat vector.

    A loss given with its graph is differentiated by PyHessian's product on the gradient's graph,
    made once and retained: two backward passes' worth a product. A loss given as a function is
    linearised by ``torch.func``, forward over reverse: about as fast, for models whose operations
    have no double backward but a forward derivative, or that run again anyway.

    Parameters
    ----------
    loss : Tensor or callable
        A scalar with its graph, or a function of the parameters by name that gives one.
    parameters : mapping of str to Tensor
        What to differentiate for. Frozen ones are left out; one that the loss does not reach, or
        reaches linearly, has second derivatives of zero.

    Attributes
    ----------
    size : int
        Length of the vectors.
    gradient : Tensor
        Shape (size,): the gradient, which the products take anyway.
    used : int
        Products so far.

    Raises
    ------
    RuntimeError
        Where an operation cannot be differentiated twice; from autograd, as a rule.

    References
    ----------
    Z. Yao et al., *PyHessian: Neural Networks Through the Lens of the Hessian* (2020),
    arXiv:1912.07145; B. Pearlmutter, *Fast Exact Multiplication by the Hessian* (1994).
    """

    def __init__(self, loss: Loss, parameters: Mapping[str, Tensor]) -> None:
        self.used = 0
        chosen = {name: p for name, p in parameters.items() if p.requires_grad}
        self._values = list(chosen.values())
        self._shapes = [p.shape for p in self._values]
        self._sizes = [p.numel() for p in self._values]
        self.size = sum(self._sizes)
        first = self._values[0]
        double = first.dtype == torch.float64
        self._like = first.new_empty(0, dtype=torch.float64 if double else torch.float32)
        if isinstance(loss, Tensor):
            self._product = self._from_graph(loss)
        else:
            self._product = self._from_function(loss, list(chosen))

    def __call__(self, vector: Tensor) -> Tensor:
        """Return the Hessian times a vector (size,), in the vector's type."""
        self.used += 1
        pieces = [
            piece.view(shape).to(value)
            for piece, shape, value in zip(
                torch.split(vector, self._sizes), self._shapes, self._values, strict=True
            )
        ]
        return self._flat(self._product(pieces), vector)

    def random(self, seed: int, dtype: torch.dtype | None = None) -> Tensor:
        """Draw a Gaussian vector on the CPU, so that it is the same on every device."""
        generator = torch.Generator().manual_seed(seed)
        return (
            torch.randn(self.size, generator=generator).to(self._like).to(dtype or self._like.dtype)
        )

    @staticmethod
    def _flat(parts: Iterable[Tensor], like: Tensor) -> Tensor:
        return torch.cat([part.detach().reshape(-1).to(like) for part in parts])

    def _gradients(self, loss: Tensor) -> list[Tensor]:
        gradients = torch.autograd.grad(
            loss, self._values, create_graph=True, materialize_grads=True
        )
        _refuse_once_differentiable(gradients)
        return [gradient.to_dense() for gradient in gradients]

    def _from_graph(self, loss: Tensor) -> Callable[[list[Tensor]], list[Tensor]]:
        gradients = [
            # PyHessian's product needs a graph from every gradient to every parameter. One that is
            # not reached, or only linearly, gets one here, and the value stays.
            gradient + 0 * parameter
            for gradient, parameter in zip(self._gradients(loss), self._values, strict=True)
        ]
        self.gradient = self._flat(gradients, self._like)
        return lambda pieces: hessian_vector_product(gradients, self._values, pieces)

    def _from_function(
        self, loss: Callable[[Mapping[str, Tensor]], Tensor], names: list[str]
    ) -> Callable[[list[Tensor]], list[Tensor]]:
        self._gradients(loss(dict(zip(names, self._values, strict=True))))  # may refuse

        def gradient(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            slopes: dict[str, Tensor] = grad(loss)(dict(zip(names, values, strict=True)))
            return tuple(slopes[name] for name in names)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # linearize's own, about its graph
            gradients, tangent = linearize(gradient, tuple(p.detach() for p in self._values))
        self.gradient = self._flat(gradients, self._like)
        return lambda pieces: list(tangent(tuple(pieces)))


def _refuse_once_differentiable(gradients: Sequence[Tensor]) -> None:
    """Raise where torch would silently take a derivative for zero.

    It marks the derivative of a ``once_differentiable`` operation by a node that raises, but that
    leads nowhere: ``autograd.grad`` never comes to it.
    """
    stack = [gradient.grad_fn for gradient in gradients]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if node is None:
            continue
        if node.name() == "torch::autograd::Error":
            raise RuntimeError(
                "an operation in the loss is marked once_differentiable: it has no second "
                "derivative, and torch would take it for zero"
            )
        following = {user for user, _ in node.next_functions} - seen
        seen |= following
        stack += following
