"""Sums over processes: of one alone, and of a group that stands in for two."""

import pytest
import torch
import torch.distributed as dist

from trajlab.measure.sums.processes import processes, sum_over_processes


def test_alone_everything_is_left_as_it_is() -> None:
    tensors = [torch.ones(2), torch.ones(())]
    assert processes() == 1
    assert all(map(torch.equal, sum_over_processes(tensors), tensors))


def test_one_message_of_all_shapes_in_the_widest_type(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []

    def reduce(flat: torch.Tensor) -> None:
        sent.append(flat.clone())
        flat *= 3

    monkeypatch.setattr("trajlab.measure.sums.processes.processes", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", reduce)
    found = sum_over_processes([torch.ones(2, 2), torch.tensor(5.0, dtype=torch.float64)])
    assert len(sent) == 1
    assert [part.shape for part in found] == [(2, 2), ()]
    assert found[0].tolist() == [[3, 3], [3, 3]]
    assert found[1].item() == 15
    assert {part.dtype for part in found} == {torch.float64}
    assert sum_over_processes([]) == []
    assert len(sent) == 1
