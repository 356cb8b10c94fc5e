"""From the runs of examples_and_tasks to verdicts on claim C18.

C18: gradients of examples conflict in direction as much as gradients of tasks; what differs is
their magnitude. The unit is the seed, averaged over moments of training. Compared are gradients of
equally many examples: two of one task on different examples, and two tasks' on the same ones.
"""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from trajlab.analysis.conflict.examples import EXAMPLES, MEASURES, SAME, example_frame
from trajlab.errors import TrajlabError
from trajlab.store import Runs
from trajlab.study.results import command, finished

SETTINGS = ("fashion", "yeast")
SIZE = 16  # examples in a gradient: where the claim is tested; other sizes are shown
LESS = 0.05  # a share of conflicts smaller by this is less conflict
ALIKE = 0.02  # magnitude similarities that differ by less are alike
LEVEL = 0.05


def by_seed(found: Runs) -> pd.DataFrame:
    """Return one row a seed, size and kind of pair: means over training."""
    frames = [
        example_frame(run).assign(seed=run.metadata["seed"]) for run in found if len(run.tasks) > 1
    ]
    columns = ["seed", "size", "between", *MEASURES]
    if not frames:
        return pd.DataFrame(columns=columns)
    keys = ["seed", "size", "between"]
    return pd.concat(frames).groupby(keys, as_index=False)[list(MEASURES)].mean()[columns]


def differences(rows: pd.DataFrame, tests: int) -> pd.DataFrame:
    """Return one row a size: between examples less between tasks, over seeds.

    The t intervals are adjusted over `tests` settings by Bonferroni; a seed without one of the two
    makes them NaN.
    """
    made = []
    for size, part in rows.groupby("size"):
        row: dict[str, object] = {"size": size}
        for name in MEASURES:
            table = part.pivot_table(index="seed", columns="between", values=name, dropna=False)
            table = table.reindex(columns=[EXAMPLES, SAME])
            apart = (table[EXAMPLES] - table[SAME]).to_numpy(float)
            count = len(apart)
            mean = float(apart.mean())
            error = float(apart.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan
            wide = error * stats.t.ppf(1 - LEVEL / tests / 2, max(count - 1, 1))
            row |= {name: mean, f"{name}_low": mean - wide, f"{name}_high": mean + wide, "n": count}
        made.append(row)
    columns = ["size", *(f"{m}{end}" for m in MEASURES for end in ("", "_low", "_high")), "n"]
    return pd.DataFrame(made, columns=columns)


def conflicts(row: Mapping[str, float]) -> str:
    """Return C18's verdict from the differences at one size.

    Supported: the share of conflicts between examples is surely not smaller by δ, and magnitudes
    surely differ. Not supported: it is surely smaller by δ, or magnitudes are surely alike.
    """
    smaller = row["negative_high"] < -LESS
    alike = row["magnitude_low"] > -ALIKE and row["magnitude_high"] < ALIKE
    if smaller or alike:
        return "not supported"
    differs = row["magnitude_low"] > 0 or row["magnitude_high"] < 0
    return "supported" if row["negative_low"] > -LESS and differs else "undecided"


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Draw share of conflicts and magnitude similarity over size, for each setting."""
    figure, axes = plt.subplots(1, 2 * len(SETTINGS), figsize=(13, 3.4), layout="constrained")
    pairs = [(setting, name) for setting in SETTINGS for name in ("negative", "magnitude")]
    for ax, (setting, name) in zip(axes, pairs, strict=True):
        own = rows[rows["setting"] == setting]
        for (between, part), marker in zip(own.groupby("between"), "os^", strict=False):
            mean = part.groupby("size")[name].agg(["mean", "std"])
            ax.errorbar(mean.index, mean["mean"], mean["std"], marker=marker, label=between)
        ax.set(xscale="log", xlabel="examples in a gradient", title=setting)
        sizes = sorted(set(rows["size"]))
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
        ax.set_ylabel({"negative": "share of cosines below 0"}.get(name, "magnitude similarity"))
    axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
    """Test claim C18 on the runs in RUNS: print verdicts, write tables and a figure."""
    verdicts, kept, apart = [], [], []
    for setting in SETTINGS:
        found = finished(study, [setting], folder)
        rows = by_seed(found.runs)
        table = differences(rows, len(SETTINGS))
        at = table[table["size"] == SIZE]
        nothing = dict.fromkeys(table.columns, np.nan)
        row = at.iloc[0].to_dict() if len(at) else nothing
        told = {
            "claim": f"C18 {setting}",
            "verdict": conflicts(row),
            **{key: row[key] for key in ("negative", "negative_low", "negative_high")},
            **{key: row[key] for key in ("magnitude", "magnitude_low", "magnitude_high")},
        }
        verdicts.append(found.withhold(pd.DataFrame([told])))
        kept.append(rows.assign(setting=setting))
        apart.append(table.assign(setting=setting))
    if not any(map(len, kept)):
        raise TrajlabError("no seed is finished in any setting; train one with `trajlab study run`")
    rows = pd.concat(kept, ignore_index=True)
    draw(rows, out / "examples.png")
    return {
        "verdicts": pd.concat(verdicts, ignore_index=True),
        "differences": pd.concat(apart, ignore_index=True),
        "seeds": rows,
    }


main = command(evaluate, Path(__file__).parent)
if __name__ == "__main__":
    main()
