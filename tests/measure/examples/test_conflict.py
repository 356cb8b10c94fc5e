"""Conflict of examples against loops over pairs of gradients."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from trajlab.errors import TrajlabError
from trajlab.measure.examples.conflict import example_gradients, relate


def by_loops(one, other, size, wanted):  # type: ignore[no-untyped-def]
    """Mean cosine, share below 0 and magnitude over pairs of batches that are wanted."""
    sides = [
        [rows[i : i + size].mean(0) for i in range(0, len(rows) // size * size, size)]
        for rows in (one.numpy(), other.numpy())
    ]
    cosines, magnitudes = [], []
    for (i, a), (j, b) in product(enumerate(sides[0]), enumerate(sides[1])):
        if wanted(i, j):
            lengths = np.linalg.norm(a), np.linalg.norm(b)
            cosines.append(a @ b / lengths[0] / lengths[1])
            magnitudes.append(2 * lengths[0] * lengths[1] / (lengths[0] ** 2 + lengths[1] ** 2))
    return np.mean(cosines), np.mean(np.array(cosines) < 0), np.mean(magnitudes)


def _any(i: int, j: int) -> bool:
    return True


def _same(i: int, j: int) -> bool:
    return i == j


def _different(i: int, j: int) -> bool:
    return i != j


@pytest.mark.parametrize("aligned", [True, False])
def test_pairs_are_those_of_a_loop(aligned: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(11, 5, generator=generator).double() * (k + 1) + 0.3 for k in range(3)]
    found = relate(rows, (1, 4), aligned=aligned)
    for place, size in enumerate((1, 4)):
        for a, b in product(range(3), repeat=2):
            apart = _different if aligned or a == b else _any
            other = by_loops(rows[a], rows[b], size, apart)
            values = (found.apart.cosine, found.apart.negative, found.apart.magnitude)
            assert [float(v[place, a, b]) for v in values] == pytest.approx(other)
            same = [
                float(v[place, a, b])
                for v in (found.same.cosine, found.same.negative, found.same.magnitude)
            ]
            if aligned and a != b:
                assert same == pytest.approx(by_loops(rows[a], rows[b], size, _same))
            else:
                assert np.isnan(same).all()


def test_tasks_with_inputs_of_their_own_may_have_other_numbers_of_examples() -> None:
    rows = [torch.randn(6, 4), torch.randn(9, 4), None]
    found = relate(rows, (1,), aligned=False)
    expected = by_loops(rows[0], rows[1], 1, _any)[0]
    assert float(found.apart.cosine[0, 0, 1]) == pytest.approx(expected, abs=1e-6)
    assert found.apart.cosine[0, 2].isnan().all()


def test_gradients_of_length_zero_are_counted_and_left_out() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    found = relate([rows], (1,), aligned=True)
    assert found.zero.tolist() == [[1]]
    assert float(found.apart.cosine) == pytest.approx(2**-0.5)


def test_pairs_need_two_gradients() -> None:
    with pytest.raises(TrajlabError, match="3 examples make 1 batches of 2"):
        relate([torch.randn(3, 2)], (2,), aligned=True)


def test_gradients_are_those_of_single_examples() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    unused = nn.Parameter(torch.ones(2))
    parameters = {**dict(model.named_parameters()), "unused": unused}
    inputs = torch.randn(5, 3)
    found = example_gradients(model(inputs)[:, 0].square(), parameters)
    assert found.shape == (5, sum(p.numel() for p in parameters.values()))
    for row, example in zip(found, inputs, strict=True):
        model.zero_grad()
        model(example[None])[0, 0].square().backward()
        own = [p.grad.flatten() for p in model.parameters()] + [torch.zeros(2)]
        torch.testing.assert_close(row, torch.cat(own))
