"""Compiled graphs that can be walked only once."""

from collections.abc import Iterator
from contextlib import contextmanager

from trajlab.errors import TrajlabError


@contextmanager
def walking_again() -> Iterator[None]:
    """Say in one sentence that a compiled backward gives its buffers away.

    Raises
    ------
    TrajlabError
        In the place of torch's error, saying what to set.
    """
    try:
        yield
    except RuntimeError as error:
        if "donated buffer" not in str(error):
            raise
        raise TrajlabError(
            "a compiled graph that reuses its buffers cannot be differentiated once more; set "
            "torch._functorch.config.donated_buffer = False before it is compiled"
        ) from error
