"""GLUE: its files are read as they are published, and tasks are trained through one encoder."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trajlab import load
from trajlab.errors import TrajlabError
from trajlab.training import Plan, train
from trajlab.training.settings import glue, setting


def test_texts_and_labels_are_those_of_the_files(data: Path) -> None:
    problem = setting("glue").build("", 0)
    assert len(problem.tasks) == 8
    assert not problem.shared_inputs
    for name, task in problem.tasks.items():
        sizes = {split: len(pair[0]) for split, pair in task.splits.items()}
        assert sizes == {"train": 18, "validation": 2, "test": 6}  # without the row cut off
        table = glue._TABLES[name]
        inputs, targets = task.splits["test"]
        lines = (data / "glue" / name / table.test).read_text().splitlines()
        header = [] if name == "CoLA" else lines.pop(0).split("\t")
        cells = dict(zip(header or range(4), lines[4].split("\t"), strict=True))
        label = cells[table.label]
        wanted = table.labels.index(label) if table.labels else float(label)
        assert targets[torch.tensor([4])].tolist() == [wanted]
        # <s> first </s>, or <s> first </s></s> second </s>; no text holds an unknown word
        words = "</s> </s>".join(f" {cells[text]} " for text in table.texts)
        tokenizer = inputs._tokenizer
        numbers = tokenizer.convert_tokens_to_ids(f"<s>{words}</s>".split())
        (found,) = inputs[torch.tensor([4])]
        assert found.tolist() == [numbers, [1] * len(numbers)]
        assert tokenizer.unk_token_id not in numbers


def test_a_tenth_of_the_training_set_is_held_out_by_seed_and_task(data: Path) -> None:
    for name, index in (("MNLI", 5), ("RTE", 7)):
        table = glue._TABLES[name]
        columns, targets = glue._read(data / "glue" / name / "train.tsv", table)
        rows = [*zip(*columns, targets.tolist(), strict=True)]
        for seed in (0, 3):
            (task,) = setting("glue").build(name, seed).tasks.values()
            order = np.random.default_rng([seed, index]).permutation(20)
            for split, chosen in (("validation", order[:2]), ("train", order[2:])):
                inputs, own = task.splits[split]
                found = [*zip(*inputs._columns, own.tolist(), strict=True)]
                assert found == [rows[row] for row in chosen]


def test_long_texts_are_cut_off_and_the_first_token_is_read(data: Path) -> None:
    problem = setting("glue").build("RTE", 0)
    tokenizer = problem.tasks["RTE"].splits["train"][0]._tokenizer
    for number in (125, 126, 127):  # beside the marks at both ends
        (found,) = glue.Texts([["the " * number]], tokenizer)[torch.tensor([0])]
        assert found.shape == (2, min(number + 2, 128))
    pair = glue.Texts([["the " * 90], ["cat " * 90]], tokenizer)[torch.tensor([0])]
    assert pair.shape == (1, 2, 128)
    trunk = problem.model.trunk.eval()
    with torch.no_grad():
        states = trunk.model(input_ids=pair[:, 0], attention_mask=pair[:, 1]).last_hidden_state
        assert torch.equal(trunk(pair), states[:, 0])


def test_padding_changes_no_output(data: Path) -> None:
    problem = setting("glue").build("QNLI", 0)
    inputs, _ = problem.tasks["QNLI"].splits["train"]
    together = inputs[torch.arange(6)]
    assert (together[:, 1] == 0).any()
    with torch.no_grad():
        problem.model.eval()
        padded = problem.model({"QNLI": together})["QNLI"]
        alone = [problem.model({"QNLI": inputs[torch.tensor([i])]})["QNLI"] for i in range(6)]
    torch.testing.assert_close(padded, torch.cat(alone))


def test_an_epoch_trains_every_weight_and_is_scored(data: Path, tmp_path: Path) -> None:
    condition = "CoLA+MRPC+STS-B+MNLI"
    train(Plan(setting("glue"), condition, "uniform", 0, 1, 9, 0.01, 0.9), tmp_path / "run.h5")
    (run,) = load(tmp_path / "run.h5")
    table = run.table("evaluations/test")
    tasks = {
        "matthews": ["CoLA"],
        "f1": ["MRPC"],
        "accuracy": ["MRPC", "MNLI"],
        "pearson": ["STS-B"],
    }
    for metric, own in tasks.items():
        assert table.column_attributes(metric)["higher_is_better"]
        known = np.isfinite(table[metric]).all(0)
        assert [task for task, there in zip(run.tasks, known, strict=True) if there] == own
    assert np.isfinite(table["loss"]).all()
    problem = setting("glue").build(condition, 0)
    outputs = problem.model(
        {name: task.splits["train"][0][torch.arange(4)] for name, task in problem.tasks.items()}
    )
    sum(output.sum() for output in outputs.values()).backward()
    assert all(parameter.grad is not None for parameter in problem.model.parameters())


def test_only_the_files_of_the_tasks_trained_are_needed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "RTE").symlink_to(data / "glue" / "RTE")
    assert list(setting("glue").build("RTE", 0, tmp_path).tasks) == ["RTE"]
    with pytest.raises(TrajlabError, match=r"glue is not in .* https://gluebenchmark\.com"):
        setting("glue").build("RTE+CoLA", 0, tmp_path)


@pytest.mark.parametrize("content", ["sentence\tlabel\nthe cat\t2\n", "sentence\nthe cat\n"])
def test_other_columns_or_labels_are_one_sentence(content: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "SST-2").mkdir()
    for file in ("train.tsv", "dev.tsv"):
        (tmp_path / "SST-2" / file).write_text(content)
    with pytest.raises(TrajlabError, match=r"train\.tsv has not GLUE's columns and labels"):
        setting("glue").build("SST-2", 0, tmp_path)


def test_a_missing_model_or_library_is_one_sentence(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glue, "_MODEL", str(data / "nothing"))
    with pytest.raises(TrajlabError, match=r"nothing is not in the cache of Hugging Face"):
        setting("glue").build("RTE", 0)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TrajlabError, match=r"pip install 'trajlab\[transformers\]'"):
        setting("glue").build("RTE", 0)
