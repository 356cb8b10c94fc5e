"""BLEU and chrF of what a translator makes of test sentences: a probe, on request."""

from typing import Any

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record.probes import Moment, Probe
from trajlab.record.probes.probe import Row
from trajlab.record.schedule import Every
from trajlab.store import Column, Table
from trajlab.training.setting import Problem
from trajlab.training.transformer import END, PAD, Translator

_BATCH = 50


class Translations(Probe):
    """BLEU and chrF of each task's first test sentences, translated word by likeliest word.

    Parameters
    ----------
    problem
        Of the setting ``translation`` or ``translation_low_resource``.
    every
        When to translate, as in `trajlab.record.schedule.Schedule`.
    sentences
        How many of each task.

    Raises
    ------
    TrajlabError
        If the problem is no translation, or sacrebleu is missing.
    """

    def __init__(self, problem: Problem, every: Every = "epoch", *, sentences: int = 100) -> None:
        super().__init__(every)
        if not isinstance(problem.model.trunk, Translator):
            raise TrajlabError(
                "Translations scores translated text, and this setting has none; leave it out, or "
                "choose the setting translation"
            )
        try:
            import sacrebleu
        except ModuleNotFoundError as error:
            raise TrajlabError(
                "translations are scored with sacrebleu; pip install 'trajlab[translation]'"
            ) from error
        self._scores: Any = {
            "bleu": sacrebleu.BLEU(effective_order=False),
            "chrf": sacrebleu.CHRF(),
        }
        self._problem = problem
        self._sentences = sentences

    def table(self, moment: Moment) -> Table:
        """Declare ``translations``."""
        text = f"corpus score of {self._sentences} test sentences, by sacrebleu"
        columns = tuple(
            Column(name, ("step", "task"), description=text, attributes={"higher_is_better": True})
            for name in self._scores
        )
        signatures = {
            f"{name}_signature": str(score.get_signature()) for name, score in self._scores.items()
        }
        return Table("translations", columns, {"task": list(moment.tasks)}, signatures)

    def measure(self, moment: Moment) -> Row:
        """Return ``bleu`` and ``chrf``, each (task,)."""
        moment.model.eval()
        scores: dict[str, list[float]] = {name: [] for name in self._scores}
        for task in moment.tasks:
            made, wanted = self.texts(task)
            for name, score in self._scores.items():
                scores[name].append(float(score.corpus_score(made, [wanted]).score))
        return scores

    def texts(self, task: str) -> tuple[list[str], list[str]]:
        """Return what the model makes of a task's test sentences, and their translations."""
        trunk: Any = self._problem.model.trunk
        inputs, targets = self._problem.tasks[task].splits["test"]
        rows = torch.arange(min(self._sentences, len(targets)))
        device = next(trunk.parameters()).device
        made: list[str] = []
        with torch.no_grad():
            for part in torch.split(rows, _BATCH):
                batch = inputs[part].to(device)
                source, tag = batch[:, : trunk.longest], int(batch[0, trunk.longest])
                tokens = trunk.translate(source, tag, trunk.longest - 1)
                made += [_text(trunk.words, row) for row in tokens.cpu()]
        return made, [_text(trunk.words, row) for row in targets[rows]]


def _text(words: Any, tokens: Tensor) -> str:
    """Return the text of tokens up to `END`."""
    kept = tokens.tolist()
    kept = kept[: kept.index(END)] if END in kept else kept
    return str(words.decode([token for token in kept if token != PAD]))
