import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calibration.maps.cluster_test import PartialRegression, cluster_test

NEIGHBOURS = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) <= 1
ONE_BLOCK = np.zeros(80, np.int64)


def noise(seed, n=80, times=10, channels=4):
    return np.random.default_rng(seed).standard_normal((n, times, channels))


def no_others(n=80):
    return np.zeros((n, 0))


def test_t_and_slope_are_those_of_ordinary_regression():
    samples, x = noise(0), np.random.default_rng(1).standard_normal((80, 1))
    regression = PartialRegression(samples, x, no_others(), ONE_BLOCK)
    expected = stats.linregress(x[:, 0], samples[:, 3, 2])
    assert regression.name == "t(78)"
    assert regression.slopes()[0, 3, 2] == pytest.approx(expected.slope, rel=1e-4)
    assert regression.statistic()[3, 2] == pytest.approx(expected.slope / expected.stderr, rel=1e-4)


def test_f_is_that_of_an_analysis_of_variance():
    samples, group = noise(2), np.arange(80) % 3
    design = (group[:, None] == np.arange(3)).astype(float)
    regression = PartialRegression(samples, design, no_others(), ONE_BLOCK)
    expected = stats.f_oneway(*(samples[group == k, 5, 1] for k in range(3))).statistic
    assert regression.name == "F(2, 77)"
    assert regression.statistic()[5, 1] == pytest.approx(expected, rel=1e-4)


def test_what_another_attribute_explains_is_not_counted_again():
    rng = np.random.default_rng(3)
    own = rng.standard_normal((80, 1))
    other = own + 0.5 * rng.standard_normal((80, 1))
    samples = noise(4) + 3 * other[:, :, None]
    alone = PartialRegression(samples, own, no_others(), ONE_BLOCK)
    partial = PartialRegression(samples, own, other, ONE_BLOCK)
    assert np.abs(alone.statistic()).min() > 5
    assert np.abs(partial.statistic()).mean() < 1.5
    np.testing.assert_allclose(partial.slopes(), 0, atol=0.8)


@given(st.integers(0, 200), st.floats(-50, 50))
def test_nothing_changes_with_the_others_added_to_the_samples(seed, much):
    rng = np.random.default_rng(seed)
    own, other = rng.standard_normal((80, 1)), rng.standard_normal((80, 2))
    plain = PartialRegression(noise(seed), own, other, ONE_BLOCK)
    moved = PartialRegression(noise(seed) + much * other[:, [0], None], own, other, ONE_BLOCK)
    np.testing.assert_allclose(moved.statistic(), plain.statistic(), atol=2e-3)
    np.testing.assert_allclose(moved.slopes(), plain.slopes(), atol=1e-3)


def test_nothing_left_of_an_attribute_is_said():
    own = np.random.default_rng(5).standard_normal((80, 1))
    with pytest.raises(ValueError, match="80 units leave nothing of the attribute"):
        PartialRegression(noise(5), own, 2 * own, ONE_BLOCK)


@pytest.mark.parametrize("columns", [1, 2])
def test_an_effect_is_found_where_it_is_and_nowhere_else(columns):
    rng = np.random.default_rng(6)
    design = rng.standard_normal((80, columns))
    samples = noise(7)
    samples[:, 4:7, 1:3] += 1.5 * design[:, :1, None]
    found = cluster_test(PartialRegression(samples, design, no_others(), ONE_BLOCK), NEIGHBOURS, 200)
    assert found.p == pytest.approx(1 / 200)
    assert found.significant[4:7, 1:3].all()
    assert found.significant.sum() <= 10


def test_the_same_seed_gives_the_same_p_and_progress_is_told():
    design, told = np.random.default_rng(8).standard_normal((80, 1)), []
    samples = noise(9)
    samples[:, 2:4] += 0.4 * design[:, :, None]

    def once(seed, progress=None):
        return cluster_test(PartialRegression(samples, design, no_others(), ONE_BLOCK), NEIGHBOURS, 100, seed, progress)

    first, again = once(1, lambda *done: told.append(done)), once(1)
    assert first.p == again.p
    np.testing.assert_array_equal(first.significant, again.significant)
    assert told
    assert all(0 <= done <= of == told[0][1] for done, of in told)


def test_units_change_places_within_their_block_alone():
    """Two recordings with different means and different shares of a class: only the recording differs."""
    rng = np.random.default_rng(10)
    blocks = np.repeat([0, 1], 40)
    design = (rng.random(80) < np.where(blocks, 0.8, 0.2))[:, None].astype(float)
    samples = noise(11) + 5.0 * blocks[:, None, None]
    assert cluster_test(PartialRegression(samples, design, no_others(), ONE_BLOCK), NEIGHBOURS, 100).p <= 0.01
    assert cluster_test(PartialRegression(samples, design, no_others(), blocks), NEIGHBOURS, 100).p > 0.05


@pytest.mark.parametrize("correlated", [False, True])
def test_false_findings_come_at_the_nominal_rate(correlated):
    """Of 150 data sets without an effect, 3 to 14 are below 0.05: 95 % of binomial counts about 7.5, and a little."""
    small = 0
    for seed in range(150):
        rng = np.random.default_rng([seed, 99])
        other = rng.standard_normal((40, 1))
        own = rng.standard_normal((40, 1)) + (0.7 * other if correlated else 0)
        samples = rng.standard_normal((40, 8, 4)) + 2 * other[:, :, None] * correlated
        regression = PartialRegression(samples, own, other, np.zeros(40, np.int64))
        small += cluster_test(regression, NEIGHBOURS, 60, seed).p <= 0.05
    assert 2 <= small <= 15


def test_what_blocks_that_share_one_order_have_in_common_is_no_finding_where_they_are_moved_alike():
    """A slow answer to the place in the session, alike in three runs of one order: shuffled within runs it is found."""
    rng = np.random.default_rng(1)
    order = np.repeat(rng.permutation(np.arange(20) % 2), 2)  # two of a kind in a row
    drift = np.convolve(rng.normal(0, 1, 46), np.ones(7) / 7, "valid")
    drift += 0.6 * (order - 0.5)  # what else goes along with the place in the order
    found = {}
    for shift in (False, True):
        blocks = np.repeat(np.arange(3), 40)
        samples = rng.normal(0, 1, (120, 4, len(NEIGHBOURS))) + np.tile(drift, 3)[:, None, None]
        design = np.tile(order - order.mean(), 3)[:, None]
        regression = PartialRegression(samples, design, np.zeros((120, 0)), blocks)
        found[shift] = cluster_test(regression, NEIGHBOURS, 1000, shift=shift)
    assert (found[False].permutations, found[True].permutations) == (1000, 40)
    assert found[False].p < 0.01
    assert found[True].p >= 1 / 40
