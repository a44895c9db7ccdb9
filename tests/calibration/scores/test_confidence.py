import numpy as np
import pytest

from calibration.scores.confidence import (
    bins,
    calibration_error,
    fit_confidence,
    fit_logit,
    make_choices,
    reliability_curve,
    said_and_right,
)
from realtime.decoding.gallery import Gallery
from tests.support.calibration_examples import make_gallery


def predictions(gallery, repeats, noise, seed=0):
    rng = np.random.default_rng(seed)
    own = np.repeat(np.arange(len(gallery.names)), repeats)
    return gallery.embeddings[own] + noise * rng.standard_normal((len(own), gallery.embeddings.shape[1])), own


def test_gain_is_that_of_the_likelihood():
    """With errors of known size the posterior is known: a softmax of projections over their variance."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 30))
    rows *= 4 / np.linalg.norm(rows, axis=1, keepdims=True)
    gallery = Gallery(tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN"), ("x",) * 40, rows, np.zeros(30), np.ones(30))
    noise = 2.5
    predicted, own = predictions(gallery, 200, noise)
    gain, shared = fit_logit(
        [make_choices(predicted, own, np.zeros(len(own), np.int64), gallery, count, 0) for count in (1, 2, 4)]
    )
    assert gain == pytest.approx(4 / noise**2, rel=0.1)
    assert shared == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("groups", [12, 3])
@pytest.mark.parametrize("repeats", [1, 4])
def test_confidence_means_what_it_says_among_few_and_among_many(groups, repeats):
    gallery = make_gallery(n=60, per_label=1)
    predicted, own = predictions(gallery, 80, 3.0)
    model = fit_confidence(predicted, own, own % 3, gallery, seed=0)
    assert model is not None
    fresh, shown = predictions(gallery, 16, 3.0, seed=1)
    # Every fold is a choice among a few pictures of its own: one choice alone may be an easy or a hard one.
    said, right = said_and_right(model, make_choices(fresh, shown, shown % groups, gallery, repeats, 0))
    assert said.mean() == pytest.approx(right.mean(), abs=0.06)
    assert calibration_error(bins(said, right)) < 0.1


def test_one_picture_in_each_fold_is_no_choice_to_learn_confidence_from():
    gallery = make_gallery(n=5)
    predicted, own = predictions(gallery, 40, 1.0)
    assert fit_confidence(predicted, own, own, gallery, seed=0) is None
    assert reliability_curve(predicted, own, own, gallery, seed=0) == []


def test_from_noise_alone_confidence_is_chance():
    gallery = make_gallery(n=20, per_label=1)
    rng = np.random.default_rng(0)
    own = np.repeat(np.arange(20), 40)
    noise = rng.standard_normal((len(own), 8))
    model = fit_confidence(noise, own, np.zeros(len(own), np.int64), gallery, seed=0)
    assert model is not None
    said, _ = said_and_right(model, make_choices(noise, own, np.zeros(len(own), np.int64), gallery, 1, 0))
    assert said.mean() < 0.1


def test_separable_predictions_keep_a_finite_gain():
    gallery = make_gallery(n=20, per_label=1)
    own = np.repeat(np.arange(20), 3)
    model = fit_confidence(gallery.embeddings[own], own, np.zeros(60, np.int64), gallery, seed=0)
    assert model is not None
    assert 0 < model.gain < 1e3


def test_no_model_from_nothing():
    gallery = make_gallery(n=5, per_label=1)
    own = np.arange(5)
    assert fit_confidence(gallery.embeddings, own, np.zeros(5, np.int64), gallery, seed=0) is None


def test_reliability_is_judged_by_models_of_other_folds():
    gallery = make_gallery(n=30, per_label=1)
    predicted, own = predictions(gallery, 40, 3.0)
    curve = reliability_curve(predicted, own, own % 3, gallery, seed=0)
    assert sum(n for _, _, n in curve) == 1200 + 600 + 300 + 150
    assert calibration_error(curve) < 0.1
    assert reliability_curve(predicted, own, np.zeros_like(own), gallery, seed=0) == []
    assert calibration_error([]) is None
