"""A comparison of single examples' gradients with one autograd pass an example."""

from collections.abc import Mapping, Sequence
from math import isnan

import torch
from torch import Tensor

Names = tuple[str, ...]


class ExampleCheck:
    """Sees to it once that the formulas for single examples are right on a model.

    At the first batch a few examples, drawn with a seed, are differentiated one by one. Parameters
    of which the formula gave something else are differentiated example by example ever after; so
    are those that no formula is for. Parameters that go by a formula for the first time later on
    are checked then.

    Parameters
    ----------
    seed : int
        Seed of the examples that are drawn.
    examples : int
        Number of examples that are differentiated.

    Attributes
    ----------
    wrong : set of str
        Parameters of which a formula gave something else.
    one_by_one : set of str
        All parameters that were differentiated example by example.
    passes : int
        Backward passes that the check has taken.
    """

    def __init__(self, seed: int = 0, *, examples: int = 3) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._examples = examples
        self._checked: set[str] = set()
        self.wrong: set[str] = set()
        self.one_by_one: set[str] = set()
        self.passes = 0

    def differing(
        self, losses: Tensor, parameters: Mapping[str, Tensor], norms: Mapping[Names, Tensor]
    ) -> list[Names]:
        """Return the groups of parameters of which the squared norms are not those of autograd.

        Parameters
        ----------
        losses : Tensor
            Losses, one an example, shape (n,), with their graph, which is retained.
        parameters : mapping of str to Tensor
            Parameters by name.
        norms : mapping of tuple of str to Tensor
            Squared norms (n,) of the examples' gradients, by the names of the parameters.
        """
        fresh = {names: rows for names, rows in norms.items() if not self._checked >= {*names}}
        if not fresh:
            return []
        chosen = [parameters[name] for names in fresh for name in names]
        order = torch.randperm(len(losses), generator=self._generator)[: self._examples].tolist()
        precision = max(torch.finfo(t.dtype).eps for t in [losses, *chosen])
        differing = set()
        for i in order:
            gradients = torch.autograd.grad(losses[i], chosen, retain_graph=True, allow_unused=True)
            self.passes += 1
            squares = iter(_squared_norms(gradients))
            exact = {names: sum(next(squares) for _ in names) for names in fresh}
            rounding = precision * sum(exact.values())
            for names, rows in fresh.items():
                formula, autograd = rows[i].item(), exact[names]
                near = abs(formula - autograd) <= precision**0.5 * autograd + rounding
                if not near and not (isnan(formula) and isnan(autograd)):
                    differing.add(names)
        self._checked |= {name for names in fresh for name in names}
        self.wrong |= {name for names in differing for name in names}
        return [names for names in fresh if names in differing]


def squared_norm(gradient: Tensor) -> Tensor:
    """Return a gradient's squared norm in float64; of complex numbers, that of both parts."""
    dense = gradient.detach().to_dense()
    real = torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense
    return real.double().square().sum()


def _squared_norms(gradients: Sequence[Tensor | None]) -> list[float]:
    return [0.0 if g is None else squared_norm(g).item() for g in gradients]
