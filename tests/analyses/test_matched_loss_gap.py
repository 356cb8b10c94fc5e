"""Verdicts on C1 to C3 of runs whose differences are made up."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from trajlab.store import Runs, load
from trajlab.study.file import read
from trajlab.study.run import Run
from trajlab.study.selection import runs as selected

from .conftest import HEAD, Evaluate, Recorded, jitter, module, write

NAME = "matched_loss_gap"
STUDY = """
setting = "FashionMTL"
epochs = 20
condition = ["", "+fashion", "+noisy"]
seed = [0, 1, 2]
[[stage]]
name = "shared"
[[stage]]
name = "own"
{own}
[[stage]]
name = "mean"
condition = ["+fashion", "+noisy"]
method = {{ name = "uniform", C = "K" }}
[[stage]]
name = "twice the rate"
condition = ""
learning_rate = 0.2
[[stage]]
name = "twice the epochs"
condition = ""
epochs = 40
[[stage]]
name = "pooled"
condition = "pooled"
epochs = 10
[[stage]]
name = "longer"
epochs = 99
"""
SAME, OTHER = STUDY.format(own=""), STUDY.format(own="learning_rate = 0.3")
DECADES = 2.0


def recorded(run: Run, early: float, late: float, loss: float, decades: float) -> Recorded:
    """Accuracy gains `early`, at a high loss, and `late`; the loss is shifted by `loss` decades."""
    number = len(run.plan.setting.tasks(run.plan.condition))
    fall = np.linspace(0, 1, 24)
    gain = np.where(fall < 0.55, early, late)
    log_loss = -decades * fall + loss + jitter(run, (1,), 0.002)
    score = 80 + 8 * fall + gain + jitter(run, (1,), 0.05)

    def wide(values: Any) -> Any:
        return np.repeat(values[:, None], number, 1)

    step = np.arange(24)
    scores = {"step": step, "loss": wide(10**log_loss), "accuracy": wide(score)}
    return {f"evaluations/{split}": scores for split in ("train", "validation", "test")}


Effects = dict[str, tuple[float, float, float]]  # condition -> early and late gain, shift of loss
CLAIMED: Effects = {"+fashion": (1, 1, 0.1), "+noisy": (-1, -1, 0.1)}
REVERSED: Effects = {"+fashion": (1, -1, 0.1), "+noisy": (-1, 1, 0.1)}
BY_LOSS: Effects = {"+fashion": (1, 1, -0.1), "+noisy": (-1, -1, 0.1)}


NONE = (0.0, 0.0, 0.0)


def made(effects: Effects, epochs: int = 20) -> Callable[[Run], Recorded | None]:
    """Only the comparison with one rate is trained, at one length."""

    def make_up(run: Run) -> Recorded | None:
        if run.plan.epochs != epochs or run.plan.learning_rate != 0.1 or run.plan.options:
            return None
        return recorded(run, *effects.get(run.plan.condition, NONE), DECADES)

    return make_up


@pytest.mark.parametrize(
    ("effects", "verdicts"),
    [
        (CLAIMED, {"C1": "supported", "C2": "supported", "C3": "supported"}),
        (REVERSED, {"C1": "not supported", "C2": "not supported", "C3": "supported"}),
        (BY_LOSS, {"C1": "supported", "C2": "supported", "C3": "not supported"}),
        ({}, {"C1": "undecided", "C2": "undecided", "C3": "undecided"}),
    ],
    ids=["as claimed", "reversed", "by the loss", "no difference"],
)
def test_what_is_made_up_is_found(
    evaluate: Evaluate, effects: Effects, verdicts: dict[str, str]
) -> None:
    found = evaluate(NAME, SAME, made(effects))
    assert found.verdicts == verdicts
    last = found.table("last-epoch").set_index("quantity")["estimate"].to_dict()
    late = {f"Δ last accuracy {c}": effects.get(c, NONE)[1] for c in ("+fashion", "+noisy")}
    assert last == pytest.approx(late, abs=0.2)


NAMES = ["ΔE +fashion", "gap at 10 L_c +fashion", "ΔE +noisy", "gap at 10 L_c +noisy"]


@pytest.mark.parametrize(
    ("p", "rejected"),
    [
        ([0.0124, 0.0166, 0.0249, 0.0499], 4),  # just under .05 / 4, / 3, / 2, / 1
        ([0.0126, 0.0126, 0.0126, 0.0126], 0),
        ([0.0124, 0.0168, 0.0168, 0.0168], 1),
        ([0.0124, 0.0166, 0.0251, 0.0251], 2),
        ([0.0124, 0.0166, 0.0249, 0.0501], 3),
        ([0.0001, 0.0166, np.nan, np.nan], 2),  # what cannot be read counts with p = 1
        ([0.0001, 0.0168, np.nan, np.nan], 1),
    ],
)
def test_holm_counts_all_four(
    p: list[float], rejected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = module(NAME)

    def tested(*known: Any) -> dict[str, tuple[float, float, float, int]]:
        _, confidence, _ = known
        estimates = norm.isf(np.array(p) / 2)  # standard errors of 1
        half = norm.isf((1 - confidence) / 2)
        rows = [(x, x - half, x + half, 5) for x in estimates]
        return dict(zip(NAMES, rows, strict=True))

    monkeypatch.setattr(script, "tested", tested)
    found = script.holm(Runs([])).set_index("quantity")["significant"]
    assert found[NAMES].tolist() == [True] * rejected + [False] * (4 - rejected)


@pytest.mark.parametrize(
    ("window", "gap"), [((0.98, 1.1), 1.0), ((-0.1, 0.95), -1.0), ((1.15, 2.0), -1.0)]
)
def test_the_gap_is_read_at_ten_times_the_common_loss(
    window: tuple[float, float], gap: float, tmp_path: Path
) -> None:
    """One point better within a window of decades above L_c, one worse elsewhere."""
    plan = "[[stage]]\nname = 'shared'\nseed = [0, 1, 2]\ncondition = ['', '+fashion', '+noisy']\n"
    (tmp_path / "study.toml").write_text(f"{HEAD}setting = 'FashionMTL'\nepochs = 20\n{plan}")
    made = read(tmp_path / "study.toml")
    above = np.linspace(2, 0, 201)
    inside = (above > window[0]) & (above < window[1])
    for run in selected(made, made.stages[0]) or []:
        gain = np.where(inside, 1.0, -1.0) if run.plan.condition else 0.0
        wide = np.ones((1, len(run.plan.setting.tasks(run.plan.condition))))
        scores = {
            "step": np.arange(201),
            "loss": 10 ** (above - 2)[:, None] * wide,
            "accuracy": (80 + gain + jitter(run, (201,), 0.01))[:, None] * wide,
        }
        own = Run(tmp_path / "runs", run.configuration)
        write(own, {f"evaluations/{split}": scores for split in ("train", "validation", "test")})
    found = module(NAME).tested(load(tmp_path / "runs"), 0.95, None)
    for condition in ("+fashion", "+noisy"):
        assert found[f"gap at 10 L_c {condition}"][0] == pytest.approx(gap, abs=0.1)


def numbers(delta: list[float], gap: list[float]) -> pd.DataFrame:
    """What `holm` returns, 0 for not significant."""
    rows = [
        (f"{name} {condition}", value or 1.0, value != 0)
        for name, values in (("ΔE", delta), ("gap at 10 L_c", gap))
        for condition, value in zip(("+fashion", "+noisy"), values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["quantity", "estimate", "significant"])


@pytest.mark.parametrize(
    ("delta", "gap", "c1", "c2"),
    [
        ([1, -1], [1, -1], "supported", "supported"),
        ([1, 0], [1, -1], "undecided", "undecided"),
        ([0, -1], [1, -1], "undecided", "undecided"),
        ([1, 1], [1, -1], "not supported", "not supported"),
        ([-1, 0], [0, 0], "not supported", "undecided"),
        ([1, -1], [1, 0], "supported", "undecided"),
        ([1, -1], [1, 1], "supported", "not supported"),
        ([1, -1], [1, np.nan], "supported", "undecided"),
        ([1, -1], [-1, np.nan], "supported", "undecided"),  # a decade has to be there for both
    ],
)
def test_what_signs_make_of_c1_and_c2(
    delta: list[float], gap: list[float], c1: str, c2: str
) -> None:
    script = module(NAME)
    table = numbers(delta, gap)
    table["significant"] &= table["estimate"].notna()
    losses = pd.DataFrame(
        [("Δ log10 min L +fashion", 0.1, 0.01, 0.2), ("Δ log10 min L +noisy", 0.1, 0.01, 0.2)],
        columns=["quantity", "estimate", "low", "high"],
    )
    found = script.verdicts(table, losses).set_index("claim")["verdict"]
    assert (found["C1"], found["C2"]) == (c1, c2)


@pytest.mark.parametrize(
    ("low", "verdict"), [(0.001, "supported"), (-0.001, "undecided"), (-0.2, "not supported")]
)
def test_c3_needs_an_interval_without_zero(low: float, verdict: str) -> None:
    """+noisy is worse; +fashion is better, at a loss that is higher, perhaps, or lower."""
    losses = pd.DataFrame(
        [("Δ log10 min L +fashion", low, low + 0.1), ("Δ log10 min L +noisy", 0.01, 0.2)],
        columns=["quantity", "low", "high"],
    )
    found = module(NAME).verdicts(numbers([1, -1], [1, -1]), losses).set_index("claim")["verdict"]
    assert found["C3"] == verdict


@pytest.mark.parametrize(("factor", "clear"), [(1.03, True), (0.97, False)])
def test_the_two_losses_share_the_level(
    factor: float, clear: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference just on either side of 97.5 %, which 95 % would take for clear."""
    script = module(NAME)
    noise = np.array([-1.0, 0.0, 1.0, 0.5, -0.5])
    centred = noise - noise.mean()
    edge = student.isf(0.0125, 4) * centred.std(ddof=1) / np.sqrt(5)

    def value(run: Any) -> float:
        condition, seed = run.metadata["condition"], run.metadata["seed"]
        return float(factor * edge + centred[seed]) if condition else 0.0

    fakes = [
        SimpleNamespace(metadata={"condition": condition, "seed": seed})
        for condition in ("", "+fashion", "+noisy")
        for seed in range(5)
    ]
    monkeypatch.setattr(script, "least_loss", value)
    found = script.log_loss(fakes)
    assert (found["low"] > 0).tolist() == [clear, clear]


