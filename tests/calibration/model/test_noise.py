import numpy as np
import pytest

from calibration.model.noise import (
    Candidate,
    expected,
    mix,
    steps,
    time_covariance,
    use_of,
    whitening_in_space_and_time,
)
from calibration.model.whitening import class_means

RATE_HZ = 250.0
TIMES_S = np.arange(50) / RATE_HZ


def coloured(n=4000, channels=5, seed=0):
    """Noise whose covariance is a known Kronecker product, with the same response in all trials."""
    rng = np.random.default_rng(seed)
    lag = np.abs(np.subtract.outer(np.arange(50), np.arange(50)))
    over_time, mixing = 0.9**lag, rng.standard_normal((channels, channels))
    white = rng.standard_normal((n, 50, channels))
    noise = np.linalg.cholesky(over_time) @ white @ mixing
    return (noise + 20 * np.sin(np.arange(50))[:, None]).astype(np.float32)


def test_steps_are_means_and_every_sample_counts_once():
    mean, middles = steps(TIMES_S, 0.016)
    np.testing.assert_allclose(mean.sum(axis=0), 1)
    assert np.all(np.count_nonzero(mean, axis=1) == 1)
    assert np.count_nonzero(mean[:, 0]) == 4
    np.testing.assert_allclose(middles, [np.mean(TIMES_S[column > 0]) for column in mean.T])


def test_noise_comes_out_white_in_space_and_time():
    samples = coloured()
    over_time, channels = whitening_in_space_and_time(samples, TIMES_S, Candidate(step_s=0.016))
    features = (mix(samples, over_time) @ channels).reshape(len(samples), -1)
    covariance = np.cov(features.T)
    assert np.mean((features - features.mean(axis=0)) ** 2) == pytest.approx(1, abs=0.02)
    shared = np.abs(np.corrcoef(features.T) - np.eye(len(covariance))).mean()
    mean, _ = steps(TIMES_S, 0.016)
    before = np.corrcoef(mix(samples, mean).reshape(len(samples), -1).T)
    # Shrunk covariances whiten nearly, not wholly.
    assert shared < 0.25 * np.abs(before - np.eye(len(before))).mean()


def test_what_all_trials_share_is_no_noise():
    samples = coloured()
    np.testing.assert_allclose(
        time_covariance(samples), time_covariance(samples + 100 * np.cos(TIMES_S)[:, None]), rtol=1e-3, atol=0.05
    )


def test_what_classes_differ_by_is_no_noise_over_time():
    samples, classes = coloured(), np.arange(4000) % 2
    apart = samples + classes[:, None, None] * (100 * np.cos(TIMES_S)[:, None]).astype(np.float32)
    found = time_covariance(apart, class_means(apart, classes))
    np.testing.assert_allclose(found, time_covariance(samples, class_means(samples, classes)), rtol=1e-3, atol=0.05)
    assert np.abs(time_covariance(apart) - found).max() > 100


def test_a_smooth_prior_prefers_smooth_answers():
    samples = np.random.default_rng(0).standard_normal((2000, 50, 2)).astype(np.float32)
    gain = {}
    for smooth_s in (0.0, 0.02):
        over_time, _ = whitening_in_space_and_time(samples, TIMES_S, Candidate(step_s=0.004, smooth_s=(smooth_s,)))
        slow, fast = np.sin(2 * np.pi * 3 * TIMES_S), np.sin(2 * np.pi * 60 * TIMES_S)
        gain[smooth_s] = np.linalg.norm(slow @ over_time) / np.linalg.norm(fast @ over_time)
    assert gain[0.0] == pytest.approx(1, abs=0.2)
    assert gain[0.02] > 10


def test_what_is_expected_is_the_sum_over_time_scales_and_windows():
    noise = 3 * np.exp(-np.abs(np.subtract.outer(TIMES_S, TIMES_S)) / 0.05)
    start_s, stop_s = window = (0.05, 0.1)

    def prior(*windows, smooth_s=(0.02, 0.0)):
        return expected(TIMES_S, noise, Candidate(0.004, smooth_s, windows))

    np.testing.assert_allclose(prior(None, smooth_s=(0.0,)), noise / 3)
    np.testing.assert_allclose(prior(None), prior(None, smooth_s=(0.02,)) + noise / 3)
    np.testing.assert_allclose(prior(None, window), prior(None) + prior(window))
    inside = (start_s <= TIMES_S) & (stop_s > TIMES_S)
    assert not prior(window)[~inside].any()
    np.testing.assert_allclose(prior(window)[np.ix_(inside, inside)], prior(None)[np.ix_(inside, inside)])


def test_where_no_answer_is_expected_there_are_no_features():
    samples = coloured(400)
    over_time, _ = whitening_in_space_and_time(samples, TIMES_S, Candidate(0.016, (0.02,), ((0.05, 0.1),)))
    everywhere, _ = whitening_in_space_and_time(samples, TIMES_S, Candidate(0.016, (0.02,)))
    assert over_time.shape[1] <= 4 < everywhere.shape[1] <= 13


def test_what_channels_are_to_a_map_tells_what_its_predictions_lose_without_one():
    """Fading weights: nearly all of what is predicted comes from the second channel."""
    rng = np.random.default_rng(2)
    samples = coloured(channels=3)
    weights = rng.standard_normal((50, 3, 4)).astype(np.float32) * np.array([0.01, 1.0, 0.2], np.float32)[:, None]
    covariance = np.cov((samples - samples.mean(axis=0)).reshape(-1, 3).T)

    def variance(place=None):
        given = samples - samples.mean(axis=0)
        if place is not None:
            given = given.copy()
            given[:, :, place] = 0.0
        return np.var(np.einsum("ntc,tcd->nd", given, weights), axis=0).sum()

    use = use_of(weights, samples)
    whole = np.sum(use * covariance)
    for place in range(3):
        kept = np.delete(np.arange(3), place)
        share = np.sum((use * covariance)[np.ix_(kept, kept)]) / whole
        # The covariance over time is shrunk towards white noise.
        assert share == pytest.approx(variance(place) / variance(), abs=0.15)
