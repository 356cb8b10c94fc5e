import numpy as np
import pandas as pd
import pytest

from trajlab.report.readable import readable, text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.089125, "0.0891"),
        (-3.0, "-3"),
        (1234.567, "1235"),
        (1.7e-5, "1.7e-05"),
        (3e12, "3e+12"),
        (np.float32(0.5), "0.5"),
        (np.int64(7), "7"),
        (True, "yes"),
        (np.False_, "no"),
        (None, "–"),
        (np.nan, "–"),
        (np.inf, "inf"),
        ("left", "left"),
        ({"delta": 1.23456, "n": 5}, "delta 1.23, n 5"),
        (["a", "b"], "a, b"),
    ],
)
def test_a_value_has_the_digits_a_reader_needs(value: object, written: str) -> None:
    assert text(value) == written


def test_an_estimate_and_its_bounds_are_one_column() -> None:
    table = pd.DataFrame(
        {
            "task": ["a", "b"],
            "delta": [1.0, 2.0],
            "delta_low": [0.5, np.nan],
            "delta_high": [1.5, np.nan],
            "overlap_low": [1e-4, 1e-3],
            "overlap_high": [1.0, 2.0],
            "low": [0.1, 0.2],
            "high": [0.3, 0.4],
            "follow": [1.5, 2.5],
        }
    )
    made = readable(table)
    assert made.cells.to_dict("list") == {
        "task": ["a", "b"],
        "delta": ["1 [0.5, 1.5]", "2 [–, –]"],
        "overlap": ["[0.0001, 1]", "[0.001, 2]"],
        "interval": ["[0.1, 0.3]", "[0.2, 0.4]"],
        "follow": ["1.5", "2.5"],
    }
    assert made.numeric == {"delta", "overlap", "interval", "follow"}


def test_what_is_the_same_everywhere_is_said_once_but_a_result_never_hidden() -> None:
    table = pd.DataFrame(
        {"setting": "digits", "n_runs": 5, "delta": 0.0, "conflicting": False, "task": ["a", "b"]}
    )
    made = readable(table)
    assert made.common == {"setting": "digits", "n_runs": "5"}
    assert list(made.cells) == ["delta", "conflicting", "task"]


def test_a_column_that_varies_between_the_rows_shown_is_kept() -> None:
    table = pd.DataFrame({"step": range(100), "pair": ["a"] * 50 + ["b"] + ["a"] * 49})
    assert "pair" in readable(table, most=10).cells


def test_rows_are_thinned_evenly_from_first_to_last() -> None:
    made = readable(pd.DataFrame({"step": np.arange(101)}), most=11)
    assert made.total == 101
    assert made.cells["step"].tolist() == [str(step) for step in range(0, 101, 10)]


def test_columns_without_a_value_are_left_out() -> None:
    table = pd.DataFrame({"task": ["a", "b"], "reason": ["", None], "factor": [np.nan, np.nan]})
    assert list(readable(table).cells) == ["task"]


def test_no_rows() -> None:
    assert readable(pd.DataFrame({"task": []})).total == 0
