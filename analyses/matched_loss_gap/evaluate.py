"""From the runs of matched_loss_gap to verdicts on claims C1 to C3.

C1: auxiliary data of the same distribution helps the first task, random labels hurt it.
C2: that shows as a gap of the same sign at a training loss ten times the common one.
C3: the final training loss does not explain it: differences of one sign in the loss go with
differences of both signs in accuracy.

Pre-registered are two differences and two gaps at matched loss, tested together by Holm's method;
everything else is exploratory.
"""

from pathlib import Path

import click
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from trajlab import analysis, plots
from trajlab.analysis.intervals import mean_interval
from trajlab.store import Runs, Trajectory
from trajlab.study.results import finished

MAIN = {"": "single", "+fashion": "+fashion", "+noisy": "+noisy"}
PAPER = {"": 87.7, "+fashion": 88.7, "+noisy": 84.7}  # Mueller et al. (2024), figure 1
KEYS = ["learning_rate", "epochs", "C"]
LEVEL = 0.05
FEWEST = 3  # seeds; with fewer, numbers are descriptive


def whole_seeds(runs: Runs) -> Runs:
    """Return the runs of those seeds of which every main condition is finished."""
    done = {c: {r.metadata["seed"] for r in runs if r.metadata["condition"] == c} for c in MAIN}
    common = set.intersection(*done.values())
    return Runs([run for run in runs if run.metadata["seed"] in common])


def tested(runs: Runs, confidence: float) -> dict[str, tuple[float, float, float]]:
    """Return the four pre-registered numbers with intervals of a confidence."""
    found = analysis.gap(runs, metric="accuracy", confidence=confidence)
    rows = {}
    for condition in ("+fashion", "+noisy"):
        summary = found.summary.query("condition == @condition and task == 'first'").iloc[0]
        rows[f"ΔE {condition}"] = tuple(summary[["delta", "delta_low", "delta_high"]])
        curve = found.curve.query("condition == @condition and task == 'first'")
        above = curve[curve["train_loss"] >= 10 * summary["common_loss"]]
        gap = above.iloc[0][["gap", "low", "high"]] if len(above) else [np.nan] * 3
        rows[f"gap at 10 L_c {condition}"] = tuple(gap)
    return rows


def holm(runs: Runs) -> pd.DataFrame:
    """Test the four together: Holm's method, by intervals of falling confidence."""
    left = {name for name, row in tested(runs, 1 - LEVEL).items() if np.isfinite(row[0])}
    rejected: set[str] = set()
    while left:
        at_level = tested(runs, 1 - LEVEL / len(left))
        new = {name for name in left if at_level[name][1] > 0 or at_level[name][2] < 0}
        if not new:
            break
        rejected, left = rejected | new, left - new
    rows = [(name, *row) for name, row in tested(runs, 1 - LEVEL).items()]
    table = pd.DataFrame(rows, columns=["quantity", "estimate", "low", "high"])
    return table.assign(significant=table["quantity"].isin(rejected))


def log_loss(runs: Runs) -> pd.DataFrame:
    """Difference of log10 of the smallest training loss to single, with paired intervals."""

    def least(run: Trajectory) -> float:
        return float(np.log10(run.table("evaluations/train")["loss"][:, 0].min()))

    by = {(r.metadata["condition"], r.metadata["seed"]): least(r) for r in runs}
    seeds = sorted({seed for _, seed in by})
    rows = []
    for condition in ("+fashion", "+noisy"):
        pairs = np.array([by[condition, seed] - by["", seed] for seed in seeds])
        found = mean_interval(pairs, 1 - LEVEL / 2)  # two of them
        rows.append(
            (f"Δ log10 min L {condition}", *map(float, (found.estimate, found.low, found.high)))
        )
    return pd.DataFrame(rows, columns=["quantity", "estimate", "low", "high"])


