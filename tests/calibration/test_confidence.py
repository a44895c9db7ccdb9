import numpy as np
import pytest
from calibration_examples import make_gallery
from sklearn.linear_model import LogisticRegression

from calibration.confidence import fit_confidence, fit_logistic
from realtime.gallery import Gallery


def test_logistic_regression_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    inputs = np.stack([np.ones(2000), 0.1 * rng.standard_normal(2000), rng.standard_normal(2000)], axis=1)
    hit = rng.random(2000) < 1 / (1 + np.exp(-(inputs @ [-0.5, 12.0, 0.7])))
    reference = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000).fit(inputs[:, 1:], hit)
    fitted = fit_logistic(inputs, hit)
    assert fitted[0] == pytest.approx(reference.intercept_[0], abs=0.02)
    np.testing.assert_allclose(fitted[1:], reference.coef_[0], rtol=0.03)


def test_separable_data_keep_finite_weights():
    inputs = np.stack([np.ones(40), np.linspace(-1, 1, 40)], axis=1)
    fitted = fit_logistic(inputs, inputs[:, 1] > 0)
    assert np.all(np.isfinite(fitted))
    assert fitted[1] > 1


def test_confidence_means_what_it_says():
    rng = np.random.default_rng(0)
    gallery = make_gallery(n=20, per_label=1)
    own = np.repeat(np.arange(20), 160)
    folds = np.zeros(len(own), np.int64)
    predicted = gallery.embeddings[own] + 3 * rng.standard_normal((len(own), 8))
    model = fit_confidence(predicted[::2], own[::2], folds[::2], gallery, seed=0)
    assert model is not None
    assert model.margin > 0
    from calibration.scores import averaged, retrieve

    for repeats in (1, 4):
        mean, shown, fold = averaged(predicted[1::2], own[1::2], folds[1::2], repeats, seed=1)
        found = retrieve(mean, shown, fold, gallery)
        said = np.mean([model.probability(float(m), repeats) for m in found.margin])
        assert said == pytest.approx(np.mean(found.rank == 0), abs=0.05)


def test_no_model_from_nothing():
    gallery: Gallery = make_gallery(n=5, per_label=1)
    own = np.arange(5)
    assert fit_confidence(gallery.embeddings, own, np.zeros(5, np.int64), gallery, seed=0) is None
