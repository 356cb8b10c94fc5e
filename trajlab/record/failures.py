"""What goes wrong beside training, told once and survived."""

import logging

from trajlab.errors import TrajlabError

_logger = logging.getLogger("trajlab")


class Failures:
    """Warns once of each thing that fails beside training, or raises where that is asked for.

    Parameters
    ----------
    strict : bool
        Whether a failure ends training.
    """

    def __init__(self, strict: bool = False) -> None:
        self._strict = strict
        self._told: set[str] = set()

    def tell(self, what: str, error: Exception, then: str) -> str:
        """Warn of a failure, the first time that `what` fails.

        Parameters
        ----------
        what : str
            What failed, as the object of "trajlab could not".
        error : Exception
            Why.
        then : str
            What happens instead.

        Returns
        -------
        str
            The reason, on one line.

        Raises
        ------
        Exception
            The error itself if failures end training.
        """
        if self._strict:
            raise error
        why = reason(error)
        if what not in self._told:
            self._told.add(what)
            _logger.warning(
                "trajlab could not %s: %s. Training goes on, and %s; this is said once "
                "(strict=True raises instead)",
                what,
                why,
                then,
            )
        return why


def reason(error: Exception) -> str:
    """Return the first line of an error, with its kind unless the sentence is trajlab's own."""
    first = str(error).partition("\n")[0].replace("\0", "").rstrip(". ")
    if isinstance(error, TrajlabError):
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
