"""Sums over processes, with messages that stand in for those of a second one."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from trajlab.measure.sums.task_sums import TaskSums


@pytest.mark.parametrize(("together", "messages"), [(True, 1), (False, 3)])
def test_another_process_is_averaged_in(
    monkeypatch: pytest.MonkeyPatch, together: bool, messages: int
) -> None:
    """The other one has twice these gradients, of the same tasks: the third has none anywhere."""
    sent = []

    def sum_with_another(tensors: Sequence[Tensor]) -> list[Tensor]:
        sent.append(tensors)
        return [tensors[0] * 2, *(3 * tensor for tensor in tensors[1:])]

    monkeypatch.setattr("trajlab.measure.sums.task_sums.processes", lambda: 2)
    monkeypatch.setattr("trajlab.measure.sums.task_sums.sum_over_processes", sum_with_another)
    w = {"a": torch.ones(2, requires_grad=True), "b": torch.ones(3, requires_grad=True)}
    zeros = {name: torch.zeros(p.shape) for name, p in w.items()}
    sums = TaskSums(3, zeros, lambda gradients: gradients, together=together)
    sums.add([4 * w["a"].sum(), 2 * w["b"].sum() + w["a"].sum(), None], w)
    sums.average()
    assert len(sent) == messages
    assert sums.present == [True, True, False]
    assert sums.stacked("a").tolist()[:2] == [[6.0] * 2, [1.5] * 2]
    assert sums.stacked("b").tolist()[:2] == [[0.0] * 3, [3.0] * 3]
    assert sums.stacked("a")[2].isnan().all()
