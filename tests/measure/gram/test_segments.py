"""Where the graph is split for pull-backs."""

import pytest
import torch

from tests.zoo import build
from trajlab.measure.gram import segments
from trajlab.measure.gram.blocks import gradient_block
from trajlab.measure.gram.segments import split
from trajlab.measure.graph import Graph


@pytest.mark.parametrize(
    ("case", "layers_a_segment"), [("mlp", [0, 1, 1]), ("tied weights", [0, 2])]
)
def test_graph_is_split_below_large_gradients_but_through_no_tied_weight(
    case: str, layers_a_segment: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(case, torch.float32)
    graph = Graph(model.losses(0))
    blocks = [gradient_block(n.rpartition(".")[0], n, p) for n, p in model.shared().items()]
    assert [len(segment.blocks) for segment in split(graph, blocks, 3)] == [0, len(blocks)]
    monkeypatch.setattr(segments, "_LARGE", 0)
    found = split(graph, blocks, 3)
    assert [len({b.layer for b in segment.blocks}) for segment in found] == layers_a_segment
    assert [segment.source for segment in found[1:]] == [s.following for s in found[:-1]]
