"""Single examples in attention layers."""

import pytest
import torch
from torch import nn

from trajlab.measure.examples import norms
from trajlab.measure.examples.attention import attention_norms, capture_attention
from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.norms import sample_norms

N = 5


@pytest.mark.parametrize("case", ["padding", "mask", "mask a head", "weights unused", "weights"])
def test_attention_with_masks_and_weights(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, batch_first=True).double()
    query, other = torch.randn(2, N, 4, 8).double()
    padding = torch.zeros(N, 4).double()
    padding[:3, 2:] = -torch.inf
    options = {
        "padding": {"key_padding_mask": padding, "need_weights": False},
        "mask": {"attn_mask": torch.randn(4, 4).double(), "need_weights": False},
        "mask a head": {"attn_mask": torch.randn(2 * N, 4, 4).double(), "need_weights": False},
    }.get(case, {})
    parameters = {f"a.{name}": p for name, p in layer.named_parameters()}
    monkeypatch.setattr(norms, "_ELEMENTS", 2 * sum(p.numel() for p in parameters.values()))
    with Capture({"a": layer}) as capture, capture_attention(capture):
        output, weights = layer(query, other, other, **options)
    losses = output.sin().sum((1, 2))
    if case == "weights":
        losses = losses + weights.pow(2).sum((1, 2))
    replayed = []
    monkeypatch.setattr(
        norms, "attention_norms", lambda *args: replayed.append(1) or attention_norms(*args)
    )
    found = sample_norms(losses, parameters, capture.calls)
    assert bool(replayed) == (case != "weights")
    assert torch.allclose(found, sample_norms(losses, parameters), rtol=1e-12)
    assert not layer._forward_hooks
