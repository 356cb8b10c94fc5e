"""The one operation that a parameter goes into: its kind, its role, and what it saved."""

import pytest
import torch
from torch import Tensor, nn

from tests.measure.gram.readable import readable
from trajlab.measure.gram.operations import only_use
from trajlab.measure.graph import Graph

X = torch.randn(5, 3)


@readable
def test_a_linear_layer_is_a_product_with_a_sum() -> None:
    layer = nn.Linear(3, 2)
    use = only_use(Graph([layer(X).sum()]), layer.weight)
    assert use is not None
    assert use.kind == ("AddmmBackward0", 2)
    assert use.shape == (5, 2)
    saved = use.saved("mat1")
    assert saved is not None
    assert torch.equal(saved, X)
    assert use.setting("alpha") == 1
    bias = only_use(Graph([layer(X).sum()]), layer.bias)
    assert bias is not None
    assert bias.kind == ("AddmmBackward0", 0)


def twice(w: Tensor) -> Tensor:
    return (X @ w).sum() + w.sum()


def transposed(w: Tensor) -> Tensor:
    return (X @ w.t().transpose(0, 1)).sum()


def scaled(w: Tensor) -> Tensor:
    return (X @ (2 * w)).sum()


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (lambda w: (X @ w).sum(), ("MmBackward0", 1)),
        (transposed, ("MmBackward0", 1)),  # another layout leaves inner products as they are
        (scaled, ("MulBackward0", 0)),  # another scale does not
        (twice, None),
    ],
)
def test_only_layout_may_change_on_the_way(loss: object, kind: tuple[str, int] | None) -> None:
    w = torch.randn(3, 2, requires_grad=True)
    use = only_use(Graph([loss(w)]), w)
    assert (use and use.kind) == kind


def test_what_is_packed_for_a_checkpoint_is_not_read() -> None:
    w = torch.randn(3, 2, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        loss = (X @ w).sum()
    use = only_use(Graph([loss]), w)
    assert use is not None
    assert use.saved("self") is None
