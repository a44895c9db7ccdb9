import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.scores import retrieval
from calibration.scores.summary import summarise
from calibration.statistics import mean_interval, permutation_p
from realtime.decoding.gallery import Gallery, similarity
from tests.support.calibration_examples import make_gallery


def test_identification_by_hand():
    gallery = make_gallery()
    rng = np.random.default_rng(1)
    own, folds = rng.integers(0, 30, 200), rng.integers(0, 3, 200)
    predicted = gallery.embeddings[own] + 2 * rng.standard_normal((200, 8))
    found = retrieval.retrieve(predicted, own, folds, gallery)
    for i in range(200):
        present = np.unique(own[folds == folds[i]])
        alike = similarity(predicted[i : i + 1], gallery.embeddings[present], gallery.mean, gallery.std)[0]
        mine = alike[present == own[i]][0]
        others = [a for a, p in zip(alike, present, strict=True) if gallery.labels[p] != gallery.labels[own[i]]]
        assert found.two_way[i] == pytest.approx(np.mean(np.array(others) < mine))
        assert found.rank[i] == np.sum(alike > mine)
        assert found.n_way[i] == len(present)
    total = sum(np.trace(table) for table in found.votes)
    assert total == pytest.approx(found.two_way.sum())


def test_perfect_predictions_and_ties():
    gallery = make_gallery()
    own, folds = np.arange(30), np.zeros(30, np.int64)
    perfect = retrieval.retrieve(gallery.embeddings, own, folds, gallery)
    assert perfect.two_way.tolist() == [1.0] * 30
    assert perfect.rank.tolist() == [0] * 30
    constant = retrieval.retrieve(np.tile(gallery.mean, (30, 1)), own, folds, gallery)
    np.testing.assert_allclose(constant.two_way, 0.5)


def test_p_values_are_uniform_without_signal():
    gallery = make_gallery(n=20, per_label=1)
    values = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        own = np.repeat(np.arange(20), 3)
        found = retrieval.retrieve(rng.standard_normal((60, 8)), own, np.zeros(60, np.int64), gallery)
        values.append(permutation_p(found.two_way.mean(), retrieval.null_by_pictures(found, 99, seed)))
    assert 0.4 < np.mean(values) < 0.6
    assert np.mean(np.array(values) < 0.1) < 0.2
    assert min(values) >= 0.01


def test_the_null_keeps_a_pictures_trials_together():
    # Trials of one picture that agree are one observation: shuffling trials instead would find this significant.
    gallery = make_gallery(n=6, per_label=1)
    own = np.repeat(np.arange(6), 50)
    hits = 0
    for seed in range(60):
        prototype = np.random.default_rng(seed).standard_normal((6, 8))
        found = retrieval.retrieve(prototype[own], own, np.zeros(300, np.int64), gallery)
        hits += permutation_p(found.two_way.mean(), retrieval.null_by_pictures(found, 199, seed)) < 0.05
    assert hits <= 9


def test_intervals_cover_and_widen_when_trials_belong_together():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.random(40), 10)
    low, high = mean_interval(values, np.repeat(np.arange(40), 10), seed=0)
    narrow = mean_interval(values, np.arange(400), seed=0)
    assert low < values.mean() < high
    assert high - low > 2 * (narrow[1] - narrow[0])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=60), st.sampled_from([2, 4]))
@settings(max_examples=100, deadline=None)
def test_averaging_repeats_uses_each_trial_once_and_never_mixes(keys, repeats):
    own, folds = np.array(keys).T
    values = np.arange(len(keys), dtype=np.float64)[:, None] + 1000.0 * own[:, None]
    mean, shown, fold = retrieval.averaged(values, own, folds, repeats, seed=0)
    expected = sum(int(np.sum((own == o) & (folds == f))) // repeats for o in range(4) for f in range(2))
    assert len(mean) == len(shown) == len(fold) == expected
    assert all(1000 * o <= m < 1000 * o + 100 for m, o in zip(mean[:, 0], shown, strict=True))


def test_reliability_of_repeats():
    rng = np.random.default_rng(0)
    own, folds = np.repeat(np.arange(100), 2), np.zeros(200, np.int64)
    signal = rng.standard_normal((100, 5))
    noisy = signal[own] + rng.standard_normal((200, 5))
    assert retrieval.reliability(noisy, own, folds, 0) == pytest.approx(0.5, abs=0.12)
    assert retrieval.reliability(noisy, np.arange(200), folds, 0) is None
    # the true signal is the best of all targets, and even it stays below the ceiling
    ceiling = retrieval.noise_ceiling(retrieval.reliability(noisy, own, folds, 0))
    assert ceiling == pytest.approx(retrieval.correlation(noisy, signal[own], folds).mean(), abs=0.08)
    assert retrieval.noise_ceiling(-0.1) == 0.0
    assert retrieval.noise_ceiling(None) is None


def test_offsets_between_folds_are_neither_reliable_nor_a_correlation():
    rng = np.random.default_rng(1)
    own = np.repeat(np.arange(200), 2)
    folds, noise, targets = own % 4, rng.standard_normal((400, 5)), rng.standard_normal((200, 5))[own]
    offset = rng.standard_normal((4, 5))[folds] * 10
    assert retrieval.reliability(noise + offset, own, folds, 0) == pytest.approx(0.0, abs=0.1)
    expected = retrieval.correlation(targets + noise, targets, folds)
    np.testing.assert_allclose(retrieval.correlation(targets + noise + offset, targets, folds), expected)
    assert expected.mean() == pytest.approx(0.7, abs=0.05)


def test_summary_of_two_classes_and_of_many():
    rng = np.random.default_rng(0)
    gallery = make_gallery(n=40)
    own = np.repeat(np.arange(40), 5)
    folds = np.arange(200) % 2
    names = np.array(gallery.names)[own]
    many = summarise(gallery.embeddings[own] + rng.standard_normal((200, 8)), names, folds, gallery)
    assert many["two_way"] > 0.8 > many["chance"] == 0.5
    assert many["two_way_interval"][0] < many["two_way"] < many["two_way_interval"][1]
    assert many["chance_top1"] == pytest.approx(1 / 40)
    assert many["p"] == pytest.approx(1 / 1001, rel=1e-4)
    assert many["by_repeats"]["2"]["two_way"] > many["two_way"]

    pair = Gallery(("a", "b"), ("a", "b"), gallery.embeddings[:2], gallery.mean, gallery.std)
    own = np.arange(200) % 2
    folds = np.arange(200) // 100
    two = summarise(pair.embeddings[own] + 2 * rng.standard_normal((200, 8)), np.array(pair.names)[own], folds, pair)
    assert two["auc_interval"][0] < two["auc"] < two["auc_interval"][1]
    assert two["auc"] > 0.75
    assert two["by_repeats"]["4"] > two["auc"]
    assert len(two["auc_by_fold"]) == 2
