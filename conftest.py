"""What the examples in docstrings take as given: a small model, its optimizer and data."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _given(
    request: pytest.FixtureRequest,
    doctest_namespace: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Give the names to examples alone, and a folder to write in."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    import torch  # here, so that tests/conftest.py comes before it
    from torch.nn.functional import cross_entropy

    from tests.models import TwoHeads

    monkeypatch.chdir(tmp_path)
    model = TwoHeads()
    x = torch.randn(5, 6)
    doctest_namespace |= {
        "torch": torch,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "loader": [(x, torch.randint(3, (5, 2))) for _ in range(2)],
        "ce": cross_entropy,
    }
