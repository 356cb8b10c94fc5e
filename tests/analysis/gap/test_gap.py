"""The rows of the gap, from recorded runs."""

import numpy as np
import pytest
from scipy import stats

from trajlab.analysis import diagnose, gap
from trajlab.analysis.gap.decomposition import TERMS, run_terms
from trajlab.analysis.runs.curve import (
    isotonic,
)
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.windows import Windows
from trajlab.errors import TrajlabError
from trajlab.report.sentences import sentences


def splits(loss=None, accuracy=None, validation=None, n=40):
    """Return evaluations of one task: loss falls over four decades, accuracy rises."""
    falling = np.linspace(0, -4, n)
    made = {"train": {"loss": 10**falling if loss is None else loss}}
    made["test"] = {"accuracy": 80 - falling if accuracy is None else accuracy}
    return made if validation is None else made | {"validation": {"accuracy": validation}}


def compare(make_run, single, multi, **options):
    """Return the gap between lists of splits, one entry a seed."""
    sides = (("single", single), ("uniform", multi))
    runs = [
        make_run(made, method=method, setting="digits", seed=seed)
        for method, side in sides
        for seed, made in enumerate(side)
    ]
    return gap(runs, **options)


def shifted(shift, **options):
    accuracy = 80 + shift - np.linspace(0, -4, 40)
    return splits(accuracy=accuracy, **options)


def test_columns_are_those_of_the_design(make_run):
    result = compare(make_run, [shifted(s) for s in (0, 0.1)], [shifted(s) for s in (1, 1.1)])
    wanted = [
        "setting",
        "condition",
        "method",
        "task",
        "baseline",
        "n_baseline",
        "n_runs",
        "reason",
    ]
    assert {*wanted, *["train_loss", "gap", "low", "high", "significant"]} <= set(result.curve)
    wanted += [
        "metric",
        "split",
        "rule",
        "interval",
        "onset_rule",
        "overlap_low",
        "overlap_high",
        "onset_loss",
    ]
    wanted += ["onset_step_baseline", "onset_step", "sign", "persistence"]
    wanted += [f"{term}{end}" for term in TERMS for end in ("", "_low", "_high")]
    assert set(wanted) <= set(result.summary)
    assert list(result.tables()) == ["curve", "summary", "steps", "at", "overall", "sensitivity"]
    assert result.settings["baseline"] == {"method": "single"}
    row = result.summary.iloc[0]
    assert (row["n_baseline"], row["n_runs"], row["baseline"]) == (2, 2, "method=single")
    assert row["delta"] == pytest.approx(1.0)


def test_the_steps_of_an_onset_are_those_at_which_each_side_reaches_its_loss(make_run):
    """The other side is better by 1 from a loss of 0.01 down, and takes twice the steps there."""
    loss = 10 ** np.linspace(0, -4, 41)
    slow = np.repeat(loss, 2)
    sides = [
        [
            splits(each, np.where(each > 10**-1.95, 80.0, 80.0 + late) + 0.01 * s, n=each.size)
            for s in range(3)
        ]
        for each, late in ((loss, 0.0), (slow, 1.0))
    ]
    row = compare(make_run, *sides, rule="first_passage").summary.iloc[0]
    reached = [int(np.argmax(each <= row["onset_loss"] * (1 + 1e-9))) for each in (loss, slow)]
    assert row["sign"] == 1
    assert np.log10(row["onset_loss"]) == pytest.approx(-2, abs=0.1)
    steps = row["onset_step_baseline"], row["onset_step"]
    assert steps == pytest.approx(reached, abs=1)
    assert steps[1] > 1.8 * steps[0]


def test_the_band_of_the_whole_curve_lies_around_the_intervals_of_its_points(make_run):
    sides = [[shifted(s + by) for s in (0, 0.1, 0.25)] for by in (0, 1)]
    curve = compare(make_run, *sides).curve.dropna(subset=["band_low"])
    ends = curve[["band_low", "low", "gap", "high", "band_high"]].to_numpy()
    assert len(ends) > 20
    assert (np.diff(ends, axis=1) > -1e-12).all()
    assert ends[:, 2] - ends[:, 0] == pytest.approx(ends[:, 4] - ends[:, 2])


