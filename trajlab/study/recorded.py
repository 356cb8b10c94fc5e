"""What a study records: probes by name, with their options and the sample they measure on."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record.probes import PROBES, Probe
from trajlab.record.schedule import log_spaced
from trajlab.study.keys import check_keys
from trajlab.training import Problem
from trajlab.training.translations import Translations

Record = Mapping[str, Mapping[str, Any]]
OF_PROBLEM: Mapping[str, type[Translations]] = {"Translations": Translations}  # what has one alone
_SAMPLE = ("examples", "batch_size")  # the first examples of each task's training set


def check(record: Record, where: str) -> None:
    """Check names of probes and of their options.

    Parameters
    ----------
    record
        Options by name of probe.
    where
        The file, for the sentence.

    Raises
    ------
    TrajlabError
        If a name is unknown, or a probe that measures on a sample has none, or half of one.
    """
    check_keys(record, {**PROBES, **OF_PROBLEM}, f"[record] of {where}")
    for name, options in record.items():
        kind = PROBES.get(name) or OF_PROBLEM[name]
        known = [key for key in signature(kind).parameters if key != "problem"]
        sampled = "data" in known
        allowed = [key for key in known if key != "data"] + list(_SAMPLE if sampled else ())
        check_keys(options, allowed, f"{name} in [record] of {where}")
        given = set(_SAMPLE) & set(options)
        if sampled and len(given) < len(_SAMPLE) and (given or kind.needs_data):
            raise TrajlabError(
                f"{name} in [record] of {where} measures on a sample: give examples and batch_size"
            )


def build(record: Record, problem: Problem) -> list[Probe]:
    """Make the probes of one run.

    Parameters
    ----------
    record
        Options by name of probe.
    problem
        Whose training examples the sample is taken from.
    """
    made: list[Probe] = []
    for name, given in record.items():
        options = dict(given)
        if options.get("every") == "log-spaced":
            options["every"] = log_spaced()
        if "examples" in options:
            sizes = options.pop("examples"), options.pop("batch_size")
            options["data"] = _sample(problem, *sizes)
        if name in OF_PROBLEM:
            made.append(OF_PROBLEM[name](problem, **options))
        else:
            made.append(PROBES[name](**options))
    return made


def _sample(
    problem: Problem, examples: int, size: int
) -> Sequence[Any] | Mapping[str, Sequence[Any]]:
    device = next(problem.model.parameters()).device

    def batches(names: Sequence[str]) -> list[dict[str, tuple[Tensor, Tensor]]]:
        splits = {name: problem.tasks[name].splits["train"] for name in names}
        inputs, targets = splits[names[0]]
        found = []
        last = min(examples, len(targets))
        for start in range(0, last, size):
            rows = torch.arange(start, min(start + size, last))
            shared = inputs[rows].to(device)
            found.append(
                {k: (shared, labels[rows].to(device)) for k, (_, labels) in splits.items()}
            )
        return found

    if problem.shared_inputs:
        return batches(list(problem.tasks))
    return {name: batches([name]) for name in problem.tasks}
