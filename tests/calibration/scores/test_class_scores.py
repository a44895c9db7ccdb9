"""Classes told apart: against scikit-learn, and against made-up trials that depend on their neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import cross_validate
from calibration.scores import class_scores
from calibration.scores.permutation_null import null_of_cross_validation
from calibration.scores.summary import summarise
from calibration.statistics import permutation_p
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery

ONE = np.ones(1, np.float32)
PAIR = Gallery(("house", "face"), ("house", "face"), np.array([[0.0], [1.0]], np.float32), ONE, ONE, classes=True)


def autocorrelated(rng, n, rho, shape=()):
    noise = rng.standard_normal((n, *shape))
    for trial in range(1, n):
        noise[trial] = rho * noise[trial - 1] + np.sqrt(1 - rho**2) * noise[trial]
    return noise


def order(rng, n, in_blocks_of):
    return np.repeat(rng.permutation(np.arange(n // in_blocks_of) % 2), in_blocks_of)


@given(st.integers(0, 10_000), st.integers(4, 60), st.booleans())
@settings(max_examples=80, deadline=None)
def test_auc_is_that_of_scikit_learn(seed, n, tied):
    rng = np.random.default_rng(seed)
    own = np.r_[1, 0, rng.random(n - 2) < 0.4].astype(int)
    evidence = rng.standard_normal(n) + own
    evidence = np.round(evidence) if tied else evidence
    one = np.zeros(n, np.int64)
    expected = roc_auc_score(own, evidence)
    assert class_scores.auc(evidence[None], own, one) == pytest.approx(expected)
    # Folds with offsets of their own are not compared with one another.
    twice = class_scores.auc(np.r_[evidence, evidence + 100][None], np.r_[own, own], np.r_[one, one + 1])
    assert twice == pytest.approx(expected)


def test_a_fold_with_one_class_gives_no_pairs():
    evidence, own, folds = np.arange(4.0)[None], np.ones(4, np.int64), np.zeros(4, np.int64)
    assert np.isnan(class_scores.auc(evidence, own, folds))
    assert np.isnan(class_scores.interval(evidence, own, folds, 0)).all()


def test_more_than_two_classes_have_the_mean_auc_of_their_pairs():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 6)).astype(np.float32)
    names = ("a", "b", "c", "d")
    gallery = Gallery(names, names, centres, centres.mean(axis=0), centres.std(axis=0), classes=True)
    own = rng.integers(0, 4, 300)
    predicted = centres[own] + 2 * rng.standard_normal((300, 6))
    expected = []
    for a, b in class_scores.pairs(4):
        both = (own == a) | (own == b)
        line = (centres[b] - centres[a]) / gallery.std**2
        expected.append(roc_auc_score(own[both] == b, predicted[both] @ line))
    found = summarise(predicted, np.array(names)[own], np.zeros(300, np.int64), gallery, 200)
    assert found["auc"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert found["auc_interval"][0] < found["auc"] < found["auc_interval"][1]
    assert found["auc_p"] == pytest.approx(1 / 201, rel=1e-3)
    assert found["n_by_class"] == np.bincount(own).tolist()
    # One of them never came: the others are told apart all the same.
    three = own != 3
    again = summarise(predicted[three], np.array(names)[own[three]], np.zeros(three.sum(), np.int64), gallery, 0)
    kept = [score for score, (_, b) in zip(expected, class_scores.pairs(4), strict=True) if b != 3]
    assert again["auc"] == pytest.approx(np.mean(kept), abs=1e-5)


def test_three_classes_are_found_by_the_null_that_fits_anew():
    rng = np.random.default_rng(3)
    names = ("a", "b", "c")
    centres = rng.standard_normal((3, 5)).astype(np.float32)
    gallery = Gallery(names, names, centres, centres.mean(axis=0), centres.std(axis=0), classes=True)
    own = rng.integers(0, 3, 150)
    fit, layout = FitSettings(permutations=60, alphas=(100.0,)), Layout(0, np.zeros(6))
    values = []
    for signal in (0.0, 1.0):
        samples = rng.standard_normal((150, 6, 3)) + signal * np.eye(3)[own][:, None]
        groups = np.arange(150) // 50
        examples = Examples(samples.astype(np.float32), centres[own], groups, own, np.ones(150, bool))
        null = null_of_cross_validation(examples, own, gallery, layout, fit)
        held_out = cross_validate(examples, layout, fit)
        direct = class_scores.auc(class_scores.pair_evidence(held_out.predicted, gallery), own, held_out.folds)
        assert null.observed == pytest.approx(direct, abs=0.03)
        values.append(permutation_p(null.observed, null.draws))
    assert values[0] > 0.05
    assert values[1] == pytest.approx(1 / 61)


def test_an_order_in_blocks_is_known_and_kept():
    rng = np.random.default_rng(0)
    blocks = np.arange(240) // 80
    known = [class_scores.in_blocks(np.concatenate([order(rng, 80, 8) for _ in range(3)]), blocks) for _ in range(50)]
    taken = [class_scores.in_blocks(rng.integers(0, 2, 240), blocks) for _ in range(200)]
    assert all(known)
    assert np.mean(taken) < 0.06
    own = np.concatenate([order(rng, 80, 8) for _ in range(3)])
    for moved in class_scores.relabellings(own, blocks, 20, 0):
        for block in range(3):
            assert np.bincount(moved[blocks == block]).tolist() == np.bincount(own[blocks == block]).tolist()
        assert np.count_nonzero(np.diff(moved)) <= np.count_nonzero(np.diff(own)) + 6


@pytest.mark.parametrize(("rho", "in_blocks_of"), [(0.7, 1), (0.7, 5)])
@pytest.mark.parametrize("effect", [0.0, 0.8])
def test_intervals_of_one_map_cover_where_neighbours_depend_on_each_other(rho, in_blocks_of, effect):
    """Evidence that drifts from trial to trial, with the classes in random order and in blocks."""
    rng = np.random.default_rng(11)
    folds, truth, covered, small = np.zeros(240, np.int64), [], [], []
    for seed in range(300):
        own = order(rng, 240, in_blocks_of)
        evidence = (autocorrelated(rng, 240, rho) + effect * own)[None]
        truth.append(class_scores.auc(evidence, own, folds))
        covered.append(class_scores.interval(evidence, own, folds, seed, resamples=200))
        if effect == 0.0:
            small.append(permutation_p(truth[-1], class_scores.null_of_one_map(evidence, own, folds, 59, seed)) <= 0.05)
    low, high = np.array(covered).T
    expected = 0.5 if effect == 0.0 else np.mean(truth)
    assert np.mean((low <= expected) & (expected <= high)) >= 0.92
    assert np.mean(small or [0]) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "in_blocks_of"), [(0.7, 1), (0.7, 5)])
def test_intervals_and_p_of_a_cross_validation_hold_where_neighbours_depend_on_each_other(rho, in_blocks_of):
    rng = np.random.default_rng(12)
    fit, layout = FitSettings(permutations=19, alphas=(10.0, 1000.0)), Layout(0, np.zeros(4))
    groups, covered, small = np.arange(150) // 50, [], []
    for seed in range(100):
        own = np.concatenate([order(rng, 50, in_blocks_of) for _ in range(3)])
        samples = np.concatenate([autocorrelated(rng, 50, rho, (4, 3)) for _ in range(3)]).astype(np.float32)
        examples = Examples(samples, own[:, None].astype(float), groups, own, np.ones(150, bool))
        held_out = cross_validate(examples, layout, fit)
        null = null_of_cross_validation(examples, own, PAIR, layout, fit)
        names = np.array(PAIR.names)[own]
        found = summarise(held_out.predicted, names, held_out.folds, PAIR, 19, seed, null)
        covered.append(found["auc_interval"])
        small.append(round(found["auc_p"], 6) <= 0.05)
    low, high = np.array(covered).T
    assert np.mean((low <= 0.5) & (high >= 0.5)) >= 0.92
    assert np.mean(small) < 0.1