def test_one_run_a_side_has_no_interval_and_no_scope(make_run):
    few = compare(make_run, [shifted(0)], [shifted(1)]).summary.iloc[0]
    many = compare(make_run, [shifted(s) for s in (0, 0.1)], [shifted(s) for s in (1, 1.2)])
    assert few["selection"] == 0
    assert np.isnan([few["selection_low"], few["selection_high"], few["delta_item_se"]]).all()
    assert few["scope"] == ""
    row = many.summary.iloc[0]
    assert (row["selection_low"], row["selection_high"]) == (0, 0)
    assert row["scope"] == "conditional on this test set"


def test_any_metadata_key_names_the_baseline(make_run):
    runs = [
        make_run(shifted(shift + seed / 10), optimizer=optimizer, lr=lr, seed=seed, tasks=["lm"])
        for optimizer, lr, shift in (("adamw", 0.001, 0), ("sgd", 0.001, 1), ("sgd", 0.1, 3))
        for seed in (0, 1)
    ]
    result = gap(runs, baseline={"optimizer": "adamw", "lr": "1e-3"})
    rows = result.summary
    assert result.options.group_by == ("optimizer", "lr")
    assert list(rows["optimizer"]) == ["sgd", "sgd"]
    assert list(rows["lr"]) == ["0.001", "0.1"]
    assert list(rows["baseline"]) == ["optimizer=adamw, lr=0.001"] * 2  # no method was recorded
    assert list(rows["delta"]) == pytest.approx([1, 3])
    told = diagnose(runs, baseline={"optimizer": "adamw", "lr": "1e-3"})
    assert list(sentences(told)) == [
        "task lm, optimizer sgd, lr 0.001",
        "task lm, optimizer sgd, lr 0.1",
    ]
    narrowed = gap(runs, baseline={"optimizer": "adamw"}, against={"lr": "0.1"})
    assert list(narrowed.summary["delta"]) == pytest.approx([3])
    with pytest.raises(TrajlabError, match=r"differ in 'lr': name the baseline by it \(lr=0.001\)"):
        gap(runs, baseline={"optimizer": "adamw"})
    with pytest.raises(TrajlabError, match="no run has the metadata key 'optimiser' to group by"):
        gap(runs, baseline={"optimiser": "adamw"})
    with pytest.raises(TrajlabError, match="seed tells repetitions of a training apart"):
        gap(runs, baseline={"seed": "0"})


def test_step_0_is_left_out(make_run):
    loss = 10 ** np.linspace(0, -4, 40)
    loss[0] = 1e-9  # as if the initial point were the best of all
    result = compare(make_run, [splits(loss=loss)], [splits()])
    assert result.summary["overlap_low"][0] == pytest.approx(1e-4)


def test_validation_chooses_the_checkpoints(make_run):
    """Validation prefers evaluations 10 to 13, a tenth of them, whose test accuracy is known."""
    validation = np.zeros(40)
    validation[10:14] = 1.0
    falling = np.linspace(0, -4, 40)
    plain, chosen = shifted(0.0, validation=validation), shifted(1.0, validation=validation)
    result = compare(make_run, [plain, plain], [splits(validation=validation), chosen])
    row = result.summary.iloc[0]
    assert row["selection_split"] == "validation"
    assert row["delta"] == pytest.approx(0.5)
    # The group means' selection terms are equal here, so read one run's from its terms.
    run = Evaluations.clean(np.arange(40), 10**falling, 80 - falling, validation)
    terms = run_terms(run, isotonic(run), -4.0, Windows(None, np.nan, select=True))
    assert terms[0] == pytest.approx((80 - falling[10:14]).mean())
    assert terms[2] == pytest.approx((80 - falling[-4:]).mean() - 84)


def test_lower_is_better_flips_the_sign(make_run):
    def run(value, seed, method):
        made = splits(accuracy=np.full(40, value))
        made["test"] = {"mae": made["test"]["accuracy"]}
        return make_run(made, lower_is_better=("mae",), method=method, seed=seed)

    runs = [run(2.0, s, "single") for s in (0, 1)] + [run(1.5, s, "uniform") for s in (0, 1)]
    summary = gap(runs).summary
    assert summary["delta"][0] == pytest.approx(0.5)
    assert not summary["higher_is_better"][0]


