"""Losses of several processes, with the others' made up."""

from types import SimpleNamespace

import pytest
import torch

from trajlab.record import losses
from trajlab.record.moment import Moment


def test_the_mean_is_over_the_processes_that_have_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three, two have ``left``, none but this one ``right``, and no one ``none``."""
    monkeypatch.setattr(losses, "processes", lambda: 3)
    others = [torch.tensor([5.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])]
    monkeypatch.setattr(
        losses,
        "sum_over_processes",
        lambda own: [mine + more for mine, more in zip(own, others, strict=True)],
    )
    here = {"left": torch.tensor(1.0), "right": torch.tensor(2.0)}
    moment: Moment = SimpleNamespace(losses=here, tasks=("left", "right", "none"))  # type: ignore[assignment]
    mean = losses._mean(torch.tensor([1.0, 2.0, torch.nan]), moment)
    assert mean.tolist()[:2] == [3.0, 2.0]
    assert mean[2].isnan()
