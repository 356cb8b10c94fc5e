"""Study files: what grids mean, and what is said of wrong ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from trajlab.errors import TrajlabError
from trajlab.study.file import Selection, Study, read
from trajlab.study.grid import Best
from trajlab.study.selection import runs
from trajlab.training import Plan
from trajlab.training.settings.digits import digits

Make = Callable[..., Study]


def test_lists_are_multiplied_out_and_whole_seeds_come_first(study: Make) -> None:
    made = study(
        "[[stage]]\ncondition = ['', '+same']\nseed = [0, 1]\nlearning_rate = [0.1, 0.2]\n"
    )
    found = [run.plan for run in runs(made, made.stages[0]) or []]
    assert [plan.seed for plan in found] == [0] * 4 + [1] * 4
    assert {(plan.condition, plan.method, plan.learning_rate) for plan in found} == {
        ("", "single", 0.1),
        ("", "single", 0.2),
        ("+same", "uniform", 0.1),
        ("+same", "uniform", 0.2),
    }


def test_one_task_is_trained_once_whatever_the_methods(study: Make) -> None:
    made = study(
        "[[stage]]\ncondition = ['', '+same']\nmethod = ['uniform', {name = 'uniform', C = 'K'}]\n"
    )
    found = [run.plan for run in runs(made, made.stages[0]) or []]
    assert [(plan.method, dict(plan.options)) for plan in found] == [
        ("single", {}),
        ("uniform", {}),
        ("uniform", {"C": "K"}),
    ]


def test_equal_configurations_of_two_stages_are_one_file(study: Make) -> None:
    made = study("[[stage]]\nname = 'a'\nseed = [0, 1]\n[[stage]]\nname = 'b'\nseed = [1, 2]\n")
    one, other = ([run.path for run in runs(made, stage) or []] for stage in made.stages)
    assert one[1] == other[0]
    assert len({*one, *other}) == 3


def test_runs_trained_before_are_found_again() -> None:
    """A hyper-parameter that came later, at its default, must not make finished runs be retrained.

    These names are those of files that exist.
    """
    made = read(Path("analyses/matched_loss_gap/long.toml"))
    names = {
        stage.name: [run.path.name for run in runs(made, stage) or []] for stage in made.stages
    }
    assert names["shared"][:3] == [
        "single-seed0-1cf4db76.h5",
        "uniform+fashion-seed0-f8c3866d.h5",
        "uniform+noisy-seed0-2244b1d5.h5",
    ]
    assert names["mean"][-1] == "uniform+noisy-seed4-d087de90.h5"
    assert names["smaller step"][0] == "single-seed0-acbfe057.h5"


def test_hyper_parameters_that_came_later_leave_earlier_runs_what_they_are(study: Make) -> None:
    """The name is one that a study got before there were optimizers and schedules."""
    plain = "condition = '+same'\n"
    later = "optimizer = 'sgd'\nschedule = 'constant'\ndropout = 0\nshare = 1\nepoch_steps = 0\n"
    for text in (plain, plain + later):
        (run,) = runs(made := study(text), made.stages[0]) or []
        assert run.path.name == "uniform+same-seed0-a6953336.h5"
    for changed in ("optimizer = 'adam'", "schedule = 'cosine'", "dropout = 0.1", "width = 2"):
        (run,) = runs(made := study(plain + changed), made.stages[0]) or []
        assert run.path.name != "uniform+same-seed0-a6953336.h5"


def test_new_hyper_parameters_reach_the_plan(study: Make) -> None:
    made = study(
        "[[stage]]\ncondition = '+same'\noptimizer = ['adam', 'adamw']\nmomentum = 0\n"
        "schedule = ['cosine', {name = 'step', every = 5}]\nlabel_smoothing = 0.1\ndepth = 2\n"
        "share = {second = 0.1}\nepoch_steps = 7\n"
    )
    plans = [run.plan for run in runs(made, made.stages[0]) or []]
    assert {(plan.optimizer, plan.schedule["name"]) for plan in plans} == {
        (optimizer, name) for optimizer in ("adam", "adamw") for name in ("cosine", "step")
    }
    (plan, *_) = plans
    assert (plan.label_smoothing, plan.depth, plan.epoch_steps) == (0.1, 2, 7)
    assert (plan.share, plan.overlap) == ({"second": 0.1}, None)


def test_what_a_run_is_does_not_depend_on_where_it_is_trained(study: Make) -> None:
    (here,) = runs(study(""), study("").stages[0]) or []
    made = study("device = 'cuda'\nroot = '/data'\n")
    (there,) = runs(made, made.stages[0]) or []
    assert here.path == there.path
    assert (there.device, there.root) == ("cuda", Path("/data"))


def test_a_setting_has_defaults_and_the_file_has_the_last_word(tmp_path: Path) -> None:
    stages = "setting = 'FashionMTL'\nlearning_rate = 0.1\n[[stage]]\n[[stage]]\nepochs = 3\n"
    (tmp_path / "study.toml").write_text(stages)
    made = read(tmp_path / "study.toml")
    assert [stage.grid["epochs"] for stage in made.stages] == [[99], [3]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "lerning_rate = 0.1",
            "'lerning_rate' in .* is unknown; did you mean 'learning_rate'",
        ),
        ("[[stage]]\nseeds = 3", "'seeds' in stage 1 of .* did you mean 'seed'"),
        ("[record]\nTaskGradient = {}", "did you mean 'TaskGradients'"),
        (
            "[record]\nTaskGradients = { evry = 5 }",
            "'evry' in TaskGradients .* mean 'every'",
        ),
        (
            "[record]\nSharpness = { every = 5 }",
            "on a sample: give examples and batch_size",
        ),
        ("[[stage]]\nmethod = 'unifrom'", "'unifrom' in method .* did you mean 'uniform'"),
        (
            "[[stage]]\nmethod = {name = 'uniform', c = 1}",
            "'c' in method 'uniform' of .* is unknown",
        ),
        ("[[stage]]\nsetting = 'digit'", "did you mean 'digits'"),
        ("[[stage]]\nepochs = 'ten'", "epochs of stage 1 .* is 'ten'; give a whole number"),
        ("[[stage]]\nseed = []", "seed of stage 1 of .* is an empty list"),
        ("[[stage]]\nlearning_rate = {best = 'tuning'}", "'tuning' in best .* is unknown"),
        ("[[stage]]\nname = 'a'\n[[stage]]\nname = 'a'", "two stages 'a'"),
        ("[select]\nsplit = 'test'", "chooses on the test split"),
        ("[[stage]]\noptimizer = 'adan'", "'adan' in optimizer .* did you mean 'adam'"),
        ("[[stage]]\nschedule = 'cosin'", "'cosin' in schedule .* did you mean 'cosine'"),
        (
            "[[stage]]\nschedule = {name = 'step', evry = 2}",
            "'evry' in schedule 'step' of .* did you mean 'every'",
        ),
        ("[[stage]]\nshare = 'half'", "share of stage 1 .* give a number, or a table by task"),
        (
            "[[stage]]\nname = 'a'\n[[stage]]\nfront = 'a'\nseed = [1, 0]",
            "stage 2 of .* has seed 0 of stage 'a', which it is chosen from; give fresh seeds",
        ),
        (
            "[[stage]]\nname = 'a'\n[[stage]]\nbest = 'a'\nseed = 1\nepochs = 3",
            "'epochs' in stage 2 of .*, which trains best again, is unknown",
        ),
        ("[[stage]]\nfront = 'b'\nseed = 1", "'b' in front of stage 1 .* is unknown"),
        ("[[stage]]\nname = 'a'\n[[stage]]\nfront = 'a'", "stage 2 of .* has no seed"),
        ("runs = ", "is no TOML"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(study: Make, text: str, sentence: str) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        study(text)


def test_a_missing_hyper_parameter_and_an_unknown_condition_are_told(
    study: Make, tmp_path: Path
) -> None:
    file = tmp_path / "bare.toml"
    file.write_text("setting = 'digits'\nepochs = 1\n")
    with pytest.raises(TrajlabError, match="has no learning_rate; give it there or above"):
        read(file)
    made = study("condition = '+fashion'\n")
    with pytest.raises(TrajlabError, match=r"digits has no condition '\+fashion'; choose among"):
        runs(made, made.stages[0])


def test_what_a_list_names_twice_is_one_configuration(study: Make) -> None:
    made = study(
        "select.metric = 'accuracy'\n[[stage]]\nname = 'a'\nseed = [0, 0, 1]\n"
        "[[stage]]\nname = 'b'\nseed = [1, 2]\n"
        "[[stage]]\nfront = ['a', 'b']\nseed = [7, 8, 7]\n"
        "[[stage]]\nname = 'best'\nbest = ['a', 'b']\nseed = [7]\n"
    )
    found = [[c["seed"] for c in stage.configurations()] for stage in made.stages]
    assert found == [[0, 1], [1, 2], [7, 8], [7]]


def test_of_stages_tried_a_front_keeps_all_configurations_and_the_best_one_each(
    study: Make,
) -> None:
    rates = "learning_rate = [0.1, 0.2]\ncondition = '+same'\n"
    made = study(
        f"[[stage]]\nname = 'a'\nepochs = 3\n{rates}[[stage]]\nname = 'b'\nepochs = 5\n{rates}"
        "[[stage]]\nfront = ['a', 'b']\nseed = [7, 8]\n"
        "[[stage]]\nname = 'best'\nbest = ['a', 'b']\nseed = [7, 8]\n"
    )
    tried, _, front, best = made.stages
    assert [(c["epochs"], c["learning_rate"], c["seed"]) for c in front.configurations()] == [
        (epochs, rate, seed) for seed in (7, 8) for epochs in (3, 5) for rate in (0.1, 0.2)
    ]
    assert [(c["epochs"], c["seed"]) for c in best.configurations()] == [
        (epochs, seed) for seed in (7, 8) for epochs in (3, 5)
    ]
    tasks = len(tried.configurations()) * 3 * 2  # of two tasks, for three epochs
    assert tried.cost == tasks
    assert front.cost == 2 * 2 * 2 * (3 + 5)


@pytest.mark.parametrize(("folder", "file"), [(".", "study.toml"), ("below", "../study.toml")])
def test_runs_go_by_the_folder_of_the_file_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, file: str
) -> None:
    below = tmp_path / "mine" / "below"
    below.mkdir(parents=True)
    (below.parent / "study.toml").write_text("setting = 'digits'\nepochs = 1\nlearning_rate = 1\n")
    monkeypatch.chdir(below.parent / folder)
    assert read(Path(file)).runs == Path("runs/mine")


def test_what_a_file_leaves_out_has_its_default(tmp_path: Path) -> None:
    file = tmp_path / "mine" / "study.toml"
    file.parent.mkdir()
    file.write_text("setting = 'digits'\nepochs = 1\nlearning_rate = 1\n")
    made = read(file)
    assert (made.runs, made.device, made.root) == (Path("runs/mine"), "cpu", None)
    assert made.selection == Selection(None, "accuracy", "validation")
    (stage,) = made.stages
    assert (stage.name, stage.again, stage.front) == ("1", (), False)
    (plan,) = (run.plan for run in runs(made, stage) or [])
    assert plan == Plan(
        setting=digits,
        condition="",
        method="single",
        seed=0,
        epochs=1,
        batch_size=32,
        learning_rate=1.0,
        momentum=0.0,
        weight_decay=0.0,
        early_evaluations=0,
        precision="float32",
        optimizer="sgd",
        schedule={"name": "constant"},
        epoch_steps=0,
        label_smoothing=0.0,
        width=1.0,
        depth=1,
        dropout=0.0,
        share=1.0,
        overlap=None,
    )
    assert stage.grid["method"] == [{"name": "uniform"}]
    # a number that is written whole is the run that it is with a point
    assert [type(stage.grid[key][0]) for key in ("learning_rate", "share")] == [float, float]


def test_what_is_recorded_and_chosen_stands_above_the_stages_or_in_one(study: Make) -> None:
    made = study(
        "select = { task = 'first', metric = 'loss' }\nrecord = { TaskGradients = { every = 3 } }\n"
        "[[stage]]\nname = 'a'\n[[stage]]\nrecord = { GradientSketch = { every = 5 } }\nseed = 1\n"
        "[[stage]]\nbest = 'a'\nseed = 2\n"
        "[[stage]]\nfront = 'a'\nseed = 3\nrecord = {}\n"
    )
    assert made.selection == Selection("first", "loss", "validation")
    above = {"TaskGradients": {"every": 3}}
    assert [stage.grid["record"] for stage in made.stages] == [
        [above],
        [{"GradientSketch": {"every": 5}}],
        [above],
        [{}],
    ]
    assert [stage.name for stage in made.stages] == ["a", "2", "3", "4"]
    assert [stage.front for stage in made.stages] == [False, False, False, True]


def test_a_best_value_has_its_rule(study: Make) -> None:
    made = study(
        "[[stage]]\nname = 'a'\n[[stage]]\nlearning_rate = [{ best = 'a' }, 0.5, "
        "{ best = 'a', per = ['seed'], where = { epochs = 2 }, times = 3 }]\n"
    )
    assert made.stages[1].grid["learning_rate"] == [
        Best("a", (), {}, 1.0),
        0.5,
        Best("a", ("seed",), {"epochs": 2}, 3.0),
    ]
    assert made.stages[1].sources == {"a"}
    for wrong, sentence in (
        ("per = ['sead']", "'sead' in learning_rate of stage 2 .* did you mean 'seed'"),
        ("where = { epoch = 2 }", "'epoch' in learning_rate of stage 2 .* did you mean 'epochs'"),
        ("time = 2", "'time' in learning_rate of stage 2 .* did you mean 'times'"),
    ):
        with pytest.raises(TrajlabError, match=sentence):
            study(f"[[stage]]\nname = 'a'\n[[stage]]\nlearning_rate = {{ best = 'a', {wrong} }}\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[stage]]\nmomentum = true", "momentum of stage 1 .* is True; give a number"),
        ("[[stage]]\nepochs = 2.5", "epochs of stage 1 .* is 2.5; give a whole number"),
        ("[[stage]]\nepochs = true", "epochs of stage 1 .* is True; give a whole number"),
        ("condition = 3", "condition of stage 1 .* is 3; give a text"),
        ("method = 3", "method of stage 1 .* is 3; give a method's name, or a table with"),
        ("schedule = 3", "schedule of stage 1 .* is 3; give a schedule's name, or a table with"),
        # that of the run holds for its method, too
        (
            "method = { name = 'random', seed = 3 }",
            "'seed' in method 'random' of stage 1 .* is unknown; choose among name, distribution",
        ),
        ("method = { C = 1 }", "'None' in method of stage 1 .* is unknown"),
        ("schedule = { every = 1 }", "'None' in schedule of stage 1 .* is unknown"),
        ("select.metrics = 'loss'", r"'metrics' in \[select\] of .* did you mean 'metric'"),
        ("record = { TaskGradients = { data = 1 } }", "'data' in TaskGradients in .record."),
        ("record = { TaskGradients = { examples = 1 } }", "'examples' in TaskGradients in .recor"),
        (
            "record = { GradientNoise = { examples = 1 } }",
            r"GradientNoise in \[record\] of .* give examples and batch_size",
        ),
        (
            "[[stage]]\nname = 'a'\n[[stage]]\nfront = 'a'\nseed = 4\nrecord = { Fisher = {} }",
            "'Fisher' in .record. of stage 2 .* did you mean 'FisherTrace'",
        ),
        (
            "[[stage]]\nname = 'a'\n[[stage]]\nname = 'b'\nseed = 3\n"
            "[[stage]]\nfront = ['a', 'b']\nseed = [3, 4]",
            "stage 3 of .* has seed 3 of stage 'b', which it is chosen from",
        ),
    ],
)
def test_wrong_values_are_refused_for_what_they_are(study: Make, text: str, sentence: str) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        study(text)