def test_values_that_are_not_finite_are_left_out_and_counted(make_run):
    damaged = splits()
    damaged["train"]["loss"] = damaged["train"]["loss"].copy()
    damaged["train"]["loss"][[5, 7]] = [np.nan, np.inf]
    damaged["test"]["accuracy"][9] = np.nan
    row = compare(make_run, [splits()] * 2, [damaged, splits()]).summary.iloc[0]
    assert (row["n_excluded"], row["n_excluded_baseline"], row["n_diverged"]) == (1, 0, 0)
    assert (row["n_unplaced"], row["n_unplaced_baseline"]) == (2, 0)
    assert "2 of 155 evaluations left out at equal training loss" in row["reason"]
    assert row["delta"] == pytest.approx(0.0)


def test_diverged_and_incomplete_runs_are_left_out_and_counted(make_run):
    diverged = splits()
    diverged["train"]["loss"] = np.where(np.arange(40) > 30, np.nan, diverged["train"]["loss"])
    options = {"method": "uniform", "setting": "digits"}
    runs = [make_run(splits(), method="single", setting="digits", seed=seed) for seed in (0, 1)]
    runs += [make_run(splits(), **options, seed=seed) for seed in (0, 1)]
    runs.append(make_run(diverged, **options, seed=2))
    runs.append(make_run(splits(), **options, seed=3, status="recording"))
    row = gap(runs).summary.iloc[0]
    assert (row["n_runs"], row["n_diverged"], row["n_incomplete"]) == (2, 1, 1)
    assert (row["n_diverged_baseline"], row["n_incomplete_baseline"]) == (0, 0)
    row = gap(runs[:2] + runs[4:]).summary.iloc[0]
    assert row["reason"].startswith("no usable run of method=uniform: 1 incomplete, 1 diverged")
    assert np.isnan(row["delta"])


def test_one_seed_is_descriptive(make_run):
    result = compare(make_run, [splits()], [shifted(1.0)])
    row = result.summary.iloc[0]
    assert row["delta"] == pytest.approx(1.0)
    assert np.isnan([row["delta_low"], row["matched_high"], row["onset_loss"]]).all()
    assert "one run on a side, so descriptive only" in row["reason"]
    assert result.curve["gap"].to_numpy() == pytest.approx(np.ones(len(result.curve)))
    assert not result.curve["significant"].any()


def test_disjoint_losses_are_a_row_with_a_reason(make_run):
    high = splits(loss=10 ** np.linspace(3, 2, 40))
    result = compare(make_run, [splits()] * 2, [high] * 2)
    row = result.summary.iloc[0]
    assert "no common range of training loss" in row["reason"]
    assert np.isnan([row["matched"], row["overlap_low"], row["onset_loss"]]).all()
    assert row["delta"] == pytest.approx(0.0)
    assert result.curve.empty


def test_a_task_without_baseline_is_a_row_with_a_reason(make_run):
    both = {
        split: {name: np.column_stack([column, column]) for name, column in columns.items()}
        for split, columns in splits().items()
    }
    options = {"setting": "digits", "tasks": ["left", "right"], "method": "uniform"}
    runs = [make_run(splits(), setting="digits", method="single", seed=s) for s in (0, 1)]
    runs += [make_run(both, seed=s, **options) for s in (0, 1)]
    rows = gap(runs).summary.set_index("task")
    assert rows["delta"]["left"] == pytest.approx(0.0)
    assert rows["reason"]["right"] == "no baseline trains right in digits"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rule": "median"}, "rule 'median' is unknown; use one of isotonic, first_passage, bins"),
        ({"interval": "3sd"}, "interval '3sd' is unknown"),
        ({"onset": "last"}, "onset 'last' is unknown"),
        ({"confidence": 1.5}, "confidence must lie between 0 and 1"),
        ({"metric": "f1"}, "no run has the metric 'f1' on the test split; there is accuracy"),
        (
            {"split": "validation"},
            "no run was evaluated on the training set and on the validation split",
        ),
    ],
)
def test_bad_options_are_told_in_a_sentence(make_run, options, sentence):
    with pytest.raises(TrajlabError, match=sentence):
        compare(make_run, [splits()], [splits()], **options)


