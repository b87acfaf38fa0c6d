"""Drawn hummingbirds: the same twice, as various as stated, whole in the picture, and iridescent."""

import dataclasses
import time

import numpy as np
import pytest

from metagan.drawings.hummingbirds import FRAME, aim, draw, extremes
from metagan.drawings.hummingbirds.anatomy import make_anatomy
from metagan.drawings.hummingbirds.canvas import Canvas, bounds
from metagan.drawings.hummingbirds.feathers import add_wing, outline, wing_feathers
from metagan.drawings.hummingbirds.plumage import iridescent, paint_body
from metagan.drawings.hummingbirds.recipe import (
    BACKGROUNDS,
    FACING,
    FLOWERS,
    KINDS,
    PLUMAGES,
    POSES,
    WINGS,
    Recipe,
    draw_recipe,
    draw_traits,
)
from metagan.drawings.painting import make_lattice
from metagan.drawings.tracing import Array
from tests.drawings.chances_check import check_shares

SIZE = 96


def _recipes(count: int) -> list[Recipe]:
    return [draw_recipe(np.random.default_rng(seed)) for seed in range(count)]


def _canvas(recipe: Recipe) -> Canvas:
    zoom, centre = aim(np.random.default_rng(0), recipe, make_anatomy(recipe))
    light, depth = np.zeros((3, SIZE, SIZE), np.float32), np.full((SIZE, SIZE), -9, np.float32)
    return Canvas(light, depth, SIZE / 2 / FRAME * zoom, centre)


