"""Images that stay on disk: what is read is what Pillow reads, and only when it is asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trajlab.errors import TrajlabError
from trajlab.training.image_files import ImageFiles


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(found):
        pixels = np.arange(24, dtype=np.uint8).reshape(4, 6) + 30 * i
        Image.fromarray(pixels).save(path)
    return found


def test_rows_come_in_the_order_they_are_asked_for(paths: list[Path]) -> None:
    images = ImageFiles(paths, (6, 4), "L", torch.tensor)
    assert len(images) == 5
    found = images[torch.tensor([3, 0, 3])]
    first = torch.arange(24, dtype=torch.uint8).reshape(4, 6)
    assert torch.equal(found, torch.stack((first + 90, first, first + 90)))


def test_means_are_taken_of_images_and_pixels_of_labels(paths: list[Path]) -> None:
    rows = torch.tensor([0])
    mean = ImageFiles(paths, (3, 2), "L", torch.tensor)[rows]
    assert mean.dtype == torch.uint8
    (exact,) = ImageFiles(paths, (3, 2), "L", torch.tensor, exact=True)[rows]
    assert set(exact.flatten().tolist()) <= set(range(24))
    assert exact.shape == (2, 3)
    assert exact[0, 0] == 7  # the pixel at (1, 1), in the middle of the first four


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    values = np.array([[0, 1], [40_000, 65_535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    images = ImageFiles([tmp_path / "deep.png"], (2, 2), "I", torch.tensor, exact=True)
    assert images[torch.tensor([0])].tolist() == [values.tolist()]


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_a_missing_or_damaged_image_is_one_sentence(
    paths: list[Path], content: bytes | None
) -> None:
    paths[4].unlink()
    if content is not None:
        paths[4].write_bytes(content)
    images = ImageFiles(paths, (6, 4), "L", torch.tensor)
    assert len(images[torch.arange(4)]) == 4
    with pytest.raises(TrajlabError, match=r"4\.png cannot be read as an image"):
        images[torch.arange(5)]