def paired_runs(make_run, ids):
    """Return runs whose pairs differ by 1 ± .01 although seeds differ by tens."""
    shifts = zip((0, 20, 40), (1.0, 21.01, 40.99), strict=True)
    runs = []
    for seed, (single, multi) in enumerate(shifts):
        options = {"setting": "digits", "seed": seed}
        runs.append(make_run(shifted(single), method="single", pair_id=seed, **options))
        runs.append(make_run(shifted(multi), method="uniform", pair_id=ids[seed], **options))
    return runs


def test_declared_pairs_have_the_paired_t_interval(make_run):
    row = gap(paired_runs(make_run, (0, 1, 2))).summary.iloc[0]
    interval = stats.ttest_1samp([1.0, 1.01, 0.99], 0).confidence_interval(0.95)
    assert row["pairs"]
    assert (row["delta_low"], row["delta_high"]) == pytest.approx((interval.low, interval.high))
    assert (row["matched_low"], row["matched_high"]) == pytest.approx(tuple(interval))
    unpaired = gap(paired_runs(make_run, (0, 1, 7))).summary.iloc[0]
    assert not unpaired["pairs"]
    assert unpaired["delta_high"] - unpaired["delta_low"] > 50


def test_the_gap_at_equal_steps_needs_no_loss(make_run):
    slow = splits(loss=10 ** np.linspace(3, 2, 40), accuracy=np.arange(40.0))
    result = compare(make_run, [splits(accuracy=np.zeros(40))] * 2, [slow] * 2)
    assert result.steps["gap"].tolist() == list(range(1, 40))
    row = result.summary.iloc[0]
    assert (row["last_common_step"], row["at_equal_steps"]) == (39, 39)


def test_another_cadence_is_a_warning(make_run):
    sparse = splits(n=20)
    for columns in sparse.values():
        columns["step"] = np.arange(20) * 2
    result = compare(make_run, [splits()] * 2, [sparse] * 2)
    assert "evaluated every 2 steps against every 1" in result.summary["reason"][0]
    assert result.steps["step"].tolist() == list(range(2, 40, 2))


def test_a_bootstrap_over_few_runs_is_refused(make_run):
    with pytest.raises(TrajlabError, match=r"needs 8 runs a group, and there are 2 against 2"):
        compare(make_run, [splits()] * 2, [splits()] * 2, interval="bootstrap")


def test_the_bracket_stands_beside_the_gap(make_run):
    """The loss of every run dips once to its end and rises again: 5 there, 9 at the very end."""
    loss = np.array([1.0, 1.0, 0.1, 0.3, 0.1])
    flat = splits(loss=loss, accuracy=np.zeros(5))
    risen = splits(loss=loss, accuracy=np.array([0.0, 0, 5, 7, 9]))
    row = compare(make_run, [flat] * 2, [risen] * 2).summary.iloc[0]
    assert (row["matched_first_passage"], row["matched_last_passage"]) == (5, 9)


def test_a_recorded_quantity_takes_the_metrics_place(reference):
    """The covariance of +Noisy over STL is 8.0 at the end, and 1.2 at L = 3e-4."""
    options = {"baseline": {"method": "STL"}, "against": {"method": "MTL+Noisy"}}
    result = gap(reference, metric="noise/covariance_trace", **options)
    row = result.summary.iloc[0]
    assert row["metric"] == "noise/covariance_trace"
    assert (row["split"], row["scope"], row["selection"]) == ("", "over runs", 0)
    assert "selection" not in row["reason"]
    assert row["delta"] == pytest.approx(row["matched"] + row["reach"])
    single = [run for run in reference if run.metadata["method"] == "STL"]
    last = np.mean([run.table("noise")["covariance_trace"][-10:] for run in single])
    assert 1 + row["delta"] / last > 5
    at = result.curve.iloc[np.abs(np.log(result.curve["train_loss"] / 3e-4)).argmin()]
    assert abs(at["gap"]) < 0.5 * row["delta"]


def test_an_unknown_quantity_names_the_known_ones(reference):
    with pytest.raises(TrajlabError, match=r"named 'noise/trace'; there is .*noise/covariance_tr"):
        gap(reference, baseline={"method": "STL"}, metric="noise/trace")


@pytest.mark.parametrize(("last", "shown"), [(1, False), (2, True)])
def test_equal_steps_are_the_smaller_last_step_but_never_the_first(make_run, last, shown):
    short = splits(n=last + 1, loss=np.linspace(1, 0.5, last + 1), accuracy=np.arange(last + 1.0))
    long = splits(accuracy=np.arange(40.0))
    row = compare(make_run, [long] * 2, [short] * 2).summary.iloc[0]
    assert np.isfinite(row["at_equal_steps"]) == shown


