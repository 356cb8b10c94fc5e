"""Numbers as cells have them, and what is none."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from trajlab.store.importers.numerals import Numerals, filled, labels

POINT, COMMA = Numerals("."), Numerals(",")


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (POINT.number, "1.5", 1.5),
        (POINT.number, " -2e-3 ", -0.002),
        (POINT.number, "inf", math.inf),
        (COMMA.number, "1,5", 1.5),
        (COMMA.number, "15", 15.0),
        (POINT.number_or_blank, "0", 0.0),
        (POINT.number_or_blank, "", None),
        (POINT.number_or_blank, "NA", None),
        (POINT.step, "0", 0),
        (POINT.step, "3.0", 3),
        (COMMA.step, "4,0", 4),
        (POINT.step_or_blank, "<NA>", None),
        (POINT.step_or_blank, "7", 7),
        (filled, "a", "a"),
    ],
)
def test_a_cell_is_what_it_says(read: Callable[[str], Any], text: str, value: Any) -> None:
    assert read(text) == value
    assert type(read(text)) is type(value)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (POINT.number, "1,5"),
        (POINT.number, "1_000"),
        (POINT.number, ""),
        (COMMA.number, "1.5"),
        (COMMA.number, "1.000,5"),
        (COMMA.number, "1_000"),
        (POINT.number_or_blank, "none"),
        (POINT.step, "-1"),
        (POINT.step, "2.5"),
        (POINT.step, "nan"),
        (POINT.step, ""),
        (POINT.step_or_blank, "-1"),
        (filled, ""),
    ],
)
def test_what_is_no_such_number_is_refused(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller says which cell it is
        read(text)


def test_nan_is_a_number() -> None:
    assert math.isnan(POINT.number("NaN"))
    assert POINT.number_or_blank("nan") is not None


@pytest.mark.parametrize(
    ("texts", "read"),
    [
        (["1", "-2"], [1, -2]),
        (["1", "2.5"], [1.0, 2.5]),
        (["1e-3"], [0.001]),
        (["1", "b"], ["1", "b"]),
        (["1_0", "2"], ["1_0", "2"]),
        ([], []),
    ],
)
def test_labels_are_of_one_kind(texts: list[str], read: list[Any]) -> None:
    found = labels(texts)
    assert found == read
    assert [type(label) for label in found] == [type(label) for label in read]
