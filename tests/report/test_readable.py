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
        (999.4, "999"),
        (999.6, "1000"),  # and not 1e+03
        (-999.6, "-1000"),
        (1.7e-5, "1.7e-05"),
        (999_999_999.0, "999999999"),
        (1e9, "1e+09"),
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
        "delta": ["1 [0.5, 1.5]", "2"],
        "overlap": ["[0.0001, 1]", "[0.001, 2]"],
        "interval": ["[0.1, 0.3]", "[0.2, 0.4]"],
        "follow": ["1.5", "2.5"],
    }
    assert made.numeric == {"delta", "overlap", "interval", "follow"}


def test_bare_bounds_belong_to_the_column_before_them() -> None:
    table = pd.DataFrame({"mean": [0.1, 0.2], "low": [0.0, 0.1], "high": [1.0, 2.0], "n": [3, 4]})
    cells = readable(table).cells.to_dict("list")
    assert cells == {"mean": ["0.1 [0, 1]", "0.2 [0.1, 2]"], "n": ["3", "4"]}


def test_a_missing_interval_is_not_written_with_brackets() -> None:
    table = pd.DataFrame({"low": [np.nan, 1.0], "high": [np.nan, 2.0]})
    assert readable(table).cells["interval"].tolist() == ["–", "[1, 2]"]


def test_what_is_the_same_everywhere_is_said_once_but_an_estimate_never() -> None:
    table = pd.DataFrame({"n_runs": 5, "delta": 0.0, "delta_low": -1.0, "delta_high": 1.0}, [0, 1])
    made = readable(table.assign(task=["a", "b"]))
    assert made.common == {"n_runs": "5"}
    assert list(made.cells) == ["delta", "task"]


def test_one_row_says_everything_in_its_cells() -> None:
    made = readable(pd.DataFrame({"setting": ["digits"], "n_runs": [5]}))
    assert made.common == {}
    assert made.cells.to_dict("list") == {"setting": ["digits"], "n_runs": ["5"]}


def test_columns_without_a_value_are_left_out() -> None:
    table = pd.DataFrame({"task": ["a", "b"], "reason": ["", None], "factor": [np.nan, np.nan]})
    assert list(readable(table).cells) == ["task"]


def test_no_rows() -> None:
    assert readable(pd.DataFrame({"task": []})).cells.empty
