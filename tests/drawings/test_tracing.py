"""Sphere tracing against a sphere, whose answers are known."""

import numpy as np

from metagan.drawings.tracing import Array, ambient_occlusion, normals, smooth_min, soft_shadow, trace


def _ball(points: Array) -> Array:
    return np.asarray(np.sqrt((points * points).sum(0)) - 0.5, np.float32)


def _down(count: int) -> Array:
    rays = np.zeros((3, count), np.float32)
    rays[2] = -1
    return rays


def test_rays_stop_at_a_sphere_as_far_as_geometry_says_and_go_past_it_outside() -> None:
    x = np.array([0.0, 0.3, 0.45, 0.6], np.float32)
    start = np.stack([x, np.zeros(4, np.float32), np.full(4, 2, np.float32)])
    depth = trace(_ball, start, _down(4), np.zeros(4, np.float32), np.full(4, 4, np.float32))
    np.testing.assert_allclose(depth[:3], 2 - np.sqrt(0.25 - x[:3] ** 2), atol=0.02)
    assert np.isinf(depth[3])


def test_rays_that_begin_beyond_their_end_meet_nothing() -> None:
    start = np.array([[0.0], [0.0], [2.0]], np.float32)
    depth = trace(_ball, start, _down(1), np.ones(1, np.float32), np.zeros(1, np.float32))
    assert np.isinf(depth).all()


def test_a_spheres_normals_point_away_from_its_middle() -> None:
    points = np.array([[0.5, 0, 0.3], [0, 0.5, 0.4], [0, 0, 0]], np.float32)
    np.testing.assert_allclose(normals(_ball, points), points / 0.5, atol=0.01)


def test_a_spheres_shadow_is_dark_under_it_soft_at_its_edge_and_gone_beyond() -> None:
    x = np.array([0.0, 0.55, 2.0], np.float32)
    floor = np.stack([x, np.zeros(3, np.float32), np.full(3, -1, np.float32)])
    light = np.array([0, 0, 1], np.float32)
    under, edge, beyond = soft_shadow(_ball, floor, light, 0.2, 0.5, steps=30)
    assert under == 0
    assert 0.05 < edge < 0.95
    assert beyond == 1


def test_a_crevice_is_darker_than_the_open() -> None:
    points = np.array([[0, 3.0], [0, 0], [-0.52, -0.52]], np.float32)
    up = np.array([[0, 0], [0, 0], [1, 1]], np.float32)
    under, away = ambient_occlusion(_ball, points, up)
    assert under < 0.3
    assert away == 1


def test_a_smooth_union_is_the_nearer_field_away_from_the_join_and_nearer_than_both_at_it() -> None:
    a, b = np.array([0.1, 1.0], np.float32), np.array([0.1, 0.2], np.float32)
    joined = smooth_min(a, b, 0.2)
    assert joined[0] < 0.1
    assert joined[1] == np.float32(0.2)
