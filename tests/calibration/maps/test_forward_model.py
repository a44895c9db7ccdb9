import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from calibration.maps.forward_model import forward_model, mean_std, noise_ceiling, patterns, share_explained

ALPHAS = (1.0, 10.0, 100.0)


def made(n=120, dims=5, times=4, channels=3, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((n, dims)) * np.linspace(1, 3, dims) + 2
    truth = rng.standard_normal((dims, times, channels))
    samples = np.einsum("nd,dtc->ntc", (embeddings - 2) / np.linspace(1, 3, dims), truth)
    return embeddings, samples + noise * rng.standard_normal(samples.shape), truth, np.arange(n) % 4


def test_the_forward_model_is_scikit_learns_ridge_on_standardised_embeddings():
    embeddings, samples, _, folds = made()
    model = forward_model(embeddings, samples, folds, ALPHAS)
    mean, std = mean_std(embeddings)
    ridge = Ridge(alpha=model.alpha).fit((embeddings - mean) / std, samples.reshape(len(samples), -1))
    np.testing.assert_allclose(model.weights.reshape(5, -1), ridge.coef_.T, atol=1e-8)
    assert model.filtered is None


def test_the_forward_model_recovers_what_embeddings_evoke_in_microvolts():
    embeddings, samples, truth, folds = made(n=2000, noise=0.5)
    model = forward_model(embeddings, samples, folds, ALPHAS)
    np.testing.assert_allclose(model.weights, truth, atol=0.1)
    expected = 1 - 0.25 / samples.var(axis=0)
    np.testing.assert_allclose(model.explained, expected, atol=0.05)


def test_what_was_decoded_perfectly_is_filtered_to_the_held_out_prediction():
    embeddings, samples, _, folds = made(n=400, noise=0.0)
    filtered = forward_model(embeddings, samples, folds, (1e-6,), embeddings).filtered
    assert filtered is not None
    for fold in range(4):
        rows = folds == fold
        np.testing.assert_allclose(filtered[rows], samples[rows] - samples[rows].mean(axis=0), atol=1e-3)


def test_filtering_never_sees_the_fold_that_it_filters():
    embeddings, samples, _, folds = made()
    decoded = np.random.default_rng(1).standard_normal(embeddings.shape)
    before = forward_model(embeddings, samples, folds, (10.0,), decoded).filtered
    changed = samples.copy()
    changed[folds == 2] += 100 * np.random.default_rng(2).standard_normal(changed[folds == 2].shape)
    after = forward_model(embeddings, changed, folds, (10.0,), decoded).filtered
    np.testing.assert_array_equal(before[folds == 2], after[folds == 2])
    assert not np.allclose(before[folds == 1], after[folds == 1])


def test_patterns_are_haufes_analytic_solution_on_gaussian_data():
    """Samples drawn so that their covariance is exactly Σ: then A = Σ W (Wᵀ Σ W)⁻¹ (Haufe et al. 2014, eq. 6)."""
    rng = np.random.default_rng(3)
    n, times, channels, columns = 500, 2, 4, 3
    root = rng.standard_normal((8, 8))
    covariance = root @ root.T
    white = rng.standard_normal((n, 8))
    white -= white.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(white.T @ white / n).T)
    samples = white @ np.linalg.cholesky(covariance).T
    weights = rng.standard_normal((8, columns))
    found = patterns(samples.reshape(n, times, channels), samples @ weights + 7)
    expected = covariance @ weights @ np.linalg.inv(weights.T @ covariance @ weights)
    np.testing.assert_allclose(found.reshape(columns, 8).T, expected, rtol=1e-6, atol=1e-6)


@given(st.integers(0, 1000), st.floats(0.1, 100))
def test_patterns_are_in_the_unit_of_the_samples_however_the_decoder_whitens(seed, scale):
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal((60, 3, 4))
    decoded = samples.reshape(60, -1) @ rng.standard_normal((12, 2))
    np.testing.assert_allclose(patterns(scale * samples, decoded), scale * patterns(samples, decoded), rtol=1e-6)
    np.testing.assert_allclose(patterns(samples + 5, decoded - 3), patterns(samples, decoded), atol=1e-9)


@given(st.integers(2, 6), st.integers(0, 100))
def test_shares_are_one_for_the_truth_and_none_for_the_mean(n_folds, seed):
    rng = np.random.default_rng(seed)
    true, folds = rng.standard_normal((60, 3)), np.arange(60) % n_folds
    np.testing.assert_allclose(share_explained(true, true, folds), 1)
    means = np.array([true[folds == fold].mean(axis=0) for fold in folds])
    np.testing.assert_allclose(share_explained(true, means, folds), 0, atol=1e-12)
    assert (share_explained(true, -true, folds) < 0).all()


@pytest.mark.parametrize("repeats", [2, 8])
def test_the_noise_ceiling_is_the_share_of_signal_in_the_mean(repeats):
    rng = np.random.default_rng(0)
    pictures, signal, noise = 1500, np.array([0.0, 1.0, 2.0]), 2.0
    evoked = rng.standard_normal((pictures, 1, 3)) * signal
    names = np.repeat(np.arange(pictures), repeats)
    samples = evoked[names] + noise * rng.standard_normal((len(names), 1, 3))
    order = rng.permutation(len(names))
    found = noise_ceiling(samples[order], names[order])
    expected = signal**2 / (signal**2 + noise**2 / repeats)
    np.testing.assert_allclose(found[0], expected, atol=0.06)


def test_without_repeats_nobody_knows_the_ceiling():
    assert noise_ceiling(np.zeros((30, 2, 2)), np.arange(30)) is None
    assert noise_ceiling(np.zeros((18, 2, 2)), np.arange(18) // 2) is None
