"""What the catalog names of an analysis is there, under that name."""

from typing import Any

import pytest

from trajlab import analysis, datasets
from trajlab.report.catalog import ANALYSES
from trajlab.report.tables import main_table

RUNS = {"front": "digits-fronts"}
SETTINGS: dict[str, dict[str, Any]] = {
    "correlate": {"x": "mean_cosine", "y": "final_metric"},
    "front": {"metric": "accuracy", "group_by": ["weight", "lr"], "fresh": {"stage": "fresh"}},
}


@pytest.mark.parametrize("name", ANALYSES)
def test_panels_details_and_tables_are_those_of_the_result(name: str) -> None:
    entry = ANALYSES[name]
    runs = datasets.load(RUNS.get(name, "digits-two-tasks"))
    tables = getattr(analysis, name)(runs, **SETTINGS.get(name, {})).tables()
    columns = {column for table in tables.values() for column in table}
    assert entry.shown in {*tables, "summary"}
    assert {*entry.beside} <= tables.keys()
    assert {*entry.details} <= tables.keys() | columns
    assert {*entry.panels} <= {*main_table(tables, entry.shown)}
