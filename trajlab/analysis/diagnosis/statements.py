"""What the verdict says of factors, correlations and fronts."""

from collections.abc import Sequence

import numpy as np

from trajlab.analysis.wording import Row, Statement, estimate


def of_factor(row: Row) -> Statement:
    """Say that a factor differs at equal training loss, and how little that shows.

    Parameters
    ----------
    row
        A row of the table `delta` of `factors`, read at a loss.
    """
    name = row["factor"].replace("_", " ")
    sentence = (
        f"{name[0].upper()}{name[1:]} differs at equal training loss (L = {float(row['at']):.2g}): "
        f"{estimate(row, 'delta')}, {1 + row['relative']:.2g} times the baseline's; one setting "
        "cannot show cause."
    )
    return sentence, {key: row[key] for key in ("delta", "low", "high", "p_adjusted", "relative")}


def of_factors(factor: str, differ: Sequence[Row], total: int) -> Statement:
    """Say on how many of many tasks a factor differs at equal training loss.

    Parameters
    ----------
    factor
        Its name.
    differ
        Rows of the tasks on which it does.
    total
        Tasks on which it was compared.
    """
    name = factor.replace("_", " ")
    more = sum(row["delta"] > 0 for row in differ)
    sentence = (
        f"{name[0].upper()}{name[1:]} differs at equal training loss on {len(differ)} of {total} "
        f"tasks, larger on {more} and smaller on {len(differ) - more}; one setting cannot show "
        "cause; trajlab factors lists all."
    )
    return sentence, {"n_larger": more, "n_smaller": len(differ) - more, "n_tasks": total}


def of_front(row: Row) -> Statement:
    """Say whether a method's front lies beyond that of the baseline.

    Parameters
    ----------
    row
        A row of the table `distance` of `front`.
    """
    numbers = {name: row[name] for name in ("signed_distance", "low", "high", "n_chosen")}
    fronts = f"the front of {row['method']} lies beyond that of {row['baseline']}"
    if np.isnan(row["signed_distance"]):
        return f"Whether {fronts} cannot be told: {row['reason']}.", numbers
    found = f"signed distance {estimate(row, 'signed_distance')}"
    doubt = f"; {row['reason']}" if row["reason"] else ""
    if row["low"] > 0:
        return f"{fronts[0].upper()}{fronts[1:]}: {found}{doubt}.", numbers
    if row["high"] < 0:
        inside = fronts.replace("beyond", "inside")
        return f"{inside[0].upper()}{inside[1:]}: {found}{doubt}.", numbers
    return f"Whether {fronts} cannot be told: {found}{doubt}.", numbers


def of_correlation(row: Row, confidence: float) -> Statement:
    """Say whether two columns go together over independent units.

    Parameters
    ----------
    row
        A row of the table `correlations`.
    confidence
        Of its interval; its complement is the level of the test.
    """
    names = f"{row['x'].replace('_', ' ')} and {row['y'].replace('_', ' ')}"
    numbers = {name: row[name] for name in ("estimate", "low", "high", "p_adjusted", "n")}
    units = f"over {int(row['n'])} units"
    if np.isnan(row["estimate"]):
        return f"Whether {names} go together {units} cannot be told: {row['reason']}.", numbers
    found = f"{row['statistic'].title()} {estimate(row, 'estimate')}"
    found += f", p = {row['p_adjusted']:.2g}, the smallest possible {row['smallest_p']:.2g}"
    if row["p_adjusted"] >= 1 - confidence:
        return f"Whether {names} go together {units} cannot be told ({found}).", numbers
    way = "together" if row["estimate"] > 0 else "against each other"
    return f"{names[0].upper()}{names[1:]} go {way} {units} ({found}).", numbers
