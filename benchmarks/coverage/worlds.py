"""The studies that are simulated: what would be false to say of each, and what true."""

from collections.abc import Iterator
from functools import partial

from benchmarks.coverage.paths import PATHS, FloatArray, rising, smooth
from benchmarks.coverage.sentences import ANY
from benchmarks.coverage.studies import Method, Study

GAP = 0.8  # points, more than two and a half standard deviations of a run
TERMS = ("present", "the other sign", "reach", "checkpoint")


def crossing(log_loss: FloatArray) -> FloatArray:
    """Be better at high losses and worse at low ones, by a point."""
    return 1.0 + 2 * (log_loss + 1).clip(-1, 0)


def overfitted(log_loss: FloatArray) -> FloatArray:
    """Lose what the loss gains below a hundredth."""
    return -1.5 * (-2.0 - log_loss).clip(0)


def null() -> Iterator[Study]:
    """Yield studies of two methods alike: any finding is false."""
    for tasks in (1, 6, 20):
        for seeds in (3, 5, 10):
            yield Study("alike", seeds=seeds, tasks=tasks, factors=True, false=(ANY,))
    for name, path in PATHS.items():
        for evaluations in (12, 60):
            alike = Method(path, evaluations=evaluations)
            yield Study(f"alike, {name}", (alike, alike), seeds=5, false=(ANY,))
    yield Study("alike, smooth", (Method(evaluations=400),) * 2, seeds=20, false=(ANY,))
    yield Study("alike, overfitted", (Method(gap=overfitted),) * 2, false=(ANY,))
    yield Study("alike, tasks correlated by .95", tasks=6, shared=0.95, false=(ANY,))
    for seeds in (3, 5):
        spreads = Method(), Method(spread=3)
        yield Study("alike, spreads 1 to 3", spreads, seeds=seeds, false=(ANY,))
    yield Study("alike", seeds=2, factors=True, false=(ANY, "no sentence"))
    yield Study("copies of one run", identical=True, factors=True, false=(ANY, "no sentence"))
    yield Study("a run never trains", (Method(), Method(stuck=1)), false=("present", "no sentence"))


def cadences() -> Iterator[Study]:
    """Yield methods alike but for how often they were evaluated: any finding is false."""
    for few, many in ((20, 60), (12, 60), (12, 400)):
        sides = Method(evaluations=few), Method(evaluations=many)
        yield Study(f"alike, {few} against {many} evaluations", sides, seeds=10, false=(ANY,))


def loss_alone() -> Iterator[Study]:
    """Yield metrics that are a function of the loss alone: a gap at equal loss is false."""
    never = ("present", "the other sign")
    again = Method(rising), Method(partial(smooth, floor=-2.5))
    for seeds in (5, 10):
        false = (*never, "longer training")
        yield Study("loss rises again", again, seeds=seeds, false=false)
        worse = {"validation": False, "true": ("got worse",)}
        yield Study("loss rises again, no choice", again, seeds=seeds, false=false, **worse)
    both = Method(partial(rising, rise=1.5)), Method(rising)
    yield Study("both losses rise again", both, false=(*never, "longer training"))
    said, further = (*never, "got worse"), ("reach", "longer training")
    for name, floor in (("half a decade", -1.5), ("two decades", -3.0)):
        apart = Method(partial(smooth, floor=-1.0)), Method(partial(smooth, floor=floor))
        yield Study(f"floors {name} apart", apart, false=said, true=further)
    quiet = Method(partial(smooth, floor=-1.0), noise=0.2), Method(noise=0.2)
    yield Study("floors two decades apart, little noise", quiet, false=said, true=further)
    sampled = [Method(partial(smooth, floor=floor), sampled=0.1) for floor in (-1.0, -3.0)]
    yield Study(
        "losses on samples, floors apart", (sampled[0], sampled[1]), false=said, true=further
    )
    early = Method(), Method(length=0.4)
    yield Study("stopped early", early, false=(*never, "got worse"), true=("longer training",))
    late = Method(), Method(length=0.4, evaluations=24)
    yield Study("stopped early, equal cadence", late, false=never, true=("longer training",))


def gaps() -> Iterator[Study]:
    """Yield methods that differ at equal loss."""
    true = ("improved or lowered", "present")
    for seeds in (3, 5, 10):
        sides = Method(), Method(gap=GAP)
        yield Study("gap of .8", sides, seeds=seeds, false=("reach", "checkpoint"), true=true)
    sides = Method(), Method(gap=GAP)
    for tasks, seeds in ((6, 3), (6, 5), (6, 10), (20, 10)):
        false = ("reach", "checkpoint")
        yield Study("gap of .8", sides, seeds=seeds, tasks=tasks, false=false, true=true)
    half = {"tasks": 6, "differing": 3, "factors": True}
    yield Study("gap of .8 in 3 of 6 tasks, the others", sides, false=(ANY,), **half)
    for name, path in PATHS.items():
        sides = Method(path), Method(path, gap=GAP)
        yield Study(f"gap of .8, {name}", sides, false=("reach", "checkpoint"), true=true)
    stuck = Method(), Method(gap=GAP, stuck=1)
    yield Study("gap of .8, a run never trains", stuck, false=("present, worse",))
    crossed = Method(), Method(gap=crossing)
    yield Study("crossing", crossed, false=("present, better",), true=("present, worse",))
    worse = Method(), Method(gap=overfitted)
    yield Study("overfitted", worse, false=("longer training",), true=("present, worse",))
    further = Method(partial(smooth, floor=-1.0)), Method(gap=-1.0)
    said = ("the other sign", "longer training")
    yield Study("worse at equal loss, but further", further, false=("present",), true=said)
    factor = Method(), Method(gap=GAP, factor=0.15)
    yield Study("gap of .8, factors of 1.4", factor, factors=True, true=("factor", *true))
    plain = Method(), Method(gap=GAP)
    for tasks in (1, 6):
        never = ("factor",)
        yield Study("gap of .8, factors alike", plain, tasks=tasks, factors=True, false=never)
    apart = Method(partial(smooth, floor=-1.5)), Method()
    yield Study("factors of the loss", apart, factors=True, false=("factor",))


def margins() -> Iterator[Study]:
    """Yield differences of the margin, which is not within it, and of 0, which is."""
    for seeds in (5, 10):
        sides = Method(), Method(gap=0.5)
        yield Study("gap of .5 = δ", sides, seeds=seeds, margin=0.5, false=("no transfer",))
        yield Study("alike, δ = .5", seeds=seeds, margin=0.5, true=("no transfer",))


def worlds() -> Iterator[Study]:
    """Yield every study."""
    for part in (null, cadences, loss_alone, gaps, margins):
        yield from part()
