import io
import json

import numpy as np
import pandas as pd
import pytest

from trajlab.report.tables import main_table, rows, to_csv, to_json

TABLE = pd.DataFrame(
    {
        "task": ["a", "b", "c"],
        "n": [1, 2, 3],
        "delta": [0.1 + 0.2, np.nan, np.inf],
        "significant": [True, False, None],
        "reason": [None, "too few runs", ""],
    }
)


def test_json_keeps_every_digit_and_has_null_for_nan_and_infinity() -> None:
    read = json.loads(to_json({"summary": TABLE}), parse_constant=pytest.fail)["summary"]
    assert [row["delta"] for row in read] == [0.1 + 0.2, None, None]
    assert [row["significant"] for row in read] == [True, False, None]
    assert [row["n"] for row in read] == [1, 2, 3]


def test_an_empty_table_is_an_empty_list() -> None:
    assert json.loads(to_json({"curve": TABLE.iloc[:0]})) == {"curve": []}


def test_rows_are_plain_python() -> None:
    assert {type(value) for row in rows(TABLE) for value in row.values()} == {
        str, int, float, bool, type(None)
    }  # fmt: skip


def test_the_summary_stands_for_a_result_else_the_first_table() -> None:
    curve = TABLE.iloc[:1]
    assert main_table({"curve": curve, "summary": TABLE}) is TABLE
    assert main_table({"pairs": curve, "similarity": TABLE}) is curve


def test_csv_reads_back_exactly() -> None:
    read = pd.read_csv(io.BytesIO(to_csv({"summary": TABLE})))
    assert read["delta"][0] == 0.1 + 0.2
    assert list(read) == list(TABLE)