@pytest.mark.parametrize("resolution", [32, 50, 64])
def test_a_picture_is_square_and_in_bytes(resolution: int) -> None:
    picture, traits = draw(np.random.default_rng(1), resolution)
    assert picture.shape == (resolution, resolution, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 12
    assert list(traits) == ["plumage", "pose", "wings", "flower", "background", "facing"]


def test_the_same_seed_draws_the_same_bird_and_another_seed_another() -> None:
    first, again, other = (draw(np.random.default_rng(seed), 32) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert np.abs(first[0].astype(int) - other[0]).mean() > 5


def test_resolution_changes_neither_traits_nor_scene() -> None:
    for seed in (8, 9, 10):
        small, large = (draw(np.random.default_rng(seed), resolution) for resolution in (32, 128))
        assert small[1] == large[1]
        shrunk = large[0].reshape(32, 4, 32, 4, 3).mean((1, 3))
        assert np.abs(shrunk - small[0]).mean() < 8


def test_every_trait_falls_as_often_as_stated() -> None:
    rng = np.random.default_rng(6)
    drawn = [draw_traits(rng) for _ in range(5000)]
    for name, chances in (
        ("plumage", PLUMAGES),
        ("pose", POSES),
        ("background", BACKGROUNDS),
        ("facing", FACING),
    ):
        check_shares((traits[name] for traits in drawn), chances)
    check_shares((t["wings"] for t in drawn if t["pose"] != "perched"), WINGS)
    check_shares((t["flower"] for t in drawn if t["pose"] == "feeding"), FLOWERS)
    assert {t["wings"] for t in drawn if t["pose"] == "perched"} == {"folded"}
    assert {t["flower"] for t in drawn if t["pose"] != "feeding"} == {"none"}


def test_every_plumage_has_its_colours() -> None:
    assert set(KINDS) == set(PLUMAGES)


def test_bill_tail_and_wing_tips_are_in_the_picture() -> None:
    for recipe in _recipes(200):
        columns, rows = _canvas(recipe).project(extremes(recipe, make_anatomy(recipe)))
        for place in (columns, rows):
            assert place.min() > -0.02 * SIZE
            assert place.max() < 1.02 * SIZE


def test_the_bill_points_where_the_traits_say_and_is_as_long_as_a_hummingbirds() -> None:
    for recipe in _recipes(60):
        bird = make_anatomy(recipe)
        root, _, tip = (bird.turn @ joint for joint in bird.bill)
        assert np.sign(tip[0] - root[0]) == recipe.side
        assert 1.2 < np.linalg.norm(tip - root) / (2 * 0.168) < 2  # against the head's breadth


def test_the_body_fills_a_fair_part_of_the_picture_about_its_middle() -> None:
    for recipe in _recipes(25):
        bird, canvas = make_anatomy(recipe), _canvas(recipe)
        joints = np.stack([bird.head, bird.rump, bird.shoulder, bird.bill[0]], 1)
        canvas.add_solid(
            lambda points, bird=bird: bird.field(bird.turn.T @ points),
            bounds(bird.turn @ joints, 0.36),
            lambda points, normal: np.ones_like(normal),
        )
        mask = canvas.depth > -9
        assert 0.05 < mask.mean() < 0.25
        rows, columns = np.nonzero(mask)
        assert abs(rows.mean() - SIZE / 2) < SIZE * 0.2
        assert abs(columns.mean() - SIZE / 2) < SIZE * 0.2


def test_iridescent_colour_is_bright_straight_on_and_turns_its_hue_and_darkens_at_a_slant() -> None:
    recipe = _recipes(1)[0]
    halfway = recipe.light + np.array([0, 0, 1], np.float32)
    halfway /= np.linalg.norm(halfway)
    aside = np.cross(halfway, [0, 1, 0])
    aside /= np.linalg.norm(aside)
    angles = np.radians([0, 35, 75])
    slanted = np.stack([halfway * np.cos(a) + aside * np.sin(a) for a in angles], 1).astype(np.float32)
    _, glow = iridescent(KINDS["ruby throat"].throat, recipe, slanted, 0.62)
    brightness = glow.sum(0)
    assert brightness[0] > 1.5 * brightness[1] > 3 * brightness[2]
    greenness = glow[1] / glow[0]
    assert greenness[2] > greenness[0] + 0.1


def test_a_throat_changes_colour_when_the_light_moves_but_a_white_belly_only_dims() -> None:
    recipe = next(r for r in _recipes(200) if r.traits["plumage"] == "ruby throat" and not r.perched)
    bird, lattice = make_anatomy(recipe), make_lattice(np.random.default_rng(0))
    chin = bird.head + bird.forward * np.float32(0.03) - bird.crownward * np.float32(0.14)
    belly = -bird.dorsal * np.float32(0.2) - bird.along * np.float32(0.1)
    spread = np.random.default_rng(1).normal(0, 0.012, (3, 200)).astype(np.float32)

    def saturation(place: Array, z: float) -> float:
        light = np.array([0.2, 0.1, z], np.float32) / np.float32(np.linalg.norm([0.2, 0.1, z]))
        normal = np.zeros((3, 200), np.float32)
        normal[2] = 1
        lit = dataclasses.replace(recipe, light=light)
        colour = paint_body(lit, bird, lattice, bird.turn @ (place[:, None] + spread), normal).mean(1)
        return float(colour[0] - colour[1:].max())

    facing, behind = saturation(chin, 1.0), saturation(chin, -1.0)
    assert facing > 0.3
    assert facing > 3 * behind
    assert saturation(belly, 1.0) < 0.25


def test_a_longer_sweep_blurs_the_wing() -> None:
    recipe = next(r for r in _recipes(50) if r.traits["wings"] == "raised")

    def sharpness(sweep: float) -> float:
        moved = dataclasses.replace(recipe, sweep=sweep)
        canvas, bird = _canvas(moved), make_anatomy(moved)
        canvas.light[:] = 1
        add_wing(canvas, moved, bird, wing_feathers(np.random.default_rng(0), moved), bird.near)
        assert canvas.light.min() < 0.9
        return float(np.abs(np.diff(canvas.light[1], axis=0)).max())

    assert sharpness(0.0) > 1.3 * sharpness(0.5)


def test_a_feathers_outline_is_as_long_as_the_feather_and_narrow() -> None:
    feather = wing_feathers(np.random.default_rng(0), _recipes(1)[0])[10]
    away = outline(feather) - np.array(feather.base, np.float32)[:, None]
    along = away[0] * np.cos(feather.angle) + away[1] * np.sin(feather.angle)
    across = away[1] * np.cos(feather.angle) - away[0] * np.sin(feather.angle)
    assert abs(along.max() - feather.length) < 1e-5
    assert across.max() - across.min() < feather.length / 3


def test_a_picture_takes_well_under_seconds() -> None:
    draw(np.random.default_rng(0), 128)
    start = time.process_time()
    for seed in range(3):
        draw(np.random.default_rng(seed), 128)
    assert (time.process_time() - start) / 3 < 1.0
