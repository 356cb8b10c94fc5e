"""The trace of the Fisher information matrix."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import torch
from torch import Tensor

from trajlab.measure.examples.capture import Call
from trajlab.measure.examples.check import ExampleCheck
from trajlab.measure.examples.likelihood import Likelihood
from trajlab.measure.examples.norms import sample_norms


@dataclass(frozen=True)
class TraceEstimate:
    """Trace of the Fisher information.

    Attributes
    ----------
    value : float
        Mean over examples.
    se : float
        Standard error over examples; with sampled labels it includes their error. It is the error
        as an estimate for the population of examples, not for the sample itself.
    """

    value: float
    se: float


def fisher_norms(
    likelihood: Likelihood,
    parameters: Mapping[str, Tensor],
    calls: Mapping[str, Call] | None = None,
    *,
    generator: torch.Generator,
    check: ExampleCheck | None = None,
) -> Tensor:
    """Compute E_ŷ ‖∇ ℓ(f(x_i), ŷ)‖² of every example, with ŷ from the model's own prediction.

    Parameters
    ----------
    likelihood : Likelihood
        The model's prediction for n examples, with its graph, which is retained.
    parameters : mapping of str to Tensor
        What to differentiate for, by qualified name.
    calls : mapping of str to Call, optional
        The layers' captured calls in this graph, as for `sample_norms`.
    generator : torch.Generator
        Generator on the CPU, for labels where they are sampled.
    check : ExampleCheck, optional
        Comparison of a few examples with autograd, as for `sample_norms`.

    Returns
    -------
    Tensor
        float64, shape (n,).

    References
    ----------
    S. Jastrzębski et al., *Catastrophic Fisher Explosion* (2021), arXiv:2012.14193; F. Kunstner et
    al. (2019), arXiv:1905.12558, on why labels are the model's.
    """
    norms = [
        weight.double() * sample_norms(losses, parameters, calls, check=check)
        for weight, losses in likelihood.draws(generator)
    ]
    return torch.stack(norms).sum(0)


def fisher_trace(norms: Iterable[Tensor]) -> TraceEstimate:
    """Average `fisher_norms` over batches.

    Parameters
    ----------
    norms : iterable of Tensor
        Shape (n,) each.

    Returns
    -------
    TraceEstimate
    """
    parts: Sequence[Tensor] = list(norms)
    every = torch.cat([part.cpu() for part in parts]) if parts else torch.zeros(0)
    n = len(every)
    se = (every.std() / n**0.5).item() if n > 1 else nan
    return TraceEstimate(every.mean().item(), se)
