"""What a plan asks of its setting, and what is left of the problem that it is given."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from trajlab.training.models import Shape
from trajlab.training.plan import Plan
from trajlab.training.settings import setting


def test_a_problem_has_the_plan_s_seed_shape_share_and_overlap(data: Path) -> None:
    whole = setting("yeast").build("class1+class2", 3)
    asked: list[tuple[Any, ...]] = []
    asking: Any = SimpleNamespace(problem=lambda *what: asked.append(what) or whole)
    plan = Plan(
        *(asking, "class1+class2", "scalarization", 3, 1, 16, 0.1, 0.9),
        **{"width": 2.0, "depth": 3, "dropout": 0.25, "share": 0.5, "overlap": 0.0},
    )
    found = plan.problem(data)
    assert asked == [("class1+class2", 3, data, Shape(width=2.0, depth=3, dropout=0.25))]
    number = len(whole.tasks["class1"].splits["train"][1])
    for task in found.tasks.values():  # half of the half that is kept
        assert len(task.splits["train"][1]) == round(0.5 * number) // 2
    assert not found.shared_inputs
