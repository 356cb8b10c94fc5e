"""Runs that come with trajlab, so that everything can be tried before anything is trained.

Documentation, notebooks and examples speak of these. ``examples/packaged_runs/make.py`` of the
repository trains and records them; ``trajlab datasets NAME`` copies them into a folder of one's
own.
"""

from collections.abc import Mapping
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store import Runs
from trajlab.store import load as load_runs

DATASETS: Mapping[str, str] = {
    "digits-two-tasks": (
        "A task alone, beside its like and beside noise, five seeds each, on handwritten digits; "
        "every quantity recorded."
    ),
    "fashion-mtl": (
        "The same design on a tenth of Fashion-MNIST, three seeds each: Mueller et al. (2024)."
    ),
    "digits-fronts": (
        "Two tasks in a narrow trunk: five weightings, two optimizers, two learning rates, and "
        "fresh seeds of the best."
    ),
    "two-optimizers": "One task, three seeds each of SGD and Adam.",
    "model-sizes": "Language models of three sizes, one run each, with tokens and FLOPs.",
}


def folder(name: str) -> Path:
    """Return where the files of a data set are; they are not to be changed.

    Parameters
    ----------
    name
        A key of `DATASETS`.

    Raises
    ------
    TrajlabError
        If there is no such data set.
    """
    if name not in DATASETS:
        raise TrajlabError(f"there is no data set {name!r}; choose among {', '.join(DATASETS)}")
    return Path(__file__).with_name(name)


def load(name: str) -> Runs:
    """Open the runs of a data set, as :func:`trajlab.load` opens those of a folder.

    Parameters
    ----------
    name
        A key of `DATASETS`, which says what each is.

    Returns
    -------
    Runs
        In the order of their files.

    Raises
    ------
    TrajlabError
        If there is no such data set.

    Examples
    --------
    >>> import trajlab
    >>> runs = trajlab.datasets.load("digits-two-tasks")
    >>> len(runs), runs[0].tasks
    (15, ['first'])
    >>> trajlab.analysis.gap(runs).summary[["task", "condition", "sign"]]
         task condition  sign
    0   first    +noisy  -1.0
    1  second    +noisy   NaN
    2   first     +same   NaN
    3  second     +same   NaN
    """
    return load_runs(folder(name))
