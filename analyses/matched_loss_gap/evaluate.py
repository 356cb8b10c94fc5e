"""From the runs of matched_loss_gap to verdicts on claims C1 to C3.

C1: auxiliary data of the same distribution helps the first task, random labels hurt it.
C2: that shows as a gap of the same sign at a training loss ten times the common one, which may lie
in the first epoch: it is read in first epochs of their own where a study has them.
C3: the final training loss does not explain it: differences of one sign in the loss go with
differences of both signs in accuracy.

The comparison is made with one learning rate for all conditions, with each condition's own, and,
where the study has them, with longer runs. Pre-registered are two differences and
two gaps at matched loss, tested together by Holm's method in each of the comparisons; everything
else is exploratory. A claim is decided by a length of training under both rules for the rate; two
lengths that decide it differently leave it undecided.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t as student

from trajlab import analysis, plots
from trajlab.analysis.statistics.intervals import mean_interval
from trajlab.analysis.statistics.power import seeds_needed
from trajlab.errors import TrajlabError
from trajlab.store import Runs, Trajectory
from trajlab.study.file import read
from trajlab.study.results import Finished, command, finished

MAIN = {"": "single", "+fashion": "+fashion", "+noisy": "+noisy"}
WANTED = {"+fashion": 1, "+noisy": -1}
# Comparisons, and the stages that they are made of.
ONE_RATE, OWN_RATES, LONGER = "one rate", "own rates", "longer"
COMPARISONS = {
    ONE_RATE: ("shared", "more seeds"),
    OWN_RATES: ("own",),
    LONGER: ("longer",),
}
FIRST_EPOCH = "first epoch"  # a stage, of the runs that are compared
TUNING = "tuning"  # a stage, whose learning rates are chosen from
SMALLER = "smaller step"  # a stage, to see how far down the loss goes: drawn, and not tested
# What else could make the difference: a stage, and the condition to look at in it.
CONTROLS = {
    "C = K, +fashion": ("mean", "+fashion"),
    "C = K, +noisy": ("mean", "+noisy"),
    "twice the rate": ("twice the rate", ""),
    "twice the epochs": ("twice the epochs", ""),
    "pooled": ("pooled", "pooled"),
}
# Mueller et al. (2024), 99 epochs: accuracies of figure 1; gaps by `analysis.gap` from the
# trajectories read off that figure (tests/data/fashion_mtl).
PAPER = {"": 87.7, "+fashion": 88.7, "+noisy": 84.7}
DIGITISED = Path(__file__).parents[2] / "tests/data/fashion_mtl/fashion_mtl_trajectories.csv"
DIGITISED_NAMES = {"STL": "", "MTL+Fashion": "+fashion", "MTL+Noisy": "+noisy"}
PAPER_GAP = {"+fashion": 0.89, "+noisy": -3.04}
LEVEL = 0.05
EXPLORED = 0.2  # a training loss that all lengths reach


def tested(
    runs: Runs, confidence: float, closer: Runs | None
) -> dict[str, tuple[float, float, float, int]]:
    """Return the four pre-registered numbers with intervals of a confidence, and pairs of seeds.

    Parameters
    ----------
    runs
        Of all conditions.
    confidence
        Of the intervals.
    closer
        First epochs of the same training, of single and one condition or both, evaluated more often
        or of more seeds: where a gap is read, if they have its condition and all reach its loss.
        Otherwise it is read in `runs`, as is the loss itself: ten times the lowest common one.
    """
    found = analysis.gap(runs, metric="accuracy", confidence=confidence)
    summary = found.summary.query("task == 'first'").set_index("condition").loc[[*WANTED]]
    places = 10 * summary["common_loss"]
    parts = [closer, runs] if closer else [runs]
    asked = {"metric": "accuracy", "confidence": confidence, "at": sorted(places.dropna())}
    read_at = [(analysis.gap(part, **asked).at.query("task == 'first'"), part) for part in parts]
    rows = {}
    for condition, place in places.items():
        own = summary.loc[condition, ["delta", "delta_low", "delta_high"]]
        rows[f"ΔE {condition}"] = (*own, seeds_of(runs, condition))
        gap = (np.nan, np.nan, np.nan, seeds_of(runs, condition))
        for table, part in read_at:
            here = table[(table["condition"] == condition) & (table["at"] == place)]
            here = here[here["gap"].notna()]
            if len(here):
                gap = (*here.iloc[0][["gap", "low", "high"]], seeds_of(part, condition))
                break
        rows[f"gap at 10 L_c {condition}"] = gap
    return rows


def seeds_of(runs: Runs, condition: str) -> int:
    """Return the number of seeds that a condition was trained with."""
    return len({r.metadata["seed"] for r in runs if r.metadata["condition"] == condition})


def holm(runs: Runs, closer: Runs | None = None) -> pd.DataFrame:
    """Test the four together: Holm's method, by intervals of falling confidence.

    A number that could not be read counts with p = 1: the family is what was registered.
    """
    plain = tested(runs, 1 - LEVEL, closer)
    left = set(plain)
    rejected: set[str] = set()
    while left:
        at_level = tested(runs, 1 - LEVEL / len(left), closer)
        new = {name for name in left if at_level[name][1] > 0 or at_level[name][2] < 0}
        if not new:
            break
        rejected, left = rejected | new, left - new
    rows = [(name, *row) for name, row in plain.items()]
    table = pd.DataFrame(rows, columns=["quantity", "estimate", "low", "high", "n"])
    paper = {f"ΔE {condition}": PAPER[condition] - PAPER[""] for condition in WANTED}
    paper |= {f"gap at 10 L_c {condition}": PAPER_GAP[condition] for condition in WANTED}
    return table.assign(
        significant=table["quantity"].isin(rejected),
        paper=table["quantity"].map(paper),
        n=table.pop("n"),
    )


def with_seeds(numbers: pd.DataFrame) -> pd.DataFrame:
    """Add how many seeds find a difference as large as the estimate, at Holm's smallest level."""

    def seeds(row: pd.Series) -> float:
        if np.isnan(row["estimate"]):
            return np.nan
        error = (row["high"] - row["low"]) / 2 / student.isf(LEVEL / 2, row["n"] - 1)
        spread = error * np.sqrt(row["n"] / 2)  # a side's, of which a difference has two
        return seeds_needed(spread, row["n"] - 1, abs(row["estimate"]), LEVEL / len(numbers))

    return numbers.assign(seeds_to_find_it=numbers.apply(seeds, axis=1))


