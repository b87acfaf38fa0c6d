"""Charts' arithmetic."""

import math

from metagan.training.report import MOST_POINTS, Line, lay_out, round_steps, thin


def test_axes_have_round_marks_around_all_values():
    assert round_steps(0, 10) == [0, 2.5, 5, 7.5, 10]
    assert round_steps(-0.7, 1.3) == [-1, -0.5, 0, 0.5, 1, 1.5]
    steps = round_steps(3.0, 3.0)
    assert steps[0] < 3 < steps[-1]


def test_long_curves_are_thinned_to_means():
    points = [(float(x), float(x % 2)) for x in range(10 * MOST_POINTS)]
    thinned = thin(points)
    assert len(thinned) == MOST_POINTS
    assert all(y == 0.5 for _, y in thinned)


def test_what_is_no_number_is_left_out():
    assert thin([(0, math.nan), (1, 2), (2, math.inf)]) == [(1, 2)]


def test_curves_lie_within_their_drawing():
    chart = lay_out("t", [Line("a", [(0, -3), (5, 80)]), Line("none", [])])
    assert [name for name, _ in chart.curves] == ["a"]
    (x0, y0), (x1, y1) = (tuple(map(float, p.split(","))) for p in chart.curves[0][1].split())
    assert 0 < x0 < x1 < 640
    assert 0 < y1 < y0 < 220


def test_there_is_no_chart_of_nothing():
    assert lay_out("t", [Line("a", [])]) is None
    assert lay_out("t", [Line("a", [(0, math.nan), (1, math.inf)])]) is None
