import base64
import gzip
import io
import json

import numpy as np
import pandas as pd
import pytest

from trajlab.report.downloads import link
from trajlab.report.tables import brief, main_table, measured, rows, to_csv, to_json

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


def test_a_reader_is_spared_details_and_counts_of_what_never_happened() -> None:
    table = pd.DataFrame(
        {"task": ["a", "b"], "n_runs": [3, 0], "n_diverged": [0, 0], "delta": [0.0, 0.0], "p": 1.0}
    )
    assert list(brief(table, ("p", "absent"))) == ["task", "n_runs", "delta"]
    assert list(brief(table, ())) == ["task", "n_runs", "delta", "p"]


def test_rows_without_any_number_are_counted_by_their_reason() -> None:
    nan = np.nan
    table = pd.DataFrame(
        {
            "task": ["a", "b", "c", "d", "e"],
            "n_runs": [1, 2, 3, 4, 5],
            "delta": [1.0, nan, nan, nan, nan],
            "low": [nan, 2.0, nan, nan, nan],
            "reason": ["one", "two", "three", "", "three"],
        }
    )
    shown, reasons = measured(table)
    assert shown["task"].tolist() == ["a", "b", "d"]
    assert reasons == {"three": 2}
    for other in (table.drop(columns="reason"), table[["task", "n_runs", "reason"]]):
        kept, none = measured(other)
        assert kept is other
        assert none == {}


def csv_of(size: int) -> pd.DataFrame:
    """Return a table whose CSV has so many bytes, an even number."""
    return pd.DataFrame({"x": [0] * (size // 2 - 1)})


def test_a_table_is_a_link_packed_where_it_is_long_and_none_where_too_long() -> None:
    plain, packed = link("a b", csv_of(100_000)), link("a", csv_of(100_002))
    assert plain is not None
    assert packed is not None
    assert plain.startswith('<a download="a b.csv" href="data:text/csv;base64,')
    assert plain.endswith('">a b.csv</a>')
    content = base64.b64decode(plain.partition("base64,")[2].partition('"')[0])
    assert content == b"x\n" + b"0\n" * 49_999
    assert packed.startswith('<a download="a.csv.gz" href="data:application/gzip;base64,')
    content = base64.b64decode(packed.partition("base64,")[2].partition('"')[0])
    assert gzip.decompress(content) == b"x\n" + b"0\n" * 50_000
    noise = np.random.default_rng(0).random(20_000)
    kept = []
    for number in range(14_000, 20_000, 500):
        table = pd.DataFrame({"x": noise[:number]})
        packed_size = len(gzip.compress(to_csv({"x": table}), mtime=0))
        assert (link("x", table) is None) == (packed_size > 150_000)
        kept.append(packed_size <= 150_000)
    assert {*kept} == {True, False}
