import numpy as np
import pytest
from scipy.stats import multivariate_normal

from realtime.decoding.evidence import ConfidenceModel, PictureEvidence
from realtime.decoding.gallery import Gallery
from realtime.decoding.likelihood import Likelihood

DIMS = 12


def a_gallery(correlated=True, n=20, seed=0):
    rng = np.random.default_rng(seed)
    rows = (5 + rng.standard_normal((n, DIMS))).astype(np.float32)
    likelihood = Likelihood(
        rows.mean(axis=0),
        rng.uniform(0.1, 0.9, DIMS).astype(np.float32),
        rng.uniform(0.5, 1, DIMS).astype(np.float32),
        rng.standard_normal((DIMS if correlated else 0, DIMS)).astype(np.float32),
    )
    names = tuple(f"p{k}" for k in range(n))
    return Gallery(names, names, rows, rows.mean(axis=0), rows.std(axis=0), likelihood=likelihood), rng


def log_likelihoods(gallery, embedding):
    model = gallery.likelihood
    whitening = (model.decorrelation if len(model.decorrelation) else np.eye(DIMS)) * model.precision.astype(float)
    covariance = np.linalg.inv(whitening.T @ whitening)
    means = model.mean + model.response * (gallery.embeddings - model.mean).astype(float)
    return np.array([multivariate_normal.logpdf(embedding, mean, covariance) for mean in means])


@pytest.mark.parametrize("correlated", [False, True])
def test_reach_is_the_logarithm_of_each_pictures_likelihood(correlated):
    gallery, rng = a_gallery(correlated)
    embedding = (gallery.mean + rng.standard_normal(DIMS)).astype(np.float32)
    expected = log_likelihoods(gallery, embedding)
    compared = gallery.compare(embedding)
    np.testing.assert_allclose(compared.reach - compared.reach[0], expected - expected[0], atol=1e-4)
    among = np.array([4, 2, 9])
    np.testing.assert_allclose(gallery.reach(embedding[None], among)[0], compared.reach[among], atol=1e-9)
    assert compared.rank(1)[0].name == gallery.names[int(expected.argmax())]
    assert compared.two_way("p4") == np.mean(np.delete(expected, 4) < expected[4])


def test_log_likelihoods_of_repeats_add_up():
    gallery, rng = a_gallery()
    trials = [(gallery.mean + rng.standard_normal(DIMS)).astype(np.float32) for _ in range(5)]
    evidence = PictureEvidence(gallery, ConfidenceModel(gain=1.0, shared=0.0, length=1e9))
    percept = [evidence.add(number, "p3", trial) for number, trial in enumerate(trials)][-1]
    total = np.sum([log_likelihoods(gallery, trial) for trial in trials], axis=0)
    posterior = np.exp(total - total.max())
    assert percept.confidence == pytest.approx(posterior.max() / posterior.sum(), rel=1e-3)
    assert percept.neighbours[0].name == f"p{total.argmax()}"


def test_similarity_is_a_cosine_that_is_one_for_what_the_picture_comes_to():
    gallery, rng = a_gallery(n=300)
    model = gallery.likelihood
    whole = (model.mean + model.response * (gallery.embeddings[7] - model.mean)).astype(np.float32)
    assert gallery.similarities(whole)[7] == pytest.approx(1, abs=1e-4)
    assert gallery.rank(whole, 1)[0].name == "p7"
    alike = gallery.similarities((model.mean + rng.standard_normal(DIMS)).astype(np.float32))
    assert np.abs(alike).max() < 1
    assert abs(alike.mean()) < 0.1
    assert not gallery.similarities(model.mean).any(), "what says nothing is like none"


def test_a_dimension_that_is_left_out_says_nothing():
    gallery, rng = a_gallery()
    model = gallery.likelihood
    model.precision[5] = 0
    embedding = (gallery.mean + rng.standard_normal(DIMS)).astype(np.float32)
    elsewhere = embedding.copy()
    elsewhere[5] += 100
    np.testing.assert_array_equal(gallery.compare(embedding).reach, gallery.compare(elsewhere).reach)


def test_a_part_of_the_gallery_compares_as_the_whole_does():
    gallery, rng = a_gallery()
    embedding = (gallery.mean + rng.standard_normal(DIMS)).astype(np.float32)
    part = gallery.only({"p3", "p5"})
    np.testing.assert_allclose(part.compare(embedding).reach, gallery.compare(embedding).reach[[3, 5]], rtol=1e-12)
