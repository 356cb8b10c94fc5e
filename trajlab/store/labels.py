"""Labels as a reader takes them: numbers in them as numbers."""

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"((?:^[+-])?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([kKmMbBgGtT](?![A-Za-z]))?")
_SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}


def ranks(labels: Iterable[str]) -> dict[str, int]:
    """Return the place of each label: 160M before 410M before 1.4B, ``lr=.01`` before ``lr=.1``.

    Parameters
    ----------
    labels
        In order of appearance; repetitions are passed over.

    Returns
    -------
    dict of str to int
        Labels with the same words around their numbers stand together, where the first of them
        appears.
    """
    distinct = list(dict.fromkeys(labels))
    words = {label: _NUMBER.sub("#", label) for label in distinct}
    first = {word: place for place, word in reversed(list(enumerate(words.values())))}
    order = sorted(distinct, key=lambda label: (first[words[label]], _numbers(label)))
    return {label: place for place, label in enumerate(order)}


def same(label: str, wanted: str) -> bool:
    """Tell whether two labels are equal, as texts or as numbers: 1e-3 is 0.001."""
    try:
        return label == wanted or float(label) == float(wanted)
    except ValueError:
        return False


def _numbers(label: str) -> list[float]:
    return [float(number) * _SUFFIXES[suffix.lower()] for number, suffix in _NUMBER.findall(label)]
