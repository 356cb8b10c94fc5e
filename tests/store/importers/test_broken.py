"""Files that are broken are told in one sentence, and never keep others from coming in."""

import json
import shutil
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.importers.packages import make
from trajlab.errors import TrajlabError
from trajlab.store import load
from trajlab.store.importers.comet import read_comet
from trajlab.store.importers.csv import import_csv
from trajlab.store.importers.lightning import read_lightning
from trajlab.store.importers.logged import LoggedRun
from trajlab.store.importers.series import import_series
from trajlab.store.importers.tensorboard import read_tensorboard
from trajlab.store.importers.trackio import read_trackio
from trajlab.store.importers.transformers import read_transformers
from trajlab.store.importers.wandb import read_wandb

TABLE = "step,train_loss,acc\n0,2.5,\n10,1.25,0.5\n20,0.75,0.625\n"
STATE = {
    "global_step": 20,
    "log_history": [
        {"step": k, "epoch": k / 10, "train_loss": 2.5 / (1 + k), "acc": 0.5} for k in (10, 20)
    ],
}
KINDS = {
    "tensorboard": read_tensorboard,
    "wandb": read_wandb,
    "trackio": read_trackio,
    "comet": read_comet,
    "lightning": read_lightning,
    "hparams": read_lightning,
    "transformers": read_transformers,
    "csv": None,
    "wandb table": read_wandb,
}
ARCHIVES = {"tensorboard": "tensorboardx", "wandb": "wandb", "trackio": "trackio", "comet": "comet"}
NAMES = {
    "lightning": "metrics.csv",
    "hparams": "hparams.yaml",
    "transformers": "trainer_state.json",
    "csv": "a.csv",
    "wandb table": "a.csv",
}
RUNS = dict.fromkeys(KINDS, 1) | {"trackio": 2}  # in one file
BROKEN = {
    "empty": b"",
    "blank": b"\n \n",
    "no text": bytes(range(128, 256)),
    "UTF-16": TABLE.encode("utf-16")[:-1],
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "zeros": bytes(5000),
    "deep": b"[" * 5_000,
    "a page": b"<!DOCTYPE html>\n<html><body>404</body></html>\n",
    "header only": b"step,train_loss,acc\n",
    "ragged": b"step,train_loss,acc\n1,2\n",
    "an endless quote": b'step,train_loss,acc\n1,"2,3\n' + b"4,5,6\n" * 50_000,
}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@cache
def whole(kind: str) -> tuple[str, bytes]:
    """A file that is read, and its name."""
    if kind == "transformers":
        return NAMES[kind], json.dumps(STATE).encode()
    if kind == "hparams":
        return NAMES[kind], b"seed: 3\nmethod: single\noptimizer:\n  lr: 0.1\n"
    if kind in NAMES:
        return NAMES[kind], TABLE.encode()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(make.__file__).with_name(f"{ARCHIVES[kind]}.tar.xz")
        shutil.unpack_archive(archive, folder, filter="data")
        file = next(
            p
            for p in sorted(Path(folder).rglob("*"))
            if p.is_file() and (p.suffix in (".zip", ".wandb", ".db") or "tfevents" in p.name)
        )
        return file.name, file.read_bytes()


def read(kind: str, content: bytes, beside: bytes | None = None) -> int:
    """Return how many runs are read of a file, and of a whole one beside it."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name, _ = whole(kind)
        for own, data in (("b", content), ("a", beside)):
            if data is not None:
                file = Path(folder) / "in" / own / name
                file.parent.mkdir(parents=True)
                file.write_bytes(data)
                if kind == "hparams":
                    file.with_name("metrics.csv").write_text(TABLE)
        if kind == "csv":
            arguments = {"step": "step", "map": {"train/t/loss": "train_loss"}}
            return len(import_csv(Path(folder) / "in", Path(folder) / "out", **arguments))
        found = list(KINDS[kind](Path(folder) / "in"))
        runs = [item for item in found if isinstance(item, LoggedRun) and item.series]
        names = {"train/t/loss": next(iter(runs[0].series))} if runs else None
        import_series(Path(folder) / "in", lambda _: found, Path(folder) / "out", map=names)
        return len(load(Path(folder) / "out"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_one_sentence_and_blocks_no_other(kind, how):
    if (kind, how) in {("hparams", "empty"), ("hparams", "blank")}:
        assert read(kind, BROKEN[how]) == 1  # Lightning writes none where nothing was saved
        return
    with pytest.raises(TrajlabError) as told:
        read(kind, BROKEN[how])
    sentence = str(told.value)
    assert "\n" not in sentence
    assert len(sentence) < 1000
    assert read(kind, BROKEN[how], beside=whole(kind)[1]) == RUNS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read(kind):
    assert read(kind, whole(kind)[1]) == RUNS[kind]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("kind", KINDS)
def test_a_torn_or_changed_file_is_read_or_told(kind, data):
    _, content = whole(kind)
    end = data.draw(st.integers(0, len(content)))
    at = data.draw(st.integers(0, max(end - 1, 0)))
    new = data.draw(st.binary(max_size=4))
    with suppress(TrajlabError):
        assert read(kind, content[:at] + new + content[at + len(new) : end]) <= RUNS[kind]
