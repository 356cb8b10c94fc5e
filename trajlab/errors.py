"""The one exception that trajlab raises for wrong input."""


class TrajlabError(ValueError):
    """Wrong input, told in one sentence: what is wrong, where, and what to do.

    The command line prints the sentence and exits with code 2; anything else that escapes is a
    bug.
    """
