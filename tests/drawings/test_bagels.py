"""Drawn bagels: the same twice, as various as stated, and round with a hole."""

import dataclasses
import itertools
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from metagan.drawings.bagels import draw
from metagan.drawings.bagels.fillings import draw_layers
from metagan.drawings.bagels.grains import SESAME, ring_starts, strew
from metagan.drawings.bagels.picture import add_grains, look
from metagan.drawings.bagels.recipe import (
    CRUSTS,
    GARNISHES,
    SANDWICHES,
    SERVINGS,
    SPREADS,
    STANDS,
    TABLES,
    TOPPINGS,
    Recipe,
    draw_recipe,
    draw_traits,
)
from metagan.drawings.bagels.shape import Shape, make_shape
from metagan.drawings.tracing import Array, trace
from tests.drawings.chances_check import check_shares

SIZE = 96


def _traits(count: int) -> list[dict[str, str]]:
    rng = np.random.default_rng(5)
    return [draw_traits(rng) for _ in range(count)]


def _find(wanted: dict[str, str], count: int) -> list[tuple[int, Recipe]]:
    """Seeds and recipes whose traits are as wanted."""
    found = []
    for seed in range(3000):
        recipe = draw_recipe(np.random.default_rng(seed))
        if wanted.items() <= recipe.traits.items():
            found.append((seed, recipe))
        if len(found) == count:
            break
    return found


def _bare(recipe: Recipe) -> Shape:
    """The bagel alone, on the table."""
    return make_shape(recipe, {}, 0.0, draw_layers(np.random.default_rng(0), recipe))


def _outline(recipe: Recipe) -> NDArray[np.bool_]:
    """Where the bagel is in its picture, [SIZE, SIZE]."""
    shape = _bare(recipe)
    surfaces = look(SIZE, recipe.elevation, recipe.zoom, recipe.shift, (shape.top - 0.12) / 2 - 0.05)
    near = np.asarray((np.float32(shape.top) - surfaces.origin[2]) / surfaces.rays[2], np.float32)
    depth = trace(shape.nearest, surfaces.origin, surfaces.rays, near, surfaces.depth)
    return np.isfinite(depth).reshape(SIZE, SIZE)


def _outside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What can be reached from the picture's edge without crossing the mask."""
    reached = np.zeros_like(mask)
    reached[[0, -1]] = ~mask[[0, -1]]
    reached[:, [0, -1]] = ~mask[:, [0, -1]]
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= ~mask
        if (grown == reached).all():
            return reached
        reached = grown


