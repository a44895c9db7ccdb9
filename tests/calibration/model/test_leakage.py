"""What would show if a trial that is scored had any part in the map that it is scored with."""

import numpy as np
import pytest

from calibration.model import linear_model as module
from calibration.model.linear_model import cross_validate, fit_map
from calibration.scores.summary import summarise
from configs.schema import FitSettings
from tests.support.calibration_examples import as_examples, layout_of, make_trials

SETTINGS = FitSettings(alphas=(1.0, 10.0, 100.0, 1000.0, 1e4), permutations=0)


def score(trials, targets):
    held_out = cross_validate(as_examples(trials, targets), layout_of(trials), SETTINGS)
    return summarise(held_out.predicted, trials.names, held_out.folds, targets.gallery, 0)


def test_signal_is_found_and_more_of_it_is_found_better():
    weak, strong = (score(*make_trials(signal=signal))["two_way"] for signal in (0.6, 3.0))
    assert 0.55 < weak < strong
    assert strong > 0.9


@pytest.mark.slow
def test_shuffled_labels_are_at_chance_over_twenty_seeds():
    values, covered = [], 0
    for seed in range(20):
        trials, targets = make_trials(n_pictures=40, signal=3.0, seed=seed)
        rng = np.random.default_rng(seed)
        # Pictures are exchanged, not trials: repeats still agree, as a leak across repeats would need.
        swapped = dict(zip(targets.gallery.names, rng.permutation(targets.gallery.names), strict=True))
        names = np.array([swapped[name] for name in trials.names]) if seed % 2 else rng.permutation(trials.names)
        trials = type(trials)(**{**vars(trials), "names": names})
        trials = type(trials)(**{**vars(trials), "samples": trials.samples[rng.permutation(len(names))]})
        found = score(trials, targets)
        values.append(found["two_way"])
        covered += found["two_way_interval"][0] <= 0.5 <= found["two_way_interval"][1]
    assert np.mean(values) == pytest.approx(0.5, abs=3 * np.std(values) / np.sqrt(20) + 0.01)
    assert covered >= 16


def test_without_grouping_the_same_data_would_leak():
    # Each picture has noise of its own in all its repeats: a split across repeats could tell it, a grouped one cannot.
    trials, targets = make_trials(n_pictures=40, repeats=4, signal=0.0)
    rng = np.random.default_rng(0)
    mark = {name: 30 * rng.standard_normal(trials.samples.shape[1:]) for name in targets.gallery.names}
    samples = trials.samples + np.stack([mark[name] for name in trials.names]).astype(np.float32)
    trials = type(trials)(**{**vars(trials), "samples": samples})
    examples = as_examples(trials, targets, groups=np.arange(len(trials)))
    leaking = cross_validate(examples, layout_of(trials), SETTINGS)
    leaked = summarise(leaking.predicted, trials.names, leaking.folds, targets.gallery, 0)["two_way"]
    assert leaked > 0.9
    assert score(trials, targets)["two_way"] == pytest.approx(0.5, abs=0.12)


def test_no_picture_is_on_both_sides_anywhere(monkeypatch):
    trials, targets = make_trials(n_pictures=20)
    examples = as_examples(trials, targets)
    original = module.fit_map
    trained: list[set[str]] = []

    def watch(train, *others):
        trained.append(set(train.names.tolist()))
        return original(train, *others)

    monkeypatch.setattr(module, "fit_map", watch)
    held_out = cross_validate(examples, layout_of(trials), SETTINGS)
    for fold, seen in zip(np.unique(held_out.folds), trained, strict=True):
        tested = set(trials.names[held_out.folds == fold].tolist())
        assert tested
        assert not tested & seen
        assert tested | seen == set(trials.names.tolist())


def test_nothing_fitted_in_a_fold_has_seen_its_test_part():
    trials, targets = make_trials(n_pictures=30)
    before = cross_validate(as_examples(trials, targets), layout_of(trials), SETTINGS)
    test = before.folds == 2
    # Were anything (whitening, scaling, alpha, re-standardisation) fitted on the test part, wrecking one of its trials
    # would move the predictions of the others.
    wrecked = trials.samples.copy()
    first = np.flatnonzero(test)[0]
    wrecked[first] *= 1000
    trials = type(trials)(**{**vars(trials), "samples": wrecked})
    after = cross_validate(as_examples(trials, targets), layout_of(trials), SETTINGS)
    rest = test.copy()
    rest[first] = False
    assert np.array_equal(after.predicted[rest], before.predicted[rest])
    assert not np.array_equal(after.predicted[~test], before.predicted[~test])


def test_whitening_and_scaling_come_from_the_training_trials():
    trials, targets = make_trials()
    half = np.arange(len(trials)) < len(trials) // 2
    examples = as_examples(trials, targets)
    one = fit_map(examples.take(half), layout_of(trials), SETTINGS)
    samples = np.where(half[:, None, None], trials.samples, 50 * trials.samples)
    louder = as_examples(type(trials)(**{**vars(trials), "samples": samples}), targets)
    other = fit_map(louder.take(half), layout_of(trials), SETTINGS)
    np.testing.assert_array_equal(one.chain.whitening, other.chain.whitening)
    np.testing.assert_array_equal(one.map.weights, other.map.weights)


def test_flagged_trials_are_scored_but_not_learned_from():
    trials, targets = make_trials(n_pictures=40, signal=2.0)
    samples = trials.samples.copy()
    bad = np.arange(len(trials)) % 20 == 0
    samples[bad] += 5000 * np.random.default_rng(0).standard_normal(samples[bad].shape).astype(np.float32)
    trials = type(trials)(**{**vars(trials), "samples": samples})
    careless = as_examples(trials, targets)
    careful = type(careless)(**{**vars(careless), "teaches": ~bad})
    scores = [
        summarise(held.predicted, trials.names, held.folds, targets.gallery, 0)["two_way"]
        for held in (cross_validate(e, layout_of(trials), SETTINGS) for e in (careless, careful))
    ]
    assert scores[1] > scores[0] + 0.1
