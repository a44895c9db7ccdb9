import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from calibration.scores.learning_curve import Point, learning_curve, trials_to_reach
from configs.schema import FitSettings
from tests.support.calibration_examples import as_examples, layout_of, make_trials

SIZES = (50, 100, 200)


def curve(scores, sizes=SIZES, half=0.02):
    return [Point(n, score, score - half, score + half) for n, score in zip(sizes, scores, strict=True)]


def growing(slope, at_100=0.3, sizes=SIZES):
    """A curve whose probit is a line in the logarithm of the number of trials."""
    return curve([float(ndtr(at_100 + slope * np.log(n / 100))) for n in sizes], sizes)


@given(slope=st.floats(0.05, 0.8), goal=st.floats(0.66, 0.9))
def test_a_curve_of_the_assumed_shape_is_continued_exactly(slope, goal):
    points = growing(slope)
    expected = 100 * np.exp((ndtri(goal) - 0.3) / slope)
    found = trials_to_reach(points, goal)
    if points[-1].score >= goal:
        assert found in SIZES
    elif expected > 20 * SIZES[-1]:
        assert found is None
    else:
        assert found == pytest.approx(expected, abs=1.5)


@given(
    scores=st.lists(st.floats(0.45, 0.95), min_size=0, max_size=6),
    goals=st.tuples(st.floats(0.51, 0.99), st.floats(0.51, 0.99)),
)
def test_what_is_not_reached_takes_more_trials_and_a_higher_goal_no_fewer(scores, goals):
    points = curve(scores, tuple(range(40, 40 + 40 * len(scores), 40)))
    low, high = sorted(goals)
    needed = [trials_to_reach(points, goal) for goal in (low, high)]
    for goal, n in zip((low, high), needed, strict=True):
        if points and points[-1].score >= goal:
            assert n in [point.n for point in points]
        elif n is not None:
            assert n > points[-1].n
    if None not in needed:
        assert needed[0] <= needed[1]


def test_a_lucky_start_does_not_count_as_reached():
    found = trials_to_reach(curve([0.60, 0.72, 0.66]), 0.70)
    assert found is not None
    assert found > 200


@pytest.mark.parametrize(
    "points",
    [[], curve([0.6], (50,)), curve([0.6, 0.6, 0.6]), curve([0.65, 0.62, 0.6]), curve([0.5, 0.505, 0.51])],
    ids=["no point", "one point", "flat", "falling", "at chance"],
)
def test_says_nothing_where_the_curve_does_not_point_there(points):
    assert trials_to_reach(points, 0.7) is None


def test_maps_that_learned_from_more_trials_decode_better():
    trials, targets = make_trials(n_pictures=80, repeats=3)
    settings = FitSettings(alphas=(10.0, 100.0, 1000.0), folds=4)
    points = learning_curve(as_examples(trials, targets), layout_of(trials), settings, targets.gallery)
    assert [point.n for point in points] == [45, 90, 135, 180]
    assert points[-1].score > points[0].score + 0.02
    assert all(point.low <= point.score <= point.high for point in points)
    assert all(a.n < b.n for a, b in itertools.pairwise(points))
