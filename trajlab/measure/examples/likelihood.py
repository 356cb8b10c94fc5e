"""What a model's output says about a target: the distribution that a loss is the likelihood of."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

EXACT = 10  # outcomes up to which an expectation is summed


class Likelihood(ABC):
    """A distribution over targets for each of n examples, in the graph of the model."""

    @abstractmethod
    def draws(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield weights (n,) and losses (n,), so that E_ŷ f(ℓ_ŷ) is Σ weight · f(loss).

        For f the squared norm of the gradient. The sum is exact where there are few outcomes, else
        it is one random draw.
        """


@dataclass(frozen=True)
class Categorical(Likelihood):
    """Classes; cross-entropy. Exact up to 10 classes without positions, else one sampled label.

    Parameters
    ----------
    logits : Tensor
        Shape (n, class) or, for dense outputs such as pixels or tokens, (n, class, …). Labels of
        different positions are independent, and an example's loss is their mean.
    weight : Tensor, optional
        Shape (class,): the loss of a label is multiplied by its weight, as in the training loss.
    valid : Tensor, optional
        bool, shape (n, …): positions (or examples) that count; ignored indices are False.
    """

    logits: Tensor
    weight: Tensor | None = None
    valid: Tensor | None = None

    def draws(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Sum over classes, or draw labels."""
        logits = self.logits
        classes = logits.shape[1]
        probabilities = logits.detach().softmax(1)
        if logits.ndim == 2 and classes <= EXACT:
            for c in range(classes):
                label = torch.full((len(logits),), c, device=logits.device)
                yield probabilities[:, c], self._losses(label)
        else:
            flat = probabilities.movedim(1, -1).reshape(-1, classes).cpu()
            label = torch.multinomial(flat, 1, generator=generator)
            shape = (len(logits), *logits.shape[2:])
            label = label.reshape(shape).to(logits.device)
            yield probabilities.new_ones(len(logits)), self._losses(label)

    def _losses(self, label: Tensor) -> Tensor:
        losses = cross_entropy(self.logits, label, self.weight, reduction="none")
        return _mean_over_positions(losses, self.valid)


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Labels that are each on or off; the loss is the sum over labels of binary cross-entropies.

    The cross terms of independent labels vanish: exact up to 10 labels, else one joint draw.

    Parameters
    ----------
    logits : Tensor
        Shape (n,) or (n, label).
    """

    logits: Tensor

    def draws(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Sum over labels, or draw all of them."""
        logits = self.logits.reshape(len(self.logits), -1)
        on = logits.detach().sigmoid()
        if logits.shape[1] <= EXACT:
            for k in range(logits.shape[1]):
                yield on[:, k] * (1 - on[:, k]), logits[:, k]
        else:
            label = torch.bernoulli(on.cpu(), generator=generator).to(on)
            losses = binary_cross_entropy_with_logits(logits, label, reduction="none")
            yield on.new_ones(len(on)), losses.sum(1)


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Numbers; ½ (ŷ − mean)² summed over outputs, ŷ of unit variance around the prediction.

    Exact up to 10 outputs, else one joint draw. The unit depends on the target's scale, so Fisher
    traces of regression tasks compare within a task only.

    Parameters
    ----------
    mean : Tensor
        Shape (n,) or (n, …). Positions of a dense output are outputs like any other: their losses
        are summed.
    """

    mean: Tensor

    def draws(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Sum over outputs, or draw all of them."""
        mean = self.mean.reshape(len(self.mean), -1)
        if mean.shape[1] <= EXACT:
            for k in range(mean.shape[1]):
                yield mean.new_ones(len(mean)), mean[:, k]
        else:
            noise = torch.randn(mean.shape, generator=generator).to(mean)
            yield mean.new_ones(len(mean)), (mean * noise).sum(1)


def _mean_over_positions(losses: Tensor, valid: Tensor | None) -> Tensor:
    flat = losses.flatten(1) if losses.ndim > 1 else losses[:, None]
    if valid is None:
        return flat.mean(1)
    counts = valid.reshape(flat.shape)
    return torch.where(counts, flat, 0.0).sum(1) / counts.sum(1).clamp(min=1)
