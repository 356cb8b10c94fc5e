"""Rows that are rotated and added up, against rolling them one by one."""

import pytest
import torch

from trajlab.measure.sums.rotations import Rotations


@pytest.mark.parametrize("size", [64, 12, 7, 1])  # runs of 32, of 4, and single numbers
@pytest.mark.parametrize("rows", [1, 32, 33, 256, 257, 600])  # few and many, one batch and more
@pytest.mark.parametrize("lacking", [0, 3])
def test_rows_are_rolled_and_added(size: int, rows: int, lacking: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    places = torch.randint(0, size, (rows,), generator=generator)
    length = max(rows * size - lacking, 1 + (rows - 1) * size)
    vectors = torch.randn(2, length, generator=generator)
    signs = 2 * torch.randint(0, 2, (length,), generator=generator) - 1
    found = Rotations(places, size).added([*vectors], signs.to(torch.int8))
    cut = torch.nn.functional.pad(vectors.double() * signs, (0, rows * size - length))
    rolled = [
        torch.stack([row.roll(place) for row, place in zip(each, places.tolist(), strict=True)])
        for each in cut.view(2, rows, size)
    ]
    torch.testing.assert_close(
        found.double(), torch.stack(rolled).sum(1), rtol=1e-5, atol=1e-6 * rows**0.5 * 30
    )
    assert found.dtype == torch.float32
