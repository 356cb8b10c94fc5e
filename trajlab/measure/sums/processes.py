"""Sums over the processes of a distributed training."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

if dist.is_available():
    # Its functions take the group there is at its import as their default, for ever. The first
    # optimizer imports it, after init_process_group: gloo's threads would then outlive
    # destroy_process_group, and one that lets go of its last message while the interpreter is torn
    # down aborts the process (pytorch/pytorch#179291). Imported before, there is no group to keep.
    import torch.distributed.nn.functional


def processes() -> int:
    """Return how many processes train together; 1 outside ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors added up over all processes, in one message.

    Every process has to call it, with tensors of the same shapes.

    Parameters
    ----------
    tensors : sequence of Tensor
        Real tensors on one device.

    Returns
    -------
    list of Tensor
        Sums of the same shapes, in the widest of their types.
    """
    if processes() == 1 or not tensors:
        return list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    sizes = [tensor.numel() for tensor in tensors]
    parts = flat.split(sizes)  # type: ignore[no-untyped-call]
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
