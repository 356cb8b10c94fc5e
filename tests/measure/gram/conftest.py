"""What tests of Gram matrices watch."""

import pytest
import torch


@pytest.fixture
def pull_backs(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The calls of `torch.autograd.grad`, as they come."""
    calls: list[object] = []
    original = torch.autograd.grad

    def counted(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    return calls
