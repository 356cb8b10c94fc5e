"""GLUE without WNLI: eight tasks on sentences, each with texts of its own, through RoBERTa.

A task's head is linear, on the first token. GLUE keeps the labels of its test sets, so results are
of the published development sets, and validation is done on a tenth of the training set.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from trajlab.errors import TrajlabError
from trajlab.measure.examples.likelihood import Bernoulli, Gaussian
from trajlab.training.conditions import Subsets
from trajlab.training.data import DataSet
from trajlab.training.metrics import (
    Metric,
    accuracy,
    binary_accuracy,
    correct,
    correct_sign,
    f1,
    matthews,
    pearson,
)
from trajlab.training.models import one_number
from trajlab.training.regression import squared_error
from trajlab.training.setting import MultiTaskModel, Problem, Setting, Split, Task, seeded

_MODEL = "roberta-base"
_LENGTH = 128  # tokens; longer texts are cut off


@dataclass(frozen=True)
class _Table:
    """Where a task's files have its texts and labels: columns by name, or number without a header.

    Two labels are wrong and right; none means that it is a number.
    """

    texts: tuple[str | int, ...]
    label: str | int
    labels: tuple[str, ...]
    metrics: dict[str, Metric]
    test: str = "dev.tsv"

    @property
    def files(self) -> dict[str, str]:
        return {"train": "train.tsv", "test": self.test}


_BINARY = {"accuracy": binary_accuracy}
_PAIR = ("sentence1", "sentence2")
_ENTAILED = ("not_entailment", "entailment")
_TABLES = {
    "CoLA": _Table((3,), 1, ("0", "1"), {"matthews": matthews}),
    "SST-2": _Table(("sentence",), "label", ("0", "1"), _BINARY),
    "MRPC": _Table(("#1 String", "#2 String"), "Quality", ("0", "1"), _BINARY | {"f1": f1}),
    "QQP": _Table(("question1", "question2"), "is_duplicate", ("0", "1"), _BINARY | {"f1": f1}),
    "STS-B": _Table(_PAIR, "score", (), {"pearson": pearson}),
    "MNLI": _Table(
        _PAIR,
        "gold_label",
        ("contradiction", "neutral", "entailment"),
        {"accuracy": accuracy},
        "dev_matched.tsv",
    ),
    "QNLI": _Table(("question", "sentence"), "label", _ENTAILED, _BINARY),
    "RTE": _Table(_PAIR, "label", _ENTAILED, _BINARY),
}
GLUE = DataSet(
    name="glue",
    files={
        f"{task}/{file}": "" for task, table in _TABLES.items() for file in table.files.values()
    },
    package="first download and unpack the tasks of https://gluebenchmark.com/tasks side by side",
)
_tasks = Subsets("glue", tuple(_TABLES))


class Texts:
    """Texts, or pairs of them, that are cut into tokens when they are asked for.

    Parameters
    ----------
    columns
        One list of texts, or two of equal length.
    tokenizer
        One of transformers'.
    """

    def __init__(self, columns: list[list[str]], tokenizer: Any) -> None:
        self._columns = columns
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._columns[0])

    def __getitem__(self, rows: Tensor, /) -> Tensor:
        """Return numbers of tokens, and 1 where there is one ``(n, 2, longest)``."""
        chosen = [[column[row] for row in rows.tolist()] for column in self._columns]
        coded = self._tokenizer(
            *chosen, truncation=True, max_length=_LENGTH, padding=True, return_tensors="pt"
        )
        return torch.stack((coded["input_ids"], coded["attention_mask"]), 1)


class Encoder(nn.Module):
    """A pretrained encoder, read at its first token.

    Parameters
    ----------
    model
        One of transformers'.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Return ``(n, hidden)`` for what `Texts` gives."""
        states = self.model(input_ids=tokens[:, 0], attention_mask=tokens[:, 1])
        first: Tensor = states.last_hidden_state[:, 0]
        return first


