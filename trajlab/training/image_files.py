"""Images that stay on disk until their rows are asked for."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from trajlab.errors import TrajlabError


class ImageFiles:
    """One image file an example, read and scaled down when it is asked for, on several threads.

    Parameters
    ----------
    paths
        The files.
    size
        Width and height to scale to, in pixels.
    mode
        As Pillow names it: ``RGB``; ``L`` for 8 bits and ``I`` for 16 bits a pixel.
    tensor
        From the pixels of some images ``(n, height, width)``, or ``(n, height, width, 3)``, to
        what a model takes.
    exact
        Whether to take the nearest pixel, as labels need, in place of a mean.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: tuple[int, int],
        mode: str,
        tensor: Callable[[NDArray[Any]], Tensor],
        *,
        exact: bool = False,
    ) -> None:
        self._paths = paths
        self._size = size
        self._mode = mode
        self._tensor = tensor
        self._resampling = Image.Resampling.NEAREST if exact else Image.Resampling.BILINEAR

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._paths)

    def __getitem__(self, rows: Tensor, /) -> Tensor:
        """Read the images of these rows ``(n,)``.

        Raises
        ------
        TrajlabError
            If a file is missing or damaged.
        """
        paths = [self._paths[row] for row in rows.tolist()]
        with ThreadPoolExecutor() as threads:  # Pillow decodes outside the interpreter's lock
            return self._tensor(np.stack([*threads.map(self._read, paths)]))

    def _read(self, path: Path) -> NDArray[Any]:
        try:
            with Image.open(path) as image:
                return np.asarray(image.convert(self._mode).resize(self._size, self._resampling))
        except (OSError, SyntaxError) as error:  # the latter is Pillow's for some broken PNGs
            raise TrajlabError(
                f"{path} cannot be read as an image ({type(error).__name__}); get it anew"
            ) from error
