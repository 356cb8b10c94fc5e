"""Products of a loss's Hessian with vectors."""

import warnings
from collections.abc import Callable, Mapping

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
    used : int
        Products so far.

    Raises
    ------
    RuntimeError
        From autograd, where an operation cannot be differentiated twice.

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
        return torch.cat([part.detach().reshape(-1).to(vector) for part in self._product(pieces)])

    def random(self, seed: int, dtype: torch.dtype | None = None) -> Tensor:
        """Draw a Gaussian vector on the CPU, so that it is the same on every device."""
        first = self._values[0]
        if dtype is None:
            dtype = torch.float64 if first.dtype == torch.float64 else torch.float32
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.size, generator=generator).to(first.device, dtype)

    def _from_graph(self, loss: Tensor) -> Callable[[list[Tensor]], list[Tensor]]:
        gradients = [
            # PyHessian's product needs a graph from every gradient to every parameter. One that is
            # not reached, or only linearly, gets one here, and the value stays.
            gradient.to_dense() + 0 * parameter
            for gradient, parameter in zip(
                torch.autograd.grad(loss, self._values, create_graph=True, materialize_grads=True),
                self._values,
                strict=True,
            )
        ]
        return lambda pieces: hessian_vector_product(gradients, self._values, pieces)

    def _from_function(
        self, loss: Callable[[Mapping[str, Tensor]], Tensor], names: list[str]
    ) -> Callable[[list[Tensor]], list[Tensor]]:
        def gradient(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            slopes: dict[str, Tensor] = grad(loss)(dict(zip(names, values, strict=True)))
            return tuple(slopes[name] for name in names)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # linearize's own, about its graph
            _, tangent = linearize(gradient, tuple(p.detach() for p in self._values))
        return lambda pieces: list(tangent(tuple(pieces)))
