"""Gradients at the representation that the tasks share."""

import pytest
import torch

from tests.zoo import build
from trajlab import TrajlabError
from trajlab.measure.gram.representation import representation_gram


def test_representation_is_the_last_tensor_that_all_losses_share() -> None:
    model = build("mlp", torch.float64)
    z = model.trunk(model.x)
    losses = [model.loss(t, z) for t in range(3)]
    rows = torch.stack([torch.autograd.grad(x, z, retain_graph=True)[0].flatten() for x in losses])
    found = representation_gram([None, *losses[:2], None, losses[2], torch.tensor(1.0)])
    assert torch.allclose(found[[1, 2, 4]][:, [1, 2, 4]], rows @ rows.T, rtol=1e-12)
    assert found[[0, 3]].isnan().all()
    assert found[5, [1, 2, 4, 5]].eq(0).all()


@pytest.mark.parametrize("case", ["own inputs", "mlp one task", "tasks skip layers"])
def test_without_one_common_tensor_there_is_no_representation(case: str) -> None:
    with pytest.raises(TrajlabError, match="leave one common tensor"):
        representation_gram(build(case, torch.float64).losses(0))
