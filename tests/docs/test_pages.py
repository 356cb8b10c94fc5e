"""Every code block of README and docs runs, and every command in them means something.

The blocks of a page marked ``python`` and ``sh`` are typed one after the other, in a new folder;
the lines of other blocks, and commands in running text, are parsed.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from torch import nn

import trajlab
from tests.cli.conftest import call
from tests.models import TwoHeads
from trajlab.cli.main import main

ROOT = Path(__file__).parents[2]
OTHERS = {"api", "changelog", "commands", "contributing"}  # made of what is elsewhere
PAGES = sorted(
    path for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")] if path.stem not in OTHERS
)
TESTED_ELSEWHERE = {"logs"}  # with logs of each kind: tests/store/importers/test_users.py
PLACEHOLDERS = str.maketrans(dict.fromkeys("…[]"))


def blocks(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(python|sh)\n(.*?)^```", page.read_text(), flags=re.M | re.S)


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the pages' examples take as given: a model, its data, runs and a table."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = TwoHeads()
    loader = [(torch.randn(5, 6), torch.randint(3, (5, 2))) for _ in range(10)]
    ce = nn.CrossEntropyLoss()
    runs = trajlab.datasets.load("digits-two-tasks")
    train, test = (runs[0].frame(f"evaluations/{split}") for split in ("train", "test"))
    rows = [
        test.assign(train_loss=train["loss"], method=method, seed=seed, **{"sharpness/value": 1.0})
        for method in ("single", "uniform")
        for seed in range(3)
    ]
    columns = ["method", "seed", "step", "task", "train_loss", "accuracy", "sharpness/value"]
    pd.concat(rows)[columns].to_csv("mine.csv", index=False)

    tasks = ["left", "right"]

    def task_losses(model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        outputs = model(batch[0])
        return {task: ce(outputs[i], batch[1][:, i]) for i, task in enumerate(tasks)}

    def evaluate(model: nn.Module, data: object) -> dict[str, dict[str, float]]:
        return {task: {"loss": 1.0, "accuracy": 50.0} for task in tasks}

    return {
        **{"torch": torch, "model": model, "loader": loader, "epochs": 2, "ce": ce},
        **{"optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "evaluate": evaluate},
        **{"train_set": None, "test_set": None, "task_losses": task_losses},
        "module": model,
    }


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda p: p.stem)
@pytest.mark.filterwarnings("default")  # what examples warn of is theirs
def test_every_block_runs(page: Path, given: dict[str, Any]) -> None:
    for language, block in blocks(page):
        if language == "sh":
            for line in block.splitlines():
                program, *arguments = shlex.split(line, comments=True)
                assert program == "trajlab"
                result = call(*arguments)
                assert result.exit_code == 0, (line, result.output)
        elif page.stem not in TESTED_ELSEWHERE:
            exec(compile(block, str(page), "exec"), given)
    plt.close("all")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_option_exists(page: Path) -> None:
    text = page.read_text()
    lines = re.findall(r"^(?:    |\$ )(trajlab .+)$", text, flags=re.M)
    lines += re.findall(r"`(trajlab [a-z][^`\n]*)`", text)
    for line in lines:
        _, name, *arguments = line.split("#")[0].split()
        command = main.get_command(click.Context(main), name.strip("…,"))
        assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        for sub in getattr(command, "commands", {}).values():
            known |= {option for parameter in sub.params for option in parameter.opts}
        named = {
            word.translate(PLACEHOLDERS) for word in arguments if re.match(r"\[?--[a-z]", word)
        }
        assert named <= known | {"--help"}, line


def test_every_relative_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []
