"""Numbers as they are given, just on each side of what is allowed."""

from typing import Any

import numpy as np
import pytest

from trajlab import TrajlabError
from trajlab.record import settings


@pytest.mark.parametrize("value", [2, 4, np.int64(3)])
def test_a_whole_number_in_range_is_kept(value: Any) -> None:
    assert settings.whole("n", value, 2, 5) == value


@pytest.mark.parametrize("value", [1, 5, 3.0, 2.5, True, "3", None])
def test_what_is_none_or_out_of_range_is_refused(value: Any) -> None:
    with pytest.raises(
        TrajlabError, match=r"n=.* is out of range; give a whole number from 2 to 4"
    ):
        settings.whole("n", value, 2, 5)


@pytest.mark.parametrize("value", [5e-324, 1, 2.5, np.float32(0.5)])
def test_a_finite_number_above_0_is_kept(value: Any) -> None:
    assert settings.positive("x", value) == value


@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan, True, "1", None, 1j])
def test_what_is_no_finite_number_above_0_is_refused(value: Any) -> None:
    with pytest.raises(TrajlabError, match=r"x=.* is out of range; give a finite number above 0"):
        settings.positive("x", value)


@pytest.mark.parametrize("values", [[], [1, 1], [1, 1.0], "12", b"12", 3, [1, 0]])
def test_a_list_is_of_distinct_numbers_that_are_each_allowed(values: Any) -> None:
    assert settings.listed("x", [2, 1], settings.positive) == (2, 1)
    with pytest.raises(TrajlabError, match=r"x=.*give (a list of|distinct|a finite)"):
        settings.listed("x", values, settings.positive)


def test_a_seed_has_32_bits() -> None:
    assert settings.seed("s", 2**32 - 1) == 2**32 - 1
    with pytest.raises(TrajlabError, match="from 0 to 4294967295"):
        settings.seed("s", 2**32)
