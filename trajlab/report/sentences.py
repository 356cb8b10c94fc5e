"""The verdict of a diagnosis, ordered for a reader."""

from typing import NamedTuple

from trajlab.analysis import Diagnosis
from trajlab.analysis.runs.groups import ONE_TASK
from trajlab.plots.style import series


class Said(NamedTuple):
    """A sentence, and the analysis whose figure and table it stands on; empty where none does."""

    sentence: str
    analysis: str


def sentences(diagnosis: Diagnosis) -> dict[str, list[Said]]:
    """Gather the sentences about each task and way of training it.

    Parameters
    ----------
    diagnosis
        What :func:`trajlab.analysis.diagnose` returned.

    Returns
    -------
    dict of str to list of Said
        By what tells the comparisons apart, ``task left, condition +noisy``, in the order of the
        verdict.
    """
    group_by = diagnosis.settings["group_by"]  # a baseline's own key among them: what is compared
    keys = tuple(dict.fromkeys(("setting", "task", "condition", "method", *group_by)))
    parts = list(series(diagnosis.verdict, keys))
    values = {key: {part.key[key] for part in parts if part.key[key]} for key in keys}
    always = ["task", *group_by]
    if len(values["task"]) < 2 and not group_by:  # then ways of training alone are compared
        always.append("method")
    named = [key for key in keys if key in always or len(values[key]) > 1]
    return {
        ", ".join(f"{key} {part.key[key]}" for key in named if part.key[key]) or "All tasks": [
            Said(*said) for said in part.rows[["sentence", "analysis"]].itertuples(index=False)
        ]
        for part in parts
    }


def left_out(diagnosis: Diagnosis) -> dict[str, str]:
    """Return the names of the analyses that do not apply, by the reason.

    Nothing is said of those that compare tasks, where no run trains several.

    Parameters
    ----------
    diagnosis
        What :func:`trajlab.analysis.diagnose` returned.
    """
    names: dict[str, list[str]] = {}
    for name, reason in diagnosis.skipped.items():
        if reason == ONE_TASK:
            continue
        names.setdefault(reason, []).append(name)
    return {reason: ", ".join(analyses) for reason, analyses in names.items()}
