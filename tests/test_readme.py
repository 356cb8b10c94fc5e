"""The README's example records a run as it stands there."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import trajlab
from tests.models import TwoHeads


def test_example_in_readme_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    torch.manual_seed(0)
    model = TwoHeads()
    loader = [(torch.randn(5, 6), torch.randint(3, (5, 2))) for _ in range(10)]

    def evaluate(model: nn.Module, data: object) -> dict[str, dict[str, float]]:
        return {task: {"loss": 1.0, "accuracy": 50.0} for task in ("left", "right")}

    monkeypatch.chdir(tmp_path)
    names = {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "loader": loader,
        "epochs": 2,
        "ce": nn.CrossEntropyLoss(),
        "evaluate": evaluate,
        "train_set": None,
        "test_set": None,
    }
    exec(example, names)
    (run,) = trajlab.load("runs")
    assert run.table("losses")["step"].tolist() == list(range(20))
    assert run.gram().shape == (2, 2, 2)
    assert run.table("evaluations/test")["step"].tolist() == [10, 20]