def _pretrained() -> tuple[Any, Any]:
    """Return the model, without the layer that no head uses, and its tokenizer."""
    try:
        from transformers import AutoModel, AutoTokenizer
    except ModuleNotFoundError as error:
        raise TrajlabError(
            "glue trains an encoder of transformers; pip install 'trajlab[transformers]'"
        ) from error
    try:
        model = AutoModel.from_pretrained(_MODEL, add_pooling_layer=False)
        return model.float(), AutoTokenizer.from_pretrained(_MODEL)
    except (OSError, ValueError) as error:
        raise TrajlabError(
            f"{_MODEL} is not in the cache of Hugging Face and cannot be downloaded; download it "
            f"once with a connection: hf download {_MODEL}"
        ) from error


def _read(file: Path, table: _Table) -> tuple[list[list[str]], Tensor]:
    """Return the texts and targets of one file; rows with a column too few or many are left out."""
    header = 0 if isinstance(table.label, str) else None
    wanted = [*table.texts, table.label]
    try:
        rows = pd.read_csv(
            file,
            sep="\t",
            header=header,
            dtype=str,
            quoting=3,  # a quotation mark is a character like any other
            keep_default_na=False,  # and "None" a text; nothing at all is none
            na_values=[""],
            on_bad_lines="skip",
        )[wanted].dropna()
        labels = rows[table.label]
        numbers = labels.map(table.labels.index) if table.labels else labels.astype(np.float32)
    except (KeyError, ValueError) as error:
        raise TrajlabError(f"{file} has not GLUE's columns and labels; get it anew") from error
    # classes are whole numbers; 0 and 1, and scores, are compared with one output
    kind = np.int64 if len(table.labels) > 2 else np.float32
    targets = torch.tensor(numbers.to_numpy(kind))
    return [rows[text].tolist() for text in table.texts], targets


def _split(columns: list[list[str]], targets: Tensor, rows: np.ndarray, tokenizer: Any) -> Split:
    return Texts([[column[row] for row in rows] for column in columns], tokenizer), targets[rows]


def _binary_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(outputs, targets, reduction="none")


def _task(splits: dict[str, Split], table: _Table) -> Task:
    if not table.labels:
        return Task(splits, squared_error, table.metrics, likelihood=Gaussian)
    if len(table.labels) == 2:
        return Task(splits, _binary_loss, table.metrics, correct_sign, Bernoulli)
    return Task(splits, nn.CrossEntropyLoss(reduction="none"), table.metrics, correct)


def _head(features: int, labels: int) -> nn.Module:
    if labels > 2:
        return nn.Linear(features, labels)
    return one_number(features)


def _build(condition: str, seed: int, root: Path | None = None) -> Problem:
    names = _tasks(condition)
    needed = {file: "" for file in GLUE.files if file.split("/")[0] in names}
    folder = replace(GLUE, files=needed).folder(root)
    model, tokenizer = _pretrained()
    tasks, heads = {}, {}
    for name in names:
        index, table = _tasks.names.index(name), _TABLES[name]
        train, test = (_read(folder / name / file, table) for file in table.files.values())
        order = np.random.default_rng([seed, index]).permutation(len(train[1]))
        held, kept = np.split(order, [len(order) // 10])
        splits = {
            "train": _split(*train, kept, tokenizer),
            "validation": _split(*train, held, tokenizer),
            "test": _split(*test, np.arange(len(test[1])), tokenizer),
        }
        tasks[name] = _task(splits, table)
        heads[name] = seeded(
            partial(_head, model.config.hidden_size, len(table.labels)), 1000 * seed + index
        )
    return Problem(tasks, MultiTaskModel(Encoder(model), heads))


glue = Setting(
    _tasks,
    _build,
    source="GLUE (Wang et al. 2019) without WNLI; RoBERTa (Liu et al. 2019), base",
)
