import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from realtime.decoding.alignment import MOST_MIXED, MOST_SCALE, Calibrated, align, mean_covariance, standardising
from realtime.decoding.linear_decoder import WindowWeights

TIMES, CHANNELS, DIMS = 40, 6, 5


def noise(n, mixing, seed=0):
    return np.random.default_rng(seed).standard_normal((n, TIMES, CHANNELS)) @ mixing


def random_map(seed=1):
    rng = np.random.default_rng(seed)
    arrays_ = (rng.standard_normal((TIMES, CHANNELS, DIMS)), rng.standard_normal(DIMS))
    return WindowWeights.of(*(array.astype(np.float32) for array in arrays_))


def calibrated_on(windows, plain):
    level = np.zeros((TIMES, CHANNELS))
    decoded = np.array([plain.apply(window.astype(np.float32)) for window in windows])
    return Calibrated(level, mean_covariance(windows, level), decoded.mean(axis=0), decoded.std(axis=0))


@pytest.fixture(scope="module")
def day():
    mixing = np.eye(CHANNELS) + 0.2 * np.random.default_rng(5).standard_normal((CHANNELS, CHANNELS))
    plain = random_map()
    return mixing, plain, calibrated_on(noise(2000, mixing), plain)


def test_a_session_like_the_calibration_is_left_nearly_alone(day):
    mixing, plain, calibrated = day
    session = noise(50, mixing, 9).astype(np.float32)
    found = align(session, plain, calibrated, eeg=True, embeddings=True)
    assert np.linalg.norm(session @ found.mixing - session) < 0.05 * np.linalg.norm(session)
    np.testing.assert_allclose(found.gain, 1.0, atol=0.3)
    assert (found.eeg, found.scale) == (pytest.approx(1, abs=0.05), pytest.approx(1, abs=0.15))
    assert found.shift < 0.3


def test_another_cap_position_is_undone_without_a_label(day):
    mixing, plain, calibrated = day
    cap = np.eye(CHANNELS) + 0.15 * np.random.default_rng(6).standard_normal((CHANNELS, CHANNELS))
    session = (noise(50, mixing, 9) @ cap).astype(np.float32)
    found = align(session, plain, calibrated, eeg=True, embeddings=True)
    before, after = (
        np.linalg.norm(mean_covariance(windows, calibrated.mean_input) - calibrated.covariance)
        for windows in (session, session @ found.mixing)
    )
    assert after < 0.3 * before
    folded = found.folded(plain)
    decoded = np.array([folded.apply(window) for window in session])
    np.testing.assert_allclose(decoded.mean(axis=0), calibrated.mean, atol=0.02 * calibrated.std.max())
    np.testing.assert_allclose(decoded.std(axis=0), calibrated.std, rtol=0.02)


def test_a_symmetric_change_of_electrodes_is_undone_however_alike_they_are(day):
    """Neighbours share most of their noise: what is white in their coordinates lies far from single electrodes."""
    _, plain, _ = day
    shared = np.eye(CHANNELS) + np.ones((CHANNELS, CHANNELS))
    change = 0.05 * np.random.default_rng(8).standard_normal((CHANNELS, CHANNELS))
    cap = np.eye(CHANNELS) + (change + change.T) / 2
    calibrated = calibrated_on(noise(2000, shared), plain)
    found = align(noise(1000, shared @ cap, 3).astype(np.float32), plain, calibrated, eeg=True, embeddings=False)
    np.testing.assert_allclose(cap @ found.mixing, np.eye(CHANNELS), atol=0.1)


def test_the_folded_map_is_the_steps_one_after_another_and_leaves_further_columns_their_size(day):
    mixing, plain, calibrated = day
    wider = WindowWeights(np.tile(plain.weights, (1, 2)), np.tile(plain.bias, 2))
    session = (noise(20, mixing, 9) * 1.4 + 3).astype(np.float32)
    found = align(session, wider, calibrated, eeg=True, embeddings=True)
    mixed = plain.apply((session[0] @ found.mixing).astype(np.float32))
    got = found.folded(wider).apply(session[0])
    np.testing.assert_allclose(got[:DIMS], found.gain * mixed + found.offset, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(got[DIMS:], mixed, rtol=1e-3, atol=1e-3)


def test_channels_of_an_average_reference_have_one_direction_without_variance_and_that_harms_nothing():
    centring = np.eye(CHANNELS) - 1 / CHANNELS
    plain = random_map()
    calibrated = calibrated_on(noise(500, centring), plain)
    found = align(noise(50, centring, 3).astype(np.float32), plain, calibrated, eeg=True, embeddings=False)
    session = noise(10, centring, 4)
    np.testing.assert_allclose(session @ found.mixing, session, atol=0.3)


@given(arrays(np.float32, (4, TIMES, CHANNELS), elements=st.floats(-1e5, 1e5, width=32)))
def test_whatever_comes_the_changes_are_finite_and_bounded(windows):
    plain = random_map()
    calibrated = calibrated_on(noise(50, np.eye(CHANNELS)), plain)
    found = align(windows, plain, calibrated, eeg=True, embeddings=True)
    assert np.isfinite(found.folded(plain).weights).all()
    # The calibration's covariance is nearly white here, so the mixing's gains are those that were bounded.
    assert np.linalg.norm(found.mixing, 2) < 1.3 * MOST_MIXED
    assert np.all((found.gain >= 1 / MOST_SCALE - 1e-9) & (found.gain <= MOST_SCALE + 1e-9))
    assert found.shift <= 1


def test_a_dimension_without_spread_stays_where_it_is():
    embeddings = np.random.default_rng(0).standard_normal((30, 3)) + np.array([0, 2, 5])
    gain, offset, _ = standardising(embeddings, np.array([0.0, 1.0, 5.0]), np.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(gain[2] * embeddings[:, 2] + offset[2], embeddings[:, 2])
    assert abs((gain * embeddings + offset)[:, 1].mean() - 1) < 0.2
