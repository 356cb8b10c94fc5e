"""Metadata in the names of files, folders and runs."""

import re
from collections.abc import Iterator, Sequence

from trajlab.errors import TrajlabError

_FIELD = re.compile(r"({\w+}|\[\w+\])")


class NamePattern:
    """How runs are named, such as ``{method}/seed_{seed}/[task]``.

    What stands in braces tells runs apart; what stands in brackets tells the parts of one run
    apart, such as its file a task. A field has no slash, and is at least one character.

    Parameters
    ----------
    text
        The pattern.

    Raises
    ------
    TrajlabError
        If it has no field, one twice, or two with nothing between them.

    Attributes
    ----------
    text : str
        As given.
    names : list of str
        What its fields are called.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._segments = [_FIELD.split(segment) for segment in text.split("/")]
        self.names = [field[1:-1] for segment in self._segments for field in segment[1::2]]
        apart = all(all(segment[2:-1:2]) for segment in self._segments)
        if not self.names or len(set(self.names)) < len(self.names) or not apart:
            raise TrajlabError(
                f"{text!r} is no pattern for names; write such as {{method}}-seed{{seed}}, each "
                f"name once and with something between two"
            )

    @property
    def depth(self) -> int:
        """How many folders and names it spans."""
        return len(self._segments)

    def match(self, name: str) -> tuple[dict[str, str], dict[str, str], str] | None:
        """Return what `name` says of the run, of its part, and the name without the part.

        Returns None where the name has another form.

        Raises
        ------
        TrajlabError
            If it can be read in several ways.
        """
        parts = name.split("/")
        if len(parts) != self.depth:
            return None
        run: dict[str, str] = {}
        part: dict[str, str] = {}
        rest = []
        for text, segment in zip(parts, self._segments, strict=True):
            values = _fit(text, segment[::2])
            if values is None:
                return None
            turned = _fit(text[::-1], [literal[::-1] for literal in segment[::-2]])
            if turned is not None and [value[::-1] for value in turned[::-1]] != values:
                raise TrajlabError(
                    f"{name!r} fits {self.text!r} in several ways; write out what is the same in "
                    f"all names"
                )
            for field, value in zip(segment[1::2], values, strict=True):
                (run if field[0] == "{" else part)[field[1:-1]] = value
            rest.append("".join(_without_part(segment, values)))
        return run, part, "/".join(word for word in rest if word)


def _fit(text: str, literals: Sequence[str]) -> list[str] | None:
    """Return what stands between literals, each as far left as it goes: one pass, no way back."""
    first, *between = literals
    if not between:
        return [] if text == first else None
    last = between.pop()
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last):
        return None
    values, position = [], len(first)
    for literal in between:
        place = text.find(literal, position + 1, end)
        if place < 0:
            return None
        values.append(text[position:place])
        position = place + len(literal)
    return [*values, text[position:end]] if position < end else None


def _without_part(segment: Sequence[str], values: Sequence[str]) -> Iterator[str]:
    for i, literal in enumerate(segment[::2]):
        yield literal
        if i < len(values) and segment[2 * i + 1][0] == "{":
            yield values[i]
