"""Shapes of trunks: sizes by hand, and a plain one as it was."""

import pytest
import torch
from torch import nn

from trajlab.errors import TrajlabError
from trajlab.training.models import Shape, lenet, mlp
from trajlab.training.smoothing import smoothed


def size(trunk: nn.Module) -> int:
    return sum(parameter.numel() for parameter in trunk.parameters())


def test_lenet_has_the_weights_of_its_shape() -> None:
    plain = 6 * 26 + 16 * (150 + 1) + 120 * 401 + 84 * 121
    assert size(lenet()) == plain
    wide = 12 * 26 + 32 * (300 + 1) + 240 * 801 + 168 * 241
    assert size(lenet(shape=Shape(width=2))) == wide
    deep = plain + 6 * 151 + 16 * 401 + 120 * 121 + 84 * 85
    assert size(lenet(shape=Shape(depth=2))) == deep
    for shape in (Shape(), Shape(0.5, 3, 0.1)):
        features = lenet(shape=shape)(torch.zeros(2, 1, 28, 28))
        assert features.shape == (2, shape.units(84))


def test_dropout_is_in_training_only_and_of_its_share() -> None:
    trunk = mlp(1000, 4000, Shape(dropout=0.3))
    features = trunk(torch.ones(1, 1000))
    dropped = float((features == 0).double().mean())
    kept = float((trunk.eval()(torch.ones(1, 1000)) == 0).double().mean())
    assert dropped == pytest.approx(kept + 0.3 * (1 - kept), abs=0.03)
    assert not [m for m in lenet().modules() if isinstance(m, nn.Dropout)]


def test_smoothed_labels_are_a_mixture_with_all_classes() -> None:
    torch.manual_seed(0)
    outputs, targets = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    loss = nn.CrossEntropyLoss(reduction="none")
    found = smoothed(loss, 0.2)(outputs, targets)
    logs = outputs.log_softmax(1)
    hard = -logs[torch.arange(5), targets]
    torch.testing.assert_close(found, 0.8 * hard - 0.2 * logs.mean(1))
    torch.testing.assert_close(loss(outputs, targets), hard)  # evaluations are not smoothed
    assert smoothed(loss, 0.0) is loss
    with pytest.raises(TrajlabError, match="label_smoothing=1; give a share"):
        smoothed(loss, 1.0)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_no_network_has_such_a_shape(wrong: dict[str, float]) -> None:
    with pytest.raises(TrajlabError, match="is no network; give"):
        Shape(**wrong)  # type: ignore[arg-type]
