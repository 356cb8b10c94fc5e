"""Sketches: linear, unbiased, and as precise as they say."""

import pytest
import torch

from trajlab.measure.sums.sketch import Sketch

_SHAPES = {"a": torch.empty(37, 100), "b": torch.empty(50), "c": torch.empty(())}


def vector(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s.shape, generator=generator) for n, s in _SHAPES.items()}


def test_sketch_is_linear_and_repeatable() -> None:
    sketch, again = Sketch(_SHAPES, size=64, seed=0), Sketch(_SHAPES, size=64, seed=0)
    x, y = vector(1), vector(2)
    both = {n: 2 * x[n] - y[n] for n in x}
    assert torch.allclose(sketch(both), 2 * again(x) - again(y), atol=1e-4)
    assert not torch.allclose(sketch(x), Sketch(_SHAPES, size=64, seed=1)(x))
    assert torch.equal(sketch({"b": None}), torch.zeros(64))


def test_signs_are_those_of_the_name_in_whatever_order_parameters_came() -> None:
    x = vector(1)
    turned = Sketch(dict(reversed(_SHAPES.items())), size=64, seed=0)
    assert torch.allclose(turned(x), Sketch(_SHAPES, size=64, seed=0)(x), atol=1e-4)
    other = Sketch({"d": _SHAPES["a"]}, size=64, seed=0)({"d": x["a"]})
    assert not torch.allclose(other, turned({"a": x["a"]}))


def test_each_coordinate_lands_once_with_a_sign() -> None:
    sketch = Sketch({"a": torch.empty(10)}, size=4, seed=0)
    for position in range(10):
        unit = torch.zeros(10)
        unit[position] = 3.0
        found = sketch({"a": unit})
        assert sorted(found.abs().tolist()) == [0, 0, 0, 3]


@pytest.mark.parametrize("structured", [False, True])
def test_cosines_are_unbiased_with_the_stated_error(structured: bool) -> None:
    size = 128
    x, noise = vector(1), vector(2)
    if structured:  # the same few columns are large in every row, as in a weight gradient
        for v in (x, noise):
            v["a"] = v["a"] * torch.cat([torch.full((5,), 20.0), torch.ones(95)])
    y = {n: 0.6 * x[n] + 0.8 * noise[n] for n in x}
    flat = [torch.cat([t.flatten() for t in v.values()]) for v in (x, y)]
    truth = torch.cosine_similarity(*flat, dim=0)
    errors = []
    for seed in range(200):
        sketch = Sketch(_SHAPES, size=size, seed=seed)
        errors.append(torch.cosine_similarity(sketch(x), sketch(y), dim=0) - truth)
    errors = torch.stack(errors)
    stated = (1 - truth**2) / size**0.5
    assert abs(errors.mean()) < 4 * stated / 200**0.5
    assert 0.8 < errors.square().mean().sqrt() / stated < 1.25


def test_norms_are_as_precise_as_a_sketch_says() -> None:
    size = 128
    x = vector(1)
    truth = torch.cat([t.flatten() for t in x.values()]).norm()
    norms = torch.stack([Sketch(_SHAPES, size=size, seed=seed)(x).norm() for seed in range(200)])
    stated = truth / (2 * size) ** 0.5
    assert 0.8 < (norms - truth).square().mean().sqrt() / stated < 1.25


def test_vectors_of_one_sign_are_unbiased_too() -> None:
    """Without random signs, what falls into one bucket would add up."""
    x, y = ({"a": v["a"].abs(), "b": v["b"].abs()} for v in (vector(1), vector(2)))
    truth = sum((x[n] * y[n]).sum() for n in x)
    sketches = (Sketch(x, size=64, seed=seed) for seed in range(300))
    products = torch.stack([sketch(x) @ sketch(y) for sketch in sketches])
    assert abs(products.mean() - truth) < 4 * products.std() / 300**0.5


def test_a_sketch_stays_what_it_was() -> None:
    """Those of earlier versions, which lie in files, are compared with today's."""
    sketch = Sketch({"a": torch.empty(2, 3), "b": torch.empty(3)}, size=4, seed=7)
    found = sketch({"a": torch.arange(1.0, 7.0).reshape(2, 3), "b": torch.tensor([10.0, 20, 30])})
    assert found.tolist() == [3, 19, -25, 28]
