"""Runs compared at other losses than that on the training set, and at equal clocks."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import diagnose, factors, gap, runs_from_frame
from trajlab.errors import TrajlabError

STEPS = np.arange(10, 410, 10)


def frame(gain=0.0, faster=1.0, seeds=3, **columns):
    """Return runs of two methods whose accuracy is a function of the tokens that they saw.

    The method ``new`` sees `faster` times the tokens a step, and is `gain` better at equal tokens.
    """
    rows = []
    for method, better, pace in (("old", 0.0, 1.0), ("new", gain, faster)):
        for seed in range(seeds):
            tokens = 1e6 * pace * STEPS
            accuracy = 0.1 * np.log10(tokens) + better + 0.002 * seed
            made = {"method": method, "seed": seed, "step": STEPS, "accuracy": accuracy}
            made |= {"tokens": tokens, "evaluations/validation/loss": 1e3 / tokens}
            rows.append(pd.DataFrame(made | {k: f(tokens) for k, f in columns.items()}))
    return pd.concat(rows, ignore_index=True)


def compared(table, **options):
    runs = runs_from_frame(table, metrics=["accuracy"])
    return gap(runs, baseline={"method": "old"}, **options)


def test_at_equal_tokens_only_what_is_not_of_the_tokens_is_left():
    table = frame(gain=0.05, faster=2.0)
    row = compared(table, x="tokens").summary.iloc[0]
    assert row["matched"] == pytest.approx(0.05)
    assert row["common_loss"] == pytest.approx(4e8)  # all that the slower one saw
    assert (row["overlap_low"], row["overlap_high"]) == pytest.approx((2e7, 4e8))
    assert row["reach"] == pytest.approx(row["delta"] - 0.05)
    assert compared(table, x="step").summary["matched"].iloc[0] == pytest.approx(
        0.05 + 0.1 * np.log10(2)
    )


def test_any_loss_can_be_matched():
    row = compared(frame(gain=0.05, faster=2.0), loss="validation/loss").summary.iloc[0]
    assert row["matched"] == pytest.approx(0.05)
    assert row["common_loss"] == pytest.approx(1e3 / 4e8)


def test_every_sentence_says_what_is_equal():
    runs = runs_from_frame(frame(gain=0.05, faster=2.0), metrics=["accuracy"])
    for options, words in (
        ({"x": "tokens"}, "equal tokens (4e+08 tokens)"),
        ({"loss": "validation/loss"}, "equal validation loss (L = 2.5e-06)"),
    ):
        told = diagnose(runs, baseline={"method": "old"}, **options).verdict["sentence"]
        assert any(words in sentence for sentence in told)
        assert not any("training loss" in sentence for sentence in told)


def test_a_clock_that_is_not_there_or_falls_is_a_sentence():
    table = frame()
    with pytest.raises(TrajlabError, match=r"no run recorded a clock named 'flops'.* step, tokens"):
        compared(table, x="flops")
    table["tokens"] = 1e9 - table["tokens"]
    with pytest.raises(TrajlabError, match=r"tokens of .* falls at step 20"):
        compared(table, x="tokens")


def test_a_loss_that_is_not_there_or_none_is_a_sentence():
    with pytest.raises(
        TrajlabError, match="named 'train/nll' to compare at; there is validation/loss"
    ):
        compared(frame(), loss="train/nll")
    with pytest.raises(TrajlabError, match="loss 'tokens' is unknown; use split/metric"):
        compared(frame(), loss="tokens")
    with pytest.raises(TrajlabError, match="test/accuracy is no loss to compare at"):
        compared(frame(), loss="test/accuracy", metric="loss", split="validation")


def test_a_score_is_not_compared_at_itself():
    runs = runs_from_frame(frame(), metrics=["accuracy"])
    options = {"loss": "validation/loss", "metric": "loss", "split": "validation"}
    row = gap(runs, baseline={"method": "old"}, **options).summary.iloc[0]
    assert np.isnan(row["matched"])
    assert "validation loss is the same on both sides where it is equal" in row["reason"]


def test_losses_of_ones_own_are_read_inside_the_common_range_only():
    at = [1e3 / 2e8, 1e3 / 6e8, 1e3 / 1.9e7, 1e3 / 2.1e7]
    table = compared(frame(gain=0.05, faster=2.0), loss="validation/loss", at=at).at
    assert table["at"].tolist() == at
    assert table["gap"].iloc[0] == pytest.approx(0.05)
    assert np.isfinite(table["gap"]).tolist() == [True, False, False, True]
    outside = "outside the validation loss that all runs have"  # on either side
    assert table["reason"].tolist() == ["", outside, outside, ""]
    with pytest.raises(TrajlabError, match="the validation loss to compare at must be positive"):
        compared(frame(), loss="validation/loss", at=[-1.0])


def test_one_run_a_side_is_descriptive_in_every_sentence():
    runs = runs_from_frame(frame(gain=0.05, faster=2.0, seeds=1), metrics=["accuracy"])
    options = {"x": "tokens", "at": [1e8], "baseline": {"method": "old"}, "sensitivity": True}
    told = diagnose(runs, **options).verdict["sentence"]
    assert len(told) == 2
    assert told.str.startswith("Descriptive only (n = 1 against 1)").all()


@pytest.mark.parametrize("name", ["accuracy", "sharpness/value"])
def test_what_is_recorded_beside_the_loss_is_aligned_and_told(name):
    table = frame(gain=0.05).rename(columns={"evaluations/validation/loss": "train_loss"})
    table = table.rename(columns={"accuracy": name})
    losses = table.drop(columns=[name, "tokens"])
    scores = table.drop(columns="train_loss").assign(step=table["step"] + 5)
    metrics = [name] if name == "accuracy" else []
    runs = runs_from_frame(pd.concat([losses, scores], ignore_index=True), metrics=metrics)
    row = gap(runs, baseline={"method": "old"}, metric=name).summary.iloc[0]
    # the loss is a power of the step, so its logarithm is not quite linear between two of them
    assert row["matched"] == pytest.approx(0.05, abs=2e-3)
    assert row["n_unplaced"] == 3  # after the last loss
    assert "read between the steps at which it was recorded" in row["reason"]


def test_a_loss_is_not_made_up_between_two_that_are_far_apart():
    table = frame(gain=0.05).rename(columns={"evaluations/validation/loss": "train_loss"})
    table.loc[table["step"] > 100, "train_loss"] /= 4  # a fall of .65 decades from step 100 to 110
    table["step"] = 2 * table["step"] - 1
    losses = table.drop(columns=["accuracy", "tokens"])
    scores = table.drop(columns="train_loss")
    moved = scores.assign(step=scores["step"] + 1)
    row = compared(pd.concat([losses, moved], ignore_index=True)).summary.iloc[0]
    assert row["n_unplaced"] >= 6
    assert not np.isnan(row["matched"])


def test_scores_at_the_end_need_no_logarithm():
    table = frame(gain=0.05).rename(columns={"evaluations/validation/loss": "train_loss"})
    table["train_loss"] = 1 - table["step"] / 200  # 0 at step 200, negative after
    late = (table["method"] == "new") & (table["step"] > 200)
    table.loc[late, "accuracy"] -= 0.3
    row = compared(table).summary.iloc[0]
    assert row["delta"] == pytest.approx(-0.25)
    assert row["at_equal_steps"] == pytest.approx(-0.25)
    assert row["matched"] == pytest.approx(0.05)
    assert row["n_unplaced"] == 3 * 21
    assert "126 of 240 evaluations left out at equal training loss: a loss at or" in row["reason"]
    assert (row["n_no_logarithm"], row["n_no_logarithm_baseline"]) == (63, 63)
    runs = runs_from_frame(table, metrics=["accuracy"])
    told = " ".join(diagnose(runs, baseline={"method": "old"}).verdict["sentence"])
    assert "only losses above 0 are compared: 126 evaluations have one at or below 0" in told
    few = diagnose([r for r in runs if r.metadata["seed"] == 0], baseline={"method": "old"})
    assert "the lowest above 0, the difference is +0.05." in few.verdict["sentence"].iloc[0]


def test_a_gap_goes_down_to_0_where_some_losses_have_no_logarithm():
    for lowest, words in (
        (1.0, "at every common loss from"),
        (-1.0, "at every common loss above 0"),
    ):
        table = frame(gain=0.05).rename(columns={"evaluations/validation/loss": "train_loss"})
        table["train_loss"] = lowest + 2 - table["step"] / 200
        runs = runs_from_frame(table, metrics=["accuracy"])
        told = " ".join(diagnose(runs, baseline={"method": "old"}).verdict["sentence"])
        assert words in told
        assert ("above 0" in told) == (lowest < 0)


def test_a_quantity_at_the_end_needs_no_logarithm_either():
    for lowest, without in ((0.01, 0), (0.0, 1), (-1.0, 21)):
        table = frame().rename(columns={"evaluations/validation/loss": "train_loss"})
        table["train_loss"] = np.where(
            lowest > 0, 400.01 - table["step"], 1 - table["step"] * (1 - lowest) / 400
        )
        late = (table["method"] == "new") & (table["step"] > 200)
        table["sharpness/value"] = 1.0 + table["seed"] / 100 - 0.3 * late
        row = compared(table, metric="sharpness/value").summary.iloc[0]
        assert row["delta"] == pytest.approx(-0.3)
        assert row["n_no_logarithm"] == row["n_no_logarithm_baseline"] == 3 * without
        assert row["n_unplaced"] == 3 * without
        told = f"{6 * without} of 240 evaluations left out at equal training loss: a loss at or"
        assert (told in row["reason"]) == (without > 0)


def test_without_any_loss_above_0_the_scores_are_compared_all_the_same():
    table = frame(gain=0.05).rename(columns={"evaluations/validation/loss": "train_loss"})
    table["train_loss"] = -table["train_loss"]
    row = compared(table).summary.iloc[0]
    assert row["delta"] == pytest.approx(0.05)
    assert np.isnan(row["matched"])
    assert "no common range of training loss" in row["reason"]


def test_factors_are_read_at_the_same_loss():
    columns = {"sharpness/value": lambda tokens: 1e9 / tokens}
    runs = runs_from_frame(frame(faster=2.0, **columns), metrics=["accuracy"])
    rows = factors(runs, baseline={"method": "old"}, x="tokens").delta
    matched = rows[(rows["factor"] == "sharpness") & (rows["at"] != "end")].iloc[0]
    assert float(matched["at"]) == pytest.approx(4e8)
    assert matched["delta"] == pytest.approx(0, abs=1e-9)
    assert rows[(rows["factor"] == "sharpness") & (rows["at"] == "end")]["delta"].iloc[0] < -1
