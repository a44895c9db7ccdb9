import numpy as np
import pytest

from realtime.evidence import ConfidenceModel, Evidence, margin
from realtime.gallery import Gallery


def _setting(dims=32, n=10, seed=0):
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((n, dims)).astype(np.float32)
    names = tuple(f"p{k}" for k in range(n))
    gallery = Gallery(names, names, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0))
    return gallery, rng


def test_repeats_add_up_to_the_right_picture():
    gallery, rng = _setting()
    evidence = Evidence(gallery, ConfidenceModel(-2.0, 5.0, 0.5))
    percepts = [
        evidence.add(k, "p4", gallery.embeddings[4] + 3 * rng.standard_normal(32).astype(np.float32)) for k in range(60)
    ]
    assert [percept.repeats for percept in percepts] == list(range(1, 61))
    assert percepts[-1].neighbours[0].name == "p4"
    assert percepts[-1].confidence > percepts[0].confidence


def test_unknown_pictures_stand_alone():
    gallery, _ = _setting()
    evidence = Evidence(gallery, None)
    for trial in range(3):
        percept = evidence.add(trial, None, gallery.embeddings[trial])
        assert percept.repeats == 1
        assert percept.confidence is None
        np.testing.assert_array_equal(percept.embedding, gallery.embeddings[trial])


def test_a_retracted_trial_leaves_no_trace():
    gallery, rng = _setting()
    wrong = 50 * rng.standard_normal(32).astype(np.float32)
    evidence = Evidence(gallery, None)
    evidence.add(0, "p1", gallery.embeddings[1])
    evidence.add(1, "p1", wrong)
    evidence.retract("p1", wrong)
    percept = evidence.add(2, "p1", gallery.embeddings[1])
    assert percept.repeats == 2
    np.testing.assert_allclose(percept.embedding, gallery.embeddings[1], atol=1e-5)
    evidence.retract("p1", gallery.embeddings[1])
    evidence.retract("p1", gallery.embeddings[1])
    assert evidence.add(3, "p1", gallery.embeddings[1]).repeats == 1


def test_probability_grows_with_margin_and_repeats_and_never_overflows():
    model = ConfidenceModel(-1.0, 4.0, 0.7)
    assert model.probability(0.5, 1) > model.probability(0.1, 1)
    assert model.probability(0.1, 8) > model.probability(0.1, 1)
    assert model.probability(1e9, 1) == pytest.approx(1.0)
    assert model.probability(-1e9, 1) == pytest.approx(0.0)


def test_margin_is_the_best_against_the_mean_of_the_others():
    assert margin(np.array([0.1, 0.9, 0.2, 0.0])) == pytest.approx(0.8)
    assert margin(np.array([0.9])) == 0.0
