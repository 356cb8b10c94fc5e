"""Linear sketches: short vectors whose inner products estimate those of long ones."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from trajlab.errors import TrajlabError

_ROWS = 256  # blocks that are rotated together; the indices of 1,024 columns take 2 MiB


class Sketch:
    """Folds the coordinates of named tensors into `size` numbers: a sign each, then sums.

    Coordinate i of a block of `size` goes to bucket (i + rotation of the block) mod `size`, with a
    random sign; both are drawn from the seed and the tensor's name. Inner products of sketches are
    unbiased estimates of those of the vectors; a cosine c has the standard error (1 - c²) / √size.
    Sketches of one size and seed, over parameters of the same names and shapes, can be compared and
    added: over steps, tasks, runs, micro-batches, ranks.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        What is sketched: their names and shapes.
    size : int
        Numbers in a sketch.
    seed : int
        Seed of the signs and rotations.

    Raises
    ------
    TrajlabError
        If a parameter is complex.

    References
    ----------
    M. Charikar, K. Chen and M. Farach-Colton, "Finding Frequent Items in Data Streams", ICALP 2002;
    the buckets are blockwise rotations here instead of independent draws.
    """

    def __init__(self, parameters: Mapping[str, Tensor], *, size: int, seed: int) -> None:
        self.size = size
        self._signs: dict[str, Tensor] = {}
        self._rotations: dict[str, Tensor] = {}
        for name, parameter in parameters.items():
            if parameter.is_complex():
                raise TrajlabError(
                    f"sketches are of real parameters alone, and {name} is complex; leave it out "
                    "of shared="
                )
            digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest) >> 1)
            blocks = -(-parameter.numel() // size)
            signs = torch.randint(0, 2, (parameter.numel(),), generator=generator)
            rotations = torch.randint(0, size, (blocks,), generator=generator)
            self._signs[name] = (2 * signs - 1).to(parameter.device, torch.int8)
            self._rotations[name] = rotations.to(parameter.device)

    def __call__(self, tensors: Mapping[str, Tensor | None]) -> Tensor:
        """Sketch one vector.

        Parameters
        ----------
        tensors : mapping of str to Tensor or None
            Real tensors of the parameters' shapes; what is missing or None is zero.

        Returns
        -------
        Tensor
            float32, shape (size,).
        """
        device = next(iter(self._signs.values())).device
        total = torch.zeros(self.size, dtype=torch.float32, device=device)
        columns = torch.arange(self.size, device=device)
        for name, signs in self._signs.items():
            tensor = tensors.get(name)
            if tensor is None:
                continue
            flat = tensor.detach().to_dense().reshape(-1).float() * signs
            flat = torch.nn.functional.pad(flat, (0, -len(flat) % self.size))
            chunks = flat.view(-1, self.size).split(_ROWS)  # type: ignore[no-untyped-call]
            for blocks, rotation in zip(chunks, self._rotations[name].split(_ROWS), strict=True):  # type: ignore[no-untyped-call]
                index = (columns - rotation[:, None].to(columns)) % self.size
                total += blocks.gather(1, index).sum(0).to(device)
        return total
