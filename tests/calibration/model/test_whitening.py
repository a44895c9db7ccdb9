import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf

from calibration.model.whitening import class_means, noise_covariance, whitening_matrix


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_trials_of_one_sample_are_shrunk_as_by_scikit_learn(seed, n, channels):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, channels)) @ rng.standard_normal((channels, channels)) + 100
    expected, _ = ledoit_wolf(rows)
    np.testing.assert_allclose(noise_covariance(rows[:, None]), expected, rtol=1e-6, atol=1e-9)


def test_few_trials_shrink_and_many_do_not():
    rng = np.random.default_rng(0)
    truth = np.diag(np.arange(1.0, 21.0))
    few, many = (rng.standard_normal((n, 10, 20)) @ np.sqrt(truth) for n in (4, 2000))
    plain = np.einsum("ntc,ntd->cd", few - few.mean(axis=0), few - few.mean(axis=0)) / 40
    assert np.linalg.norm(noise_covariance(few) - truth) < 0.8 * np.linalg.norm(plain - truth)
    np.testing.assert_allclose(noise_covariance(many), truth, atol=0.7)


def test_what_classes_differ_by_is_no_noise():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 5000)
    samples = rng.standard_normal((5000, 10, 4)) + 5 * rng.standard_normal((3, 10, 4))[classes]
    apart = class_means(samples, classes)
    about = samples - np.stack([samples[classes == number].mean(axis=0) for number in range(3)])[classes]
    np.testing.assert_allclose(noise_covariance(samples, apart), noise_covariance(about), atol=0.05)
    assert np.abs(noise_covariance(samples) - noise_covariance(about)).max() > 1


def test_whitened_noise_is_white():
    rng = np.random.default_rng(0)
    evoked = 50 * rng.standard_normal((100, 5))
    samples = rng.standard_normal((400, 100, 5)) @ rng.standard_normal((5, 5)) + evoked
    whitened = (samples - samples.mean(axis=0)) @ whitening_matrix(noise_covariance(samples))
    np.testing.assert_allclose(np.cov(whitened.reshape(-1, 5).T), np.eye(5), atol=0.03)


def test_directions_without_variance_stay_finite():
    samples = np.random.default_rng(0).standard_normal((50, 40, 3))
    referenced = samples - samples.mean(axis=2, keepdims=True)
    assert np.all(np.isfinite(whitening_matrix(noise_covariance(referenced))))
    assert np.all(np.isfinite(whitening_matrix(np.zeros((3, 3)))))