@pytest.mark.parametrize("resolution", [32, 50, 64])
def test_a_picture_is_square_and_in_bytes(resolution: int) -> None:
    picture, traits = draw(np.random.default_rng(1), resolution)
    assert picture.shape == (resolution, resolution, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 15
    assert list(traits) == ["serving", "crust", "topping", "filling", "stand", "table"]


def test_the_same_seed_draws_the_same_bagel_and_another_seed_another() -> None:
    first, again, other = (draw(np.random.default_rng(seed), 32) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert np.abs(first[0].astype(int) - other[0]).mean() > 5


def test_resolution_changes_neither_traits_nor_scene() -> None:
    small, large = (draw(np.random.default_rng(8), resolution) for resolution in (32, 128))
    assert small[1] == large[1]
    shrunk = large[0].reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(shrunk - small[0]).mean() < 8


def test_every_trait_falls_as_often_as_stated() -> None:
    drawn = _traits(5000)
    for name, chances in (("serving", SERVINGS), ("crust", CRUSTS), ("stand", STANDS), ("table", TABLES)):
        check_shares((traits[name] for traits in drawn), chances)
    crusted = [traits for traits in drawn if traits["serving"] != "open half"]
    check_shares((traits["topping"] for traits in crusted), TOPPINGS)
    open_ = [traits for traits in drawn if traits["serving"] == "open half"]
    check_shares((traits["filling"] for traits in open_), SPREADS)
    sliced = [t for t in drawn if t["serving"] == "sandwich" and t["topping"] != "cinnamon raisin"]
    check_shares((traits["filling"] for traits in sliced), SANDWICHES)


def test_traits_that_go_together_agree() -> None:
    for traits in _traits(2000):
        assert (traits["filling"] == "none") == (traits["serving"] == "whole")
        if traits["serving"] == "open half":
            assert traits["topping"] == GARNISHES[traits["filling"]]
        elif traits["topping"] == "cinnamon raisin":
            assert traits["filling"] in {"none", "cream cheese"}


def test_a_bagel_is_in_the_middle_and_not_cut_off() -> None:
    for seed in range(25):
        mask = _outline(draw_recipe(np.random.default_rng(seed)))
        assert 0.2 < mask.mean() < 0.55
        assert not mask[[0, -1]].any()
        assert not mask[:, [0, -1]].any()
        rows, columns = np.nonzero(mask)
        assert abs(rows.mean() - SIZE / 2) < SIZE * 0.09
        assert abs(columns.mean() - SIZE / 2) < SIZE * 0.09


def test_a_whole_bagel_seen_from_above_has_a_hole_with_the_table_in_it() -> None:
    seen = [recipe for _, recipe in _find({"serving": "whole"}, 40) if recipe.elevation > np.radians(58)]
    assert len(seen) > 8
    for recipe in seen:
        mask = _outline(recipe)
        hole = ~mask & ~_outside(mask)
        assert 0.006 < hole.sum() / mask.sum() < 0.15
        rows, columns = np.nonzero(hole)
        assert np.hypot(rows.mean() - SIZE / 2, columns.mean() - SIZE / 2) < SIZE * 0.12


def test_darker_crusts_are_darker_in_the_picture() -> None:
    means = []
    for crust in CRUSTS:
        pictures = [
            draw(np.random.default_rng(seed), 32)[0][_outline_at_32(recipe)].mean()
            for seed, recipe in _find({"serving": "whole", "topping": "plain", "crust": crust}, 4)
        ]
        means.append(np.mean(pictures))
    assert all(before > after + 8 for before, after in itertools.pairwise(means))


def _outline_at_32(recipe: Recipe) -> NDArray[np.bool_]:
    return _outline(recipe).reshape(32, 3, 32, 3).all((1, 3))


def test_fillings_lift_the_upper_half_and_reach_its_edge() -> None:
    for filling in SANDWICHES:
        _, recipe = _find({"serving": "sandwich", "filling": filling}, 1)[0]
        shape = _bare(recipe)
        whole = make_shape(_as_whole(recipe), {}, 0.0, ())
        assert shape.top > whole.top + 0.1
        edge = recipe.ring + recipe.tube - 0.06
        angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        heights = np.linspace(shape.cut - 0.05, shape.cut + 0.3, 30)
        between = np.stack(
            [*(np.outer(heights, f(angle)).ravel() * 0 for f in (np.cos, np.sin)), np.zeros(2700)]
        )
        between[0], between[1] = (np.tile(edge * f(angle), 30) for f in (np.cos, np.sin))
        between[2] = np.repeat(heights, 90)
        names = list(shape.parts)
        nearest = {names[part].rsplit(" ", 1)[0] for part in shape.materials(between.astype(np.float32))}
        assert len(nearest - {"crust", "lid"}) >= 1


def _as_whole(recipe: Recipe) -> Recipe:
    return dataclasses.replace(recipe, traits=recipe.traits | {"serving": "whole", "filling": "none"})


def test_seeds_lie_on_the_crust() -> None:
    _, recipe = _find({"serving": "whole"}, 1)[0]
    shape = _bare(recipe)
    rng = np.random.default_rng(0)
    starts = ring_starts(rng, recipe.ring, recipe.tube, shape.middle, 0.62)
    grains = strew(rng, SESAME, 1.0, starts, shape.bread)
    assert grains.centres.shape[1] > 150
    assert np.abs(shape.bread(grains.centres)).max() < 0.03
    np.testing.assert_allclose(
        np.einsum("nij,nkj->nik", grains.axes, grains.axes)[:5], [np.eye(3)] * 5, atol=1e-4
    )


def test_a_grain_is_drawn_where_it_is_and_nearer_ones_hide_farther() -> None:
    surfaces = look(64, np.radians(89.9), 1.0, (0.0, 0.0), 0.0)
    before = surfaces.depth.copy()
    rng = np.random.default_rng(0)
    one = strew(rng, dataclasses.replace(SESAME, count=1, size=(0.3, 0.3, 0.3)), 1.0, _spot(0.5, 0.0), _table)
    add_grains(surfaces, one, np.array([0, 0, 1], np.float32))
    drawn = np.flatnonzero(surfaces.depth < before - 0.01)
    column, row = drawn % 64, drawn // 64
    assert abs(column.mean() - (31.5 + 0.5 / 1.45 * 32)) < 1.5
    assert abs(row.mean() - 31.5) < 1.5
    assert (surfaces.normal[2, drawn] > -0.05).all()


def _spot(x: float, y: float) -> Array:
    return np.array([[x], [y], [0.0]], np.float32)


def _table(points: Array) -> Array:
    return points[2]


def test_a_picture_takes_well_under_seconds() -> None:
    draw(np.random.default_rng(0), 128)
    start = time.process_time()
    for seed in range(3):
        draw(np.random.default_rng(seed), 128)
    assert (time.process_time() - start) / 3 < 1.5