def verdicts(numbers: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """Return one row a claim: supported, not supported or undecided, and why."""
    sign = {
        row.quantity: int(np.sign(row.estimate)) if row.significant else 0
        for row in numbers.itertuples()
    }
    wanted = {"+fashion": 1, "+noisy": -1}
    delta = {condition: sign[f"ΔE {condition}"] for condition in wanted}
    gap = {condition: sign[f"gap at 10 L_c {condition}"] for condition in wanted}
    if delta == wanted:
        c1 = "supported", "both differences have the claimed sign after Holm's adjustment"
    elif any(delta[c] == -wanted[c] for c in wanted):
        c1 = "not supported", "a difference has the opposite sign"
    else:
        c1 = "undecided", "an interval includes 0"
    reached = numbers[numbers["quantity"].str.startswith("gap")]["estimate"].notna().all()
    if not reached:
        c2 = "undecided", "training did not cover a decade of loss, so 10 L_c was not read"
    elif all(gap[c] == delta[c] != 0 for c in wanted):
        c2 = "supported", "both gaps at 10 L_c have the sign of the difference"
    elif any(gap[c] == -delta[c] != 0 for c in wanted):
        c2 = "not supported", "a gap at 10 L_c has the opposite sign"
    else:
        c2 = "undecided", "an interval includes 0"
    loss = {
        row.quantity.split()[-1]: int(np.sign(row.low)) if row.low * row.high > 0 else 0
        for row in losses.itertuples()
    }
    ways = {loss[c] * delta[c] for c in wanted}
    if ways == {1, -1}:
        c3 = "supported", "lower loss goes with better and with worse accuracy"
    elif ways in ({1}, {-1}):
        c3 = "not supported", "loss and accuracy differ in one way in both conditions"
    else:
        c3 = "undecided", "an interval of the loss or of the accuracy includes 0"
    return pd.DataFrame(
        [("C1", *c1), ("C2", *c2), ("C3", *c3)], columns=["claim", "verdict", "because"]
    )


def levels(runs: Runs) -> pd.DataFrame:
    """Return accuracy and training loss of the first task at the end, beside the paper's."""
    rows = analysis.factors(runs, metric="accuracy").runs.query("task == 'first'")
    table = rows.groupby("condition").agg(
        accuracy=("final_metric", "mean"),
        sd=("final_metric", "std"),
        min_train_loss=("min_train_loss", "mean"),
        n=("final_metric", "size"),
    )
    return table.assign(paper=pd.Series(PAPER)).rename(index=MAIN).reset_index()


def controls(runs: Runs, rate: float, epochs: int) -> pd.DataFrame:
    """Difference in accuracy of every other group to single, exploratory."""
    baseline = {
        "method": "single",
        "condition": "",
        "learning_rate": str(rate),
        "epochs": str(epochs),
    }
    keys = [key for key in KEYS if any(key in run.metadata for run in runs)]
    found = analysis.factors(runs, metric="accuracy", baseline=baseline, group_by=keys)
    rows = found.delta.query("factor == 'final_metric' and task == 'first'")
    columns = ["condition", "method", *keys, "delta", "low", "high", "n_baseline", "n_runs"]
    return rows[columns].reset_index(drop=True)


def trajectories(runs: Runs, ax: plt.Axes) -> None:
    """Draw accuracy over training loss, each run a line, as the paper's figure 1."""
    styles = {"": ("0.4", "-"), "+fashion": ("#0173b2", "--"), "+noisy": ("#de8f05", ":")}
    for run in runs:
        condition = run.metadata["condition"]
        color, line = styles[condition]
        loss = run.table("evaluations/train")["loss"][1:, 0]
        score = run.table("evaluations/test")["accuracy"][1:, 0]
        first = MAIN[condition] not in ax.get_legend_handles_labels()[1]
        ax.plot(loss, score, line, color=color, lw=1, label=MAIN[condition] if first else None)
    ax.set(xscale="log", xlabel="training loss of the first task", ylabel="its test accuracy in %")
    ax.invert_xaxis()
    ax.legend(frameon=False)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--study", type=click.Path(path_type=Path), help="The study file of the runs.")
@click.option("--out", type=click.Path(path_type=Path), help="Where tables and figures go.")
def main(folder: Path, study: Path | None, out: Path | None) -> None:
    """Read the runs in FOLDER; print verdicts, write tables and figures."""
    here = Path(__file__).parent
    study, out = study or here / "study.toml", out or here / "results"
    out.mkdir(exist_ok=True)
    main_runs = whole_seeds(finished(study, ["shared", "more seeds"], folder))
    seeds = len({run.metadata["seed"] for run in main_runs})
    if seeds < 2:
        raise click.ClickException(f"{seeds} whole seeds are finished; train at least two")
    numbers, losses = holm(main_runs), log_loss(main_runs)
    decided = verdicts(numbers, losses)
    if seeds < FEWEST:
        decided = decided.assign(verdict="undecided", because=f"descriptive only, n = {seeds}")
    first = next(iter(main_runs)).metadata
    stages = ["shared", "own", "twice the rate", "mean", "twice the epochs", "pooled"]
    others = finished(study, stages, folder)
    tables = {
        "verdicts": decided.assign(n=seeds),
        "pre-registered": numbers,
        "training-loss": losses,
        "levels": levels(main_runs),
        "controls": controls(others, first["learning_rate"], first["epochs"]),
    }
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.4g")
        click.echo(f"\n{name}\n{table.to_string(index=False, float_format='%.3g')}")
    click.echo(
        f"\n{seeds} seeds in pairs: a sign-flip test could reach p = {2 / 2**seeds:.3g} at best; "
        "intervals are Student's t."
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    trajectories(main_runs, left)
    gaps = analysis.gap(main_runs, metric="accuracy")
    shown = type(gaps)(
        settings=gaps.settings,
        curve=gaps.curve.query("task == 'first'"),
        summary=gaps.summary.query("task == 'first'"),
        steps=gaps.steps.query("task == 'first'"),
    )
    plots.gap(shown, right)
    figure.savefig(out / "gap.png", dpi=120)


if __name__ == "__main__":
    main()