def terms(runs: Runs) -> pd.DataFrame:
    """Return what the differences consist of, and the gap at a loss of 0.2; exploratory."""
    found = analysis.gap(runs, metric="accuracy", at=[EXPLORED])
    names = ["matched", "reach", "selection"]
    columns = ["condition", "common_loss", "onset_loss"]
    columns += [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    read_at = found.at.query("task == 'first'").set_index("condition")[["gap", "low", "high"]]
    own = found.summary.query("task == 'first'")[columns]
    return own.join(read_at.add_suffix(f"_at_{EXPLORED:g}"), on="condition")


def paired(
    runs: Runs, name: str, value: Callable[[Trajectory], float], confidence: float
) -> pd.DataFrame:
    """Difference of a run's value to single, over pairs of seeds, with intervals."""
    by = {(r.metadata["condition"], r.metadata["seed"]): value(r) for r in runs}
    seeds = sorted({seed for _, seed in by})
    rows = []
    for condition in WANTED:
        pairs = np.array([by[condition, seed] - by["", seed] for seed in seeds])
        found = mean_interval(pairs, confidence)
        rows.append((f"{name} {condition}", *map(float, (found.estimate, found.low, found.high))))
    return pd.DataFrame(rows, columns=["quantity", "estimate", "low", "high"])


def least_loss(run: Trajectory) -> float:
    """Return log10 of the first task's smallest training loss."""
    return float(np.log10(run.table("evaluations/train")["loss"][:, 0].min()))


def log_loss(runs: Runs) -> pd.DataFrame:
    """Difference of log10 of the smallest training loss to single, with paired intervals."""
    return paired(runs, "Δ log10 min L", least_loss, 1 - LEVEL / 2)  # two of them


def last_epoch(runs: Runs) -> pd.DataFrame:
    """Difference in accuracy at the last epoch, which no checkpoint is selected from."""

    def last(run: Trajectory) -> float:
        return float(run.table("evaluations/test")["accuracy"][-1, 0])

    return paired(runs, "Δ last accuracy", last, 1 - LEVEL)


def verdicts(numbers: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """Return one row a claim for one comparison: its verdict, and why."""
    sign = {
        row.quantity: int(np.sign(row.estimate)) if row.significant else 0
        for row in numbers.itertuples()
    }
    delta = {condition: sign[f"ΔE {condition}"] for condition in WANTED}
    gap = {condition: sign[f"gap at 10 L_c {condition}"] for condition in WANTED}
    if delta == WANTED:
        c1 = "supported", "both differences have the claimed sign after Holm's adjustment"
    elif any(delta[c] == -WANTED[c] for c in WANTED):
        c1 = "not supported", "a difference has the opposite sign"
    else:
        c1 = "undecided", "a difference is not significant after Holm's adjustment"
    reached = numbers[numbers["quantity"].str.startswith("gap")]["estimate"].notna().all()
    if not reached:
        c2 = "undecided", "training did not cover a decade of loss, so 10 L_c was not read"
    elif all(gap[c] == delta[c] != 0 for c in WANTED):
        c2 = "supported", "both gaps at 10 L_c have the sign of the difference"
    elif any(gap[c] == -delta[c] != 0 for c in WANTED):
        c2 = "not supported", "a gap at 10 L_c has the opposite sign"
    else:
        c2 = "undecided", "a number is not significant after Holm's adjustment"
    loss = {
        row.quantity.split()[-1]: int(np.sign(row.low)) if row.low * row.high > 0 else 0
        for row in losses.itertuples()
    }
    ways = {loss[c] * delta[c] for c in WANTED}
    if ways == {1, -1}:
        c3 = "supported", "lower loss goes with better and with worse accuracy"
    elif ways in ({1}, {-1}):
        c3 = "not supported", "loss and accuracy differ in one way in both conditions"
    else:
        c3 = "undecided", "a difference in loss or in accuracy is not significant"
    return pd.DataFrame(
        [("C1", *c1), ("C2", *c2), ("C3", *c3)], columns=["claim", "verdict", "because"]
    )


def rates(runs: Runs) -> set[tuple[str, float]]:
    """Return the learning rate of each condition."""
    return {(run.metadata["condition"], run.metadata["learning_rate"]) for run in runs}


def overall(rows: pd.DataFrame, *, one_rule: bool) -> pd.DataFrame:
    """Return one row a claim from those of the comparisons.

    Parameters
    ----------
    rows
        Columns `claim`, `comparison` and `verdict`.
    one_rule
        Whether both rules choose the same rates, so that runs with one rate hold under both.
    """
    lines = []
    for claim, own in rows.groupby("claim"):
        by = dict(zip(own["comparison"], own["verdict"], strict=True))
        short = by.get(ONE_RATE) if one_rule or by.get(OWN_RATES) == by.get(ONE_RATE) else None
        lengths = {"the study's length": short}
        if one_rule:
            lengths[LONGER] = by.get(LONGER)
        decided = {k: v for k, v in lengths.items() if v in ("supported", "not supported")}
        if len(set(decided.values())) == 1:
            verdict, because = next(iter(decided.values())), f"by {' and '.join(decided)}"
        elif decided:
            verdict, because = "undecided", "the lengths of training decide it differently"
        else:
            verdict, because = "undecided", "no length decides it under both rules for the rate"
        lines.append((claim, verdict, because))
    return pd.DataFrame(lines, columns=["claim", "verdict", "because"])


def levels(runs: Runs) -> pd.DataFrame:
    """Return accuracy and training loss of the first task at the end, beside the paper's."""
    rows = analysis.factors(runs, metric="accuracy").runs.query("task == 'first'")
    table = rows.groupby("condition").agg(
        epochs=("epochs", "first"),
        accuracy=("final_metric", "mean"),
        sd=("final_metric", "std"),
        min_train_loss=("min_train_loss", "mean"),
        n=("final_metric", "size"),
    )
    return table.assign(paper=pd.Series(PAPER)).rename(index=MAIN).reset_index()


def difference(runs: Runs, baseline: Runs) -> tuple[float, float, float, int]:
    """Return ΔE of the first task over the seeds that both have, its interval, and their number."""
    sides = [{run.metadata["seed"]: run for run in side} for side in (runs, baseline)]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    if len(seeds) < 2:
        return np.nan, np.nan, np.nan, len(seeds)
    keys = ["condition", "method", "learning_rate", "epochs"]
    first = sides[1][seeds[0]].metadata
    found = analysis.gap(
        [side[seed] for side in sides for seed in seeds],
        baseline={key: str(first[key]) for key in keys},
        metric="accuracy",
        group_by=keys[2:],
    )
    row = found.summary.query("task == 'first'").iloc[0]
    return row["delta"], row["delta_low"], row["delta_high"], len(seeds)


def ends(study: Path, folder: Path) -> pd.DataFrame:
    """Return what each run of a whole seed came to; a run of several stages is of the first."""
    rows: dict[Path, dict[str, Any]] = {}
    for stage in read(study).stages:
        for run in finished(study, [stage.name], folder).runs:
            table = run.table("evaluations/train")
            losses, epochs = table["loss"], table["epoch"]
            head = {key: run.metadata.get(key) for key in ("condition", "learning_rate", "seed")}
            head["condition"] = MAIN.get(head["condition"], head["condition"])  # "" reads as NaN
            row = {
                **{"stage": stage.name, "epochs": run.metadata["epochs"]},
                "lowest_training_loss": losses[:, 0].min(),
                "epoch_below_1e-3": next(iter(epochs[losses[:, 0] < 1e-3]), np.nan),
                "last_accuracy": run.table("evaluations/test")["accuracy"][-1, 0],
                "last_training_loss_of_second": losses[-1, 1] if len(run.tasks) > 1 else np.nan,
            }
            if "evaluations/validation" in run.tables:
                validation = run.table("evaluations/validation")["accuracy"][:, 0]
                row["best_validation_accuracy"] = validation.max()
            rows.setdefault(run.path, head | row)
    return pd.DataFrame(rows.values())


def search(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds of the best validation accuracy, by condition and rate."""
    tried = runs[runs["stage"] == TUNING].groupby(["condition", "learning_rate"])
    return tried["best_validation_accuracy"].agg(["mean", "size"]).reset_index()


def controls(study: Path, folder: Path, main_runs: Runs) -> pd.DataFrame:
    """Compare each control with single, and +fashion with each control of one task."""
    main = {name: _of(main_runs, condition) for condition, name in MAIN.items()}
    known = {stage.name for stage in read(study).stages}
    rows = []
    for name, (stage, condition) in CONTROLS.items():
        if stage not in known:
            continue
        own = _of(finished(study, [stage], folder).runs, condition)
        pairs = [(name, own, "single")]
        if condition in ("", "pooled"):
            pairs.append(("+fashion", main["+fashion"], name))
        for one, these, other in pairs:
            those = main["single"] if other == "single" else own
            rows.append((one, other, *difference(these, those)))
    return pd.DataFrame(rows, columns=["of", "against", "delta", "low", "high", "n"])


def _of(runs: Runs, condition: str) -> Runs:
    return Runs([run for run in runs if run.metadata["condition"] == condition])


def trajectories(runs: Runs, ax: plt.Axes) -> None:
    """Draw accuracy over training loss, each run a line, beside the paper's figure 1 (dots)."""
    styles = {"": ("0.4", "-"), "+fashion": ("#0173b2", "--"), "+noisy": ("#de8f05", ":")}
    for run in runs:
        condition = run.metadata["condition"]
        color, line = styles[condition]
        loss = run.table("evaluations/train")["loss"][1:, 0]
        score = run.table("evaluations/test")["accuracy"][1:, 0]
        first = MAIN[condition] not in ax.get_legend_handles_labels()[1]
        ax.plot(loss, score, line, color=color, lw=1, label=MAIN[condition] if first else None)
    for (name, _), own in pd.read_csv(DIGITISED).query("epoch > 0").groupby(["setting", "seed"]):
        color, _ = styles[DIGITISED_NAMES[str(name)]]
        ax.plot(own["train_loss"], own["test_acc"], ".", color=color, ms=2, alpha=0.3)
    ax.plot([], [], ".", color="0.6", ms=4, label="the paper's figure 1")
    ax.set(xscale="log", xlabel="training loss of the first task", ylabel="its test accuracy in %")
    ax.invert_xaxis()
    ax.legend(frameon=False)


def draw(runs: Runs, path: Path) -> None:
    """Draw the trajectories, and the gap at matched loss."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    trajectories(runs, left)
    gaps = analysis.gap(runs, metric="accuracy")
    shown = replace(
        gaps,
        curve=gaps.curve.query("task == 'first'"),
        summary=gaps.summary.query("task == 'first'"),
        steps=gaps.steps.query("task == 'first'"),
    )
    plots.gap(shown, right)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def first_epochs(study: Path, folder: Path, own: Finished) -> Finished | None:
    """Return the stage of first epochs, if the study has one at the rates of `own`."""
    if FIRST_EPOCH not in {stage.name for stage in read(study).stages}:
        return None
    found = finished(study, [FIRST_EPOCH], folder)
    return found if rates(found.runs) <= rates(own.runs) else None


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claims C1 to C3 on the runs in RUNS: print verdicts, write tables and figures."""
    known = {stage.name for stage in read(study).stages}
    found: dict[str, Finished] = {}
    for name, stages in COMPARISONS.items():
        if own := [stage for stage in stages if stage in known]:
            found[name] = finished(study, own, folder)
    if found[ONE_RATE].seeds < 2:
        raise TrajlabError(
            f"{found[ONE_RATE].seeds} of {found[ONE_RATE].wanted} seeds are finished in all "
            "conditions; an interval needs two: go on with `trajlab study run`"
        )
    one_rule = rates(found[ONE_RATE].runs) == rates(found[OWN_RATES].runs)
    if one_rule:  # then its runs are the same ones
        del found[OWN_RATES]
    parts: dict[str, list[pd.DataFrame]] = {}
    for name, own in found.items():
        if own.seeds < 2:
            continue
        closer = first_epochs(study, folder, own)
        whole = closer is None or closer.seeds == closer.wanted
        numbers = holm(own.runs, closer.runs if closer and whole else None)
        losses = log_loss(own.runs)
        decided = verdicts(numbers, losses)
        if closer and not whole:  # what they would say is not known yet
            because = f"{closer.seeds} of {closer.wanted} first epochs are trained"
            decided.loc[decided["claim"] == "C2", ["verdict", "because"]] = "undecided", because
        tables = {
            "by-comparison": own.withhold(decided),
            "pre-registered": with_seeds(numbers),
            "terms": terms(own.runs),
            "training-loss": losses.assign(n=own.seeds),
            "last-epoch": last_epoch(own.runs).assign(n=own.seeds),
            "levels": levels(own.runs),
        }
        for table, rows in tables.items():
            rows.insert(0, "comparison", name)
            parts.setdefault(table, []).append(rows)
        draw(
            own.runs, out / ("gap.png" if name == ONE_RATE else f"gap-{name.replace(' ', '-')}.png")
        )
    joined = {name: pd.concat(tables) for name, tables in parts.items()}
    if SMALLER in known and (smaller := finished(study, [SMALLER], folder)).seeds:
        figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        trajectories(smaller.runs, ax)
        figure.savefig(out / "smaller-step.png", dpi=120)
        plt.close(figure)
        own = levels(smaller.runs)
        own.insert(0, "comparison", SMALLER)
        joined["levels"] = pd.concat([joined["levels"], own])
    decided = overall(joined["by-comparison"], one_rule=one_rule)
    each = ends(study, folder)
    return {
        "verdicts": decided.assign(rules_for_the_rate="the same rates" if one_rule else "differ"),
        **joined,
        "controls": controls(study, folder, found[ONE_RATE].runs),
        "runs": each,
        **({"search": search(each)} if TUNING in set(each["stage"]) else {}),
    }


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
