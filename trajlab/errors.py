"""What trajlab tells of wrong input: the one exception that it raises, and warnings."""

import sys
import warnings

_WITHIN = ("trajlab", "contextlib")  # packages whose frames no user wrote


class TrajlabError(ValueError):
    """Wrong input, told in one sentence: what is wrong, where, and what to do.

    The command line prints the sentence and exits with code 2; anything else that escapes is a
    bug.
    """


def warn(sentence: str) -> None:
    """Warn at the line that called trajlab, however deep inside it this is.

    Parameters
    ----------
    sentence
        What is wrong, where, and what to do.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _WITHIN:
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, stacklevel=level)
