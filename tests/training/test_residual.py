"""Residual networks: parameters as published, and sizes of their maps."""

import pytest
import torch
from torch import nn

from trajlab.training.deeplab import deeplab_v3
from trajlab.training.residual import Residual, resnet18

# Published numbers of parameters, less those of the last layer that is not in a trunk:
# ResNet-18 on ImageNet 11,689,512; on CIFAR-10 11,173,962; DeepLabv3 on ResNet-101 with 21 classes
# 60,996,202, less its auxiliary head.
PUBLISHED = {
    "resnet18": (resnet18, 11_689_512 - 513 * 1000),
    "small": (lambda: resnet18(small=True), 11_173_962 - 513 * 10),
    "deeplab_v3": (deeplab_v3, 60_996_202 - (9 * 1024 * 256 + 512 + 257 * 21) - 257 * 21),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name: str) -> None:
    make, count = PUBLISHED[name]
    with torch.device("meta"):
        network = make()
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_maps_have_the_sizes_of_the_papers() -> None:
    with torch.device("meta"):
        image = torch.empty(2, 3, 64, 128)
        assert resnet18()[:-2](image).shape == (2, 512, 2, 4)
        assert resnet18(small=True)[:-2](image).shape == (2, 512, 8, 16)
        network = deeplab_v3()
        assert network[0](image).shape == (2, 2048, 8, 16)
        assert network(image).shape == (2, 256, 8, 16)
    dilations = [
        module.dilation[0]
        for module in network[0].modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    ]
    assert dilations == [1] * (3 + 4 + 1) + [2] * (22 + 1) + [4] * 2


def test_a_residual_block_adds_its_input() -> None:
    block = Residual(nn.Linear(3, 3), nn.Identity())
    nn.init.zeros_(block.body.weight)
    nn.init.zeros_(block.body.bias)
    maps = torch.tensor([[-1.0, 0.0, 2.0]])
    assert torch.equal(block(maps), torch.tensor([[0.0, 0.0, 2.0]]))
