"""Pooling that is done otherwise than torch does it, for speed, gives the same bits."""

import pytest
import torch
from torch import Tensor, nn

from trajlab.training.pooling import MaxPool2d


@pytest.mark.parametrize("shape", [(3, 6, 28, 28), (2, 4, 7, 9), (6, 10, 10)])
def test_max_pooling_is_torch_s_with_and_without_gradient(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).relu()  # with ties
    x[..., 0, 1], x[..., 1, 0] = torch.nan, torch.inf
    results = []
    for pool in (MaxPool2d(), nn.MaxPool2d(2)):
        own = x.clone().requires_grad_()
        trained: Tensor = pool(own)
        trained.nan_to_num().sum().backward()
        with torch.no_grad():
            evaluated = pool(x)
        results.append((trained.detach(), evaluated, own.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
