"""The verdict of a diagnosis, ordered for a reader."""

from trajlab.analysis import Diagnosis
from trajlab.plots.style import series


def sentences(diagnosis: Diagnosis) -> dict[str, list[str]]:
    """Gather the sentences about each task and way of training it.

    Parameters
    ----------
    diagnosis
        What :func:`trajlab.analysis.diagnose` returned.

    Returns
    -------
    dict of str to list of str
        By what tells the comparisons apart, ``task left, condition +noisy``, in the order of the
        verdict.
    """
    keys = ("setting", "task", "condition", "method", *diagnosis.settings["group_by"])
    parts = list(series(diagnosis.verdict, keys))
    named = [key for key in keys if key == "task" or len({part.key[key] for part in parts}) > 1]
    return {
        ", ".join(f"{key} {part.key[key]}" for key in named if part.key[key]): list(
            part.rows["sentence"]
        )
        for part in parts
    }
