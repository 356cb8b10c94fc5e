"""Checks of the options that analyses share."""

from collections.abc import Iterable

from trajlab.errors import TrajlabError


def check_choice(option: str, value: str, known: Iterable[str]) -> None:
    """Raise a `TrajlabError` if `value` is not one of `known`."""
    if value not in known:
        raise TrajlabError(f"{option} {value!r} is unknown; use one of {', '.join(known)}")


def check_confidence(confidence: float) -> None:
    """Raise a `TrajlabError` if `confidence` is not strictly between 0 and 1."""
    if not 0 < confidence < 1:
        raise TrajlabError(f"confidence must lie between 0 and 1, not at {confidence}")