def test_every_control_has_its_difference(evaluate: Evaluate) -> None:
    gains = {"pooled": (2.0, 2.0, 0.0), **CLAIMED}

    def make_up(run: Run) -> Recorded | None:
        if run.plan.epochs == 99:
            return None
        extra = 3.0 if run.plan.learning_rate == 0.2 or run.plan.epochs == 40 else 0.0
        early, late, loss = gains.get(run.plan.condition, NONE)
        return recorded(run, early + extra, late + extra, loss, DECADES)

    table = evaluate(NAME, SAME, make_up).table("controls").set_index(["of", "against"])
    assert (table["n"] == 3).all()
    assert ((table["low"] < table["delta"]) & (table["delta"] < table["high"])).all()
    expected = {
        ("C = K, +fashion", "single"): 1,
        ("C = K, +noisy", "single"): -1,
        ("twice the rate", "single"): 3,
        ("+fashion", "twice the rate"): -2,
        ("twice the epochs", "single"): 3,
        ("+fashion", "twice the epochs"): -2,
        ("pooled", "single"): 2,
        ("+fashion", "pooled"): -1,
    }
    assert table["delta"].to_dict() == pytest.approx(expected, abs=0.2)


def test_longer_decides_what_the_short_runs_do_not_reach(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        decades = {20: 0.7, 99: DECADES}.get(run.plan.epochs)
        if decades is None or run.plan.learning_rate != 0.1 or run.plan.options:
            return None
        return recorded(run, *CLAIMED.get(run.plan.condition, NONE), decades)

    found = evaluate(NAME, SAME, make_up, draw=True)
    assert found.verdicts["C2"] == "supported"
    rows = found.table("by-comparison").query("claim == 'C2'").set_index("comparison")["verdict"]
    assert rows.to_dict() == {"one rate": "undecided", "longer": "supported"}
    numbers = found.table("pre-registered").set_index(["comparison", "quantity"])
    gap = numbers.loc[("longer", "gap at 10 L_c +fashion")]
    assert gap["estimate"] == pytest.approx(1 + 0.4, abs=0.2)  # it is .1 decades of loss ahead
    assert gap["low"] > 0
    assert gap["n"] == 3
    assert (found.out / "gap-longer.png").exists()


FIRST = """
[[stage]]
name = "first epoch"
epochs = 1
"""


@pytest.mark.parametrize(("lacking", "verdict"), [(False, "supported"), (True, "undecided")])
def test_ten_times_the_common_loss_may_be_read_in_the_first_epoch(
    evaluate: Evaluate, lacking: bool, verdict: str
) -> None:
    """The runs themselves fall by .7 decades; looked at closely, the first epoch by 1.2 before."""

    def make_up(run: Run) -> Recorded | None:
        plan = run.plan
        if plan.epochs not in (1, 20) or plan.learning_rate != 0.1 or plan.options:
            return None
        early, late, loss = CLAIMED.get(plan.condition, NONE)
        if plan.epochs == 20:
            return recorded(run, early, late, loss, 0.7)
        if lacking and plan.condition == "+noisy" and plan.seed == 1:
            return None
        return recorded(run, early, late, 1 + loss, 1.2)

    found = evaluate(NAME, SAME + FIRST, make_up)
    assert found.verdicts["C2"] == verdict
    gap = found.table("pre-registered").set_index("quantity")["estimate"]["gap at 10 L_c +fashion"]
    assert gap == pytest.approx(np.nan if lacking else 1 + 8 / 12, abs=0.2, nan_ok=True)


NOISY = (
    FIRST
    + """condition = ["", "+noisy"]
seed = [3, 4, 5, 6]
"""
)


@pytest.mark.parametrize(
    ("gain", "decades", "lacking", "verdict", "estimate", "n"),
    [
        (-1.0, 1.2, 0, "supported", -1.0, 4),
        (1.0, 1.2, 0, "not supported", 1.0, 4),
        (0.0, 1.2, 0, "undecided", 0.0, 4),
        (1.0, 0.4, 0, "supported", -1.0 + 0.4, 3),  # they do not reach the loss: read in the runs
        (-1.0, 1.2, 1, "undecided", -1.0 + 0.4, 3),  # three of four first epochs
    ],
)
def test_first_epochs_of_one_condition_and_other_seeds(
    evaluate: Evaluate,
    gain: float,
    decades: float,
    lacking: int,
    verdict: str,
    estimate: float,
    n: int,
) -> None:
    """The runs have both gaps as claimed; in the first epochs +noisy's is another one."""

    def make_up(run: Run) -> Recorded | None:
        plan = run.plan
        if plan.epochs not in (1, 20) or plan.learning_rate != 0.1 or plan.options:
            return None
        if plan.epochs == 20:
            return recorded(run, *CLAIMED.get(plan.condition, NONE), DECADES)
        if plan.seed < 3 + lacking:
            return None
        return recorded(run, *((gain, gain, 0.0) if plan.condition else NONE), decades)

    found = evaluate(NAME, SAME + NOISY, make_up)
    assert found.verdicts["C2"] == verdict
    rows = found.table("pre-registered").set_index("quantity")
    assert rows["n"].tolist() == [3, 3, 3, n]
    gaps = rows["estimate"][["gap at 10 L_c +fashion", "gap at 10 L_c +noisy"]]
    assert gaps.tolist() == pytest.approx([1 + 0.4, estimate], abs=0.2)


@pytest.mark.parametrize("study", ["long", "searched"])
def test_the_runs_that_are_kept_give_the_published_numbers(study: str, tmp_path: Path) -> None:
    script = module(NAME)
    folder = Path(script.__file__).parent
    found = script.evaluate(folder / f"{study}.toml", folder / "runs/long", tmp_path)
    for table in ("pre-registered", "training-loss", "last-epoch", "terms", "controls", "runs"):
        published = pd.read_csv(folder / f"results/{study}/{table}.csv")
        pd.testing.assert_frame_equal(
            found[table].reset_index(drop=True), published, check_dtype=False, rtol=1e-3
        )


@pytest.mark.parametrize(
    ("one_rate", "own_rates", "longer", "verdict"),
    [
        ("supported", None, "undecided", "supported"),
        ("undecided", None, "not supported", "not supported"),
        ("supported", None, "not supported", "undecided"),
        ("supported", "supported", None, "supported"),
        ("supported", "not supported", None, "undecided"),
        ("supported", "undecided", None, "undecided"),
        ("undecided", "undecided", "supported", "undecided"),  # one of the rules only
    ],
)
def test_a_verdict_holds_under_both_rules_for_the_rate_and_at_every_length_that_decides(
    one_rate: str, own_rates: str | None, longer: str | None, verdict: str
) -> None:
    """Without own rates, both rules choose the same ones."""
    by = {"one rate": one_rate, "own rates": own_rates, "longer": longer}
    rows = [("C1", name, value) for name, value in by.items() if value is not None]
    table = pd.DataFrame(rows, columns=["claim", "comparison", "verdict"])
    found = module(NAME).overall(table, one_rule=own_rates is None)
    assert found["verdict"].tolist() == [verdict]


def test_own_rates_that_differ_are_a_comparison_of_their_own(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        if run.plan.epochs != 20 or run.plan.learning_rate == 0.2 or run.plan.options:
            return None
        effects = {0.1: CLAIMED, 0.3: REVERSED}[run.plan.learning_rate]
        return recorded(run, *effects.get(run.plan.condition, NONE), DECADES)

    found = evaluate(NAME, OTHER, make_up)
    rows = found.table("by-comparison").query("claim == 'C1'").set_index("comparison")["verdict"]
    assert rows.to_dict() == {"one rate": "supported", "own rates": "not supported"}
    assert found.verdicts["C1"] == "undecided"


def test_a_seed_that_is_not_whole_withholds_verdicts(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        return None if run.plan.seed == 2 and run.plan.condition == "+noisy" else made(CLAIMED)(run)

    found = evaluate(NAME, SAME, make_up)
    assert set(found.verdicts.values()) == {"undecided"}
    rows = found.table("by-comparison")
    assert (rows["n"] == 2).all()
    assert (rows["lacks"] == "2 of 3 seeds are trained").all()


def test_a_study_of_two_seeds_gives_no_verdict(evaluate: Evaluate) -> None:
    found = evaluate(NAME, SAME.replace("seed = [0, 1, 2]", "seed = [0, 1]"), made(CLAIMED))
    assert set(found.verdicts.values()) == {"undecided"}
    assert (found.table("by-comparison")["lacks"] == "2 seeds are too few").all()


def test_without_two_seeds_there_is_one_sentence(evaluate: Evaluate) -> None:
    found = evaluate(NAME, SAME, lambda run: None if run.plan.seed else made(CLAIMED)(run))
    assert found.code == 1
    assert "1 of 3 seeds are finished in all conditions" in found.said