def test_sensitivity_reads_every_choice_and_leaves_out_each_run(reference):
    result = gap(reference, baseline={"method": "STL"}, sensitivity=True)
    own = result.sensitivity[result.sensitivity["method"] == "MTL+Noisy"]
    counts = own["varied"].value_counts().to_dict()
    expected = {"nothing": 1, "rule": 2, "common loss": 1, "window": 1, "grid": 3, "left out": 6}
    assert counts == expected
    made = result.summary.set_index("method").loc["MTL+Noisy"]
    assert own.iloc[0]["matched"] == pytest.approx(made["matched"])
    twenty = own[own["value"] == "20 points a decade"]
    assert twenty["onset_loss"].tolist() == [made["onset_loss"]]
    ways = own.set_index("varied")
    assert ways.loc["common loss", "common_loss"] == pytest.approx(10 * made["common_loss"])
    for _, left_out in ways.loc["left out"].iloc[[0, -1]].iterrows():  # one on each side
        rest = [run for run in reference if run.path.stem != left_out["value"]]
        assert len(rest) == len(reference) - 1
        again = gap(rest, baseline={"method": "STL"}).summary.set_index("method").loc["MTL+Noisy"]
        for name in ("delta", "matched", "common_loss"):
            assert left_out[name] == pytest.approx(again[name]), name
    assert gap(reference, baseline={"method": "STL"}).sensitivity.empty


def test_percent_against_fractions_is_refused(make_run):
    fractions = [splits(accuracy=np.linspace(0.5, 0.9, 40))] * 2
    percent = [splits(accuracy=np.linspace(50.0, 90.0, 40))] * 2
    row = compare(make_run, fractions, percent).summary.iloc[0]
    assert "percent against fractions" in row["reason"]
    assert np.isnan(row["delta"])
    low = [splits(accuracy=np.linspace(0.01, 0.02, 40))] * 2
    assert np.isfinite(compare(make_run, low, fractions).summary.iloc[0]["delta"])


def test_a_run_that_was_never_evaluated_is_left_out_and_counted(make_run):
    whole = splits(accuracy=np.linspace(0.5, 0.9, 40))
    torn = {"train": whole["train"]}
    row = compare(make_run, [whole] * 2, [whole, whole, torn]).summary.iloc[0]
    assert (row["n_runs"], row["n_unevaluated"], row["n_unevaluated_baseline"]) == (2, 1, 0)
    assert "1 runs left out that were never evaluated" in row["reason"]


def test_the_end_at_equal_steps_is_the_last_row_of_its_table(make_run):
    made = [splits(accuracy=80 + s + np.linspace(0, 3, 40) ** 2) for s in (0.0, 0.3, 0.5)]
    result = compare(make_run, [shifted(0.0), shifted(0.2), shifted(0.1)], made)
    row, last = result.summary.iloc[0], result.steps.iloc[-1]
    assert row["last_common_step"] == last["step"] == result.steps["step"].max()
    found = row[["at_equal_steps", "at_equal_steps_low", "at_equal_steps_high"]].tolist()
    assert np.isfinite(found).all()
    assert found == last[["gap", "low", "high"]].tolist()
    assert result.steps["gap"].nunique() > 1


def test_a_key_that_has_a_column_s_name_is_refused_and_others_are_not(make_run):
    runs = [make_run(splits(), method=m, note="a", onset_loss="b") for m in ("single", "uniform")]
    assert gap(runs, group_by=["note"]).summary["note"].tolist() == ["a"]
    with pytest.raises(TrajlabError, match="metadata onset_loss cannot tell groups apart"):
        gap(runs, group_by=["onset_loss"])


@pytest.mark.parametrize("at", [(), (0.1,), (0.1, 0.01)])
def test_the_gap_is_read_at_the_losses_asked_for_and_no_others(make_run, at):
    result = compare(make_run, [splits()] * 2, [shifted(1.0), shifted(2.0)], at=at)
    assert len(result.at) == len(at)
    if at:
        assert result.at["at"].tolist() == pytest.approx(list(at))
        assert result.at["gap"].tolist() == pytest.approx([1.5] * len(at))
