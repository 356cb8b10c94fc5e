"""Linear sketches: short vectors whose inner products estimate those of long ones."""

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.measure.sums.rotations import Rotations


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
        self._rotations: dict[str, Rotations] = {}
        for name, parameter in parameters.items():
            if parameter.is_complex():
                raise TrajlabError(
                    f"sketches are of real parameters alone, and {name} is complex; leave it out "
                    "of shared="
                )
            digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest) >> 1)
            blocks = -(-parameter.numel() // size)
            count = (parameter.numel(),)
            signs = torch.randint(0, 2, count, generator=generator, dtype=torch.int8)
            rotations = torch.randint(0, size, (blocks,), generator=generator)
            self._signs[name] = signs.mul_(2).sub_(1).to(parameter.device)
            self._rotations[name] = Rotations(rotations.to(parameter.device), size)

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
        flat = [tensor.detach().to_dense().reshape(-1) for tensor in tensors]
        return self._rotations[name].added(flat, self._signs[name])
