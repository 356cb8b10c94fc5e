"""What the tables of fronts keep apart: settings, fresh runs, and one run from several."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trajlab.analysis.front.tables import fronts

OPTIMISM = {("s", "scalarization"): [1.0, 2.0, 4.0], ("s", "pcgrad"): [5.0], ("t", "pcgrad"): [-1]}


def rows_of(optimism) -> pd.DataFrame:
    made = []
    for setting in ("s", "t"):
        for method in ("scalarization", "pcgrad"):
            for seed, value in enumerate(optimism.get((setting, method), [np.nan])):
                head = {"setting": setting, "condition": "", "method": method, "seed": seed}
                for on, told in (("selection", 100.0), ("report", value)):
                    row = {"on": on, "left": seed + 1.0, "right": -seed, "optimism left": told}
                    made.append(head | row)
    return pd.DataFrame(made)


def test_optimism_is_that_of_a_setting_s_reported_runs_with_a_t_interval() -> None:
    table = fronts(rows_of(OPTIMISM), {"left": True, "right": True})["optimism"]
    found = table.set_index(["setting", "method"]).sort_index()
    assert (table["task"] == "left").all()  # the other was never chosen by
    assert found["n_runs"].to_dict() == {
        ("s", "pcgrad"): 1,
        ("s", "scalarization"): 3,
        ("t", "pcgrad"): 1,
        ("t", "scalarization"): 0,
    }
    several = found.loc["s", "scalarization"]
    values = np.array(OPTIMISM["s", "scalarization"])
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
    assert several["optimism"] == pytest.approx(values.mean())
    assert several["low"] == pytest.approx(values.mean() - half)
    assert several["high"] == pytest.approx(values.mean() + half)
    assert several["reason"] == ""
    assert (found.loc["s", "pcgrad"]["optimism"], found.loc["t", "pcgrad"]["optimism"]) == (5, -1)
    alone = found["n_runs"] < 2
    assert (found.loc[alone, "reason"] == "fewer than two runs with validation").all()
    assert found.loc[alone, "low"].isna().all()


def test_what_was_not_chosen_on_another_split_or_measured_afresh_is_said() -> None:
    rows = rows_of({}).assign(**{"optimism left": np.nan})
    same, split = "chosen and measured on the same runs", "chosen on the split that is reported"
    report = rows[rows["on"] == "report"]
    again = pd.concat([rows.assign(fresh="no"), rows.assign(fresh="yes", left=9.0)])
    objectives = {"left": True, "right": True}
    for given, fresh, doubt in (
        (rows, None, same),
        (report, None, f"{same}; {split}"),
        (again, {"fresh": "yes"}, ""),
        (again[again["on"] == "report"], {"fresh": "yes"}, split),
    ):
        made = fronts(given, objectives, fresh=fresh)
        assert made["distance"]["setting"].tolist() == ["s", "t"]
        for name in ("distance", "hypervolume", "flips"):
            assert all(
                reason.endswith(doubt) and (same in reason) == (same in doubt)
                for reason in made[name]["reason"]
            )
        assert (made["points"]["left"] == (9.0 if fresh else 1.0)).all()


def test_reference_is_worse_than_all_points_and_a_pair_counts_each_side_s_runs() -> None:
    """By a tenth of their range, or by 1 where they do not differ; of `right` less is better."""
    made = fronts(rows_of(OPTIMISM), {"left": True, "right": False})
    volume = made["hypervolume"].groupby("setting")["reference"].unique()
    assert volume["s"].tolist() == ["0.9, 0.1"]
    assert volume["t"].tolist() == ["0, 1"]
    pairs = made["flips"][made["flips"]["setting"] == "s"]
    columns = ["method", "baseline", "n_runs", "n_baseline"]
    told = set(pairs[columns].itertuples(index=False, name=None))
    assert told == {("scalarization", "method=pcgrad", 3, 1)}
