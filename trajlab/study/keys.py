"""Keys of a study file, checked against those there are."""

from collections.abc import Iterable
from difflib import get_close_matches

from trajlab.errors import TrajlabError


def check_keys(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse a key that means nothing, and suggest the nearest that does.

    Parameters
    ----------
    given
        Keys as written.
    known
        Keys there are.
    where
        For the sentence: the table and the file.

    Raises
    ------
    TrajlabError
        If a key is unknown.
    """
    names = list(known)
    for key in given:
        if key not in names:
            near = get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose among {', '.join(names)}"
            raise TrajlabError(f"{key!r} in {where} is unknown; {hint}")
