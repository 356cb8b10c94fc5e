"""Linear sketches: short vectors whose inner products estimate those of long ones."""

import hashlib
from collections.abc import Mapping, Sequence

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
        for name in self._signs:
            tensor = tensors.get(name)
            if tensor is not None:
                total += self.part(name, [tensor])[0].to(device)
        return total

    def part(self, name: str, tensors: Sequence[Tensor]) -> Tensor:
        """Sketch several vectors that are zero but for one parameter.

        Parameters
        ----------
        name : str
            The parameter.
        tensors : sequence of Tensor
            Real tensors of its shape.

        Returns
        -------
        Tensor
            float32, shape (tensor, size).
        """
        signs, rotations = self._signs[name], self._rotations[name]
        columns = torch.arange(self.size, device=signs.device)
        rotated = columns.repeat(2).unfold(0, self.size, 1)  # at k - r: by r; no copies
        flat = [tensor.detach().to_dense().reshape(-1) for tensor in tensors]
        sums = torch.zeros(len(flat), self.size, dtype=torch.float32, device=signs.device)
        length = _ROWS * self.size
        for first, rotation in enumerate(rotations.split(_ROWS)):  # type: ignore[no-untyped-call]
            here = slice(first * length, (first + 1) * length)
            index, sign = rotated[self.size - rotation], signs[here].float()
            for total, numbers in zip(sums, flat, strict=True):
                signed = numbers[here].float() * sign
                signed = torch.nn.functional.pad(signed, (0, -len(signed) % self.size))
                total += signed.view(-1, self.size).gather(1, index).sum(0)
        return sums
