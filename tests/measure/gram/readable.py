"""Which tests need a torch that tells whether what a graph keeps is packed."""

import pytest
from torch._C._autograd import SavedTensor

readable = pytest.mark.skipif(
    not hasattr(SavedTensor, "unpack_hook"),
    reason="before torch 2.10 no operand is read and no task derived: gradients are autograd's",
)
