from dataclasses import replace

import numpy as np
import pytest

from calibration.model import linear_model
from calibration.model.choosing import choose, noise_classes, pair_answers, recurring_classes
from calibration.model.examples import Examples, Layout
from calibration.model.folds import grouped_folds
from calibration.model.linear_model import cross_validate, fit_map
from calibration.model.noise import Candidate
from calibration.model.scaling import AS_THEY_ARE, scale
from calibration.scores.class_scores import auc
from calibration.scores.permutation_null import null_of_cross_validation
from calibration.scores.retrieval import averaged, retrieve
from calibration.statistics import choose_each, within_two_errors
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery
from tests.support.calibration_examples import as_examples, layout_of, make_trials

RATE_HZ = 125.0
ERROR = FitSettings(choose="error", permutations=0)
OURS = FitSettings(permutations=0)


def two_way(predicted, names, folds, gallery, repeats=1):
    own = np.array([gallery.names.index(str(name)) for name in names])
    mean, shown, fold = averaged(predicted, own, folds, repeats, 0)
    return float(np.nanmean(retrieve(mean, shown, fold, gallery).two_way))


def weak_pictures(seed=0, n_pictures=200, repeats=17, dims=40, signal=0.02):
    """Many repeats of natural-looking pictures through one electrode: most of a trial is 1/f noise."""
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((n_pictures, dims)) * np.linspace(2, 0.2, dims)
    times_s = np.arange(100) / RATE_HZ
    bumps = np.exp(-0.5 * ((times_s[None] - rng.uniform(0.08, 0.4, dims)[:, None]) / 0.03) ** 2)
    bumps *= rng.choice([-1.0, 1.0], dims)[:, None]
    shown = np.tile(np.arange(n_pictures), repeats)
    white = rng.standard_normal((len(shown), 400))
    spectrum = np.fft.rfft(white, axis=1) / np.maximum(np.arange(201), 2) ** 0.6
    noise = np.fft.irfft(spectrum, axis=1)[:, :100]
    samples = 10 * noise / noise.std() + 10 * signal * (embeddings @ bumps)[shown]
    names = np.array([f"p{number:03d}" for number in range(n_pictures)])
    values = embeddings.astype(np.float32)
    gallery = Gallery(tuple(names), tuple(names), values, values.mean(axis=0), values.std(axis=0))
    examples = Examples(
        samples[:, :, None].astype(np.float32), values[shown], names[shown], names[shown], np.ones(len(shown), bool)
    )
    return examples, gallery, Layout.of(times_s, 0.0, None)


def two_classes(seed, n=120, signal=0.0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 2)
    samples = rng.standard_normal((n, 50, 2)).cumsum(axis=1)
    samples[:, 20:30] += signal * (labels[:, None, None] - 0.5)
    targets = np.eye(2, dtype=np.float32)[labels]
    examples = Examples(
        samples.astype(np.float32), targets, np.arange(n) * 4 // n, np.array(["a", "b"])[labels], np.ones(n, bool)
    )
    eye = np.eye(2, dtype=np.float32)
    gallery = Gallery(("a", "b"), ("a", "b"), eye, eye.mean(axis=0), eye.std(axis=0), classes=True)
    return examples, labels, gallery, Layout.of(np.arange(50) / RATE_HZ, 0.0, None)


def test_answers_of_a_pair_add_up_to_the_auc_within_folds():
    rng = np.random.default_rng(0)
    evidence, labels, folds = rng.standard_normal((3, 90)), rng.integers(0, 3, (3, 90)), np.arange(90) % 4
    for pair in ((0, 1), (1, 2)):
        told = pair_answers(evidence, labels, pair, folds)
        for row in range(3):
            both = np.isin(labels[row], pair)
            expected = auc(evidence[None, row, both], (labels[row, both] == pair[1]).astype(int), folds[both])
            for label in pair:
                assert told[row, labels[row] == label].sum() == pytest.approx(expected)
            assert not told[row, ~both].any()


def options(*behind):
    """Answers ``[options, 1, 100]`` whose scores are so far behind 0.7; each difference has an error of about 0.01."""
    rng = np.random.default_rng(0)
    shared = rng.uniform(0.4, 1, 100)
    own = rng.normal(size=(len(behind), 100))
    own = (own - own.mean(axis=1, keepdims=True)) / own.std(axis=1, keepdims=True)
    answers = 0.7 + shared - shared.mean() - np.array(behind)[:, None] + 0.1 / np.sqrt(2) * own
    return answers[:, None] / 100, np.zeros((1, 100), int)


def test_within_two_errors_of_the_best_is_what_the_error_says():
    values, within = within_two_errors(*options(0.0, 0.015, 0.025))
    np.testing.assert_allclose(values[:, 0], [0.7, 0.685, 0.675])
    assert within[:, 0].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("behind", "taken"),
    [
        ((0.0, 0.01, 0.01, 0.0, 0.01, 0.01), 1),  # none is told from the best
        ((0.0, 0.04, 0.04, 0.01, 0.04, 0.04), 0),  # the middle alpha is told from it
        ((0.05, 0.05, 0.05, 0.0, 0.01, 0.05), 4),  # the first candidate is
    ],
)
def test_first_candidate_and_middle_alpha_give_way_only_to_what_is_better(behind, taken):
    answers, strata = options(*behind)
    _, chosen = choose_each(answers, strata, 2)
    assert chosen[0] == taken


def test_weak_eeg_is_identified_where_the_least_error_says_nothing():
    examples, gallery, layout = weak_pictures()
    scores = {}
    for name, settings in (("error", ERROR), ("identification", OURS)):
        held_out = cross_validate(examples, layout, settings)
        scores[name] = two_way(held_out.predicted, examples.names, held_out.folds, gallery, 17)
    assert scores["identification"] >= 0.6
    assert scores["error"] <= 0.57


def test_the_choice_is_said_in_one_line():
    examples, _, _, layout = two_classes(0, signal=3.0)
    mapping = fit_map(examples, layout, OURS)
    line = str(mapping.choice)
    assert "\n" not in line
    assert f"alpha {mapping.alpha:g}" in line
    assert str(mapping.choice.candidate) in line
    assert f"{mapping.choice.score:.3f}" in line


def test_what_is_chosen_scores_what_it_says():
    examples, labels, _, layout = two_classes(0, n=200, signal=2.0)
    folds = grouped_folds(examples.groups, 5, 0)
    choice, _, taken = choose(examples, layout, OURS, folds)
    _, features = scale(examples.samples, layout, True, choice.candidate)
    evidence = np.empty(len(labels))
    for fold in np.unique(folds):
        test = folds == fold
        x, y = features[~test].astype(float), labels[~test] - labels[~test].mean()
        x = x - x.mean(axis=0)
        weights = np.linalg.solve(x.T @ x + choice.alpha * np.eye(x.shape[1]), x.T @ y)
        evidence[test] = features[test] @ weights
    assert choice.score == pytest.approx(auc(evidence[None], labels, folds), abs=1e-4)
    assert choice.score == choice.scores[np.flatnonzero(choice.alphas == choice.alpha)[0]]
    _, about_classes = scale(examples.samples, layout, True, choice.candidate, classes=labels)
    np.testing.assert_array_equal(taken, about_classes)
    assert np.abs(about_classes - features).max() > 0.05


def test_noise_is_about_classes_where_they_recur_and_the_null_can_follow():
    examples, _, _, layout = two_classes(0)
    classes = recurring_classes(examples.names, examples.groups)
    steps = Candidate(step_s=0.016, smooth_s=(0.02,))
    assert noise_classes(classes, steps, layout, (120, 50, 2)) is not None
    assert noise_classes(classes, steps, layout, (10_000, 50, 64)) is None
    assert noise_classes(classes, AS_THEY_ARE, layout, (120, 50, 2)) is None
    pictures = replace(examples, names=np.arange(120))
    assert noise_classes(recurring_classes(pictures.names, examples.groups), steps, layout, (120, 50, 2)) is None


def test_the_null_makes_the_choice_as_the_fit_does():
    examples, labels, gallery, layout = two_classes(3, signal=1.5)
    settings = FitSettings(permutations=5)
    held_out = cross_validate(examples, layout, settings)
    null = null_of_cross_validation(examples, labels, gallery, layout, settings)
    evidence = (held_out.predicted[:, 1] - held_out.predicted[:, 0])[None]
    assert null.observed == pytest.approx(auc(evidence, labels, held_out.folds), abs=2e-3)


@pytest.mark.slow
def test_without_signal_p_is_small_no_more_often_than_it_may_be():
    small, values = 0, []
    settings = FitSettings(permutations=19, alphas=(1.0, 100.0, 1e4))
    for seed in range(60):
        examples, labels, gallery, layout = two_classes(seed, n=60)
        null = null_of_cross_validation(examples, labels, gallery, layout, settings)
        small += (1 + np.count_nonzero(null.draws >= null.observed)) / 20 <= 0.05
        values.append(null.observed)
    assert small <= 6  # of 60 at 5 %: more in 3 % of such tests
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)


def test_by_error_samples_are_used_as_they_are():
    examples, _, _, layout = two_classes(0, signal=3.0)
    mapping = fit_map(examples, layout, ERROR)
    assert mapping.choice is None
    assert mapping.chain.temporal is None
    assert mapping.alpha == mapping.alphas[np.argmin(mapping.errors)]


def test_folds_fitted_side_by_side_come_to_what_one_after_another_comes_to(monkeypatch):
    trials, targets = make_trials(n_pictures=40, repeats=2)
    examples, layout = as_examples(trials, targets), layout_of(trials)
    told, seen = [], []
    settings = FitSettings(alphas=(10.0, 100.0))
    after = cross_validate(examples, layout, settings)
    monkeypatch.setattr(linear_model, "LARGE", 0)
    beside = cross_validate(
        examples, layout, settings, lambda *how_far: told.append(how_far), each=lambda _, test: seen.append(test)
    )
    np.testing.assert_allclose(beside.predicted, after.predicted, rtol=1e-4, atol=1e-4)
    assert beside.alphas == after.alphas
    assert (told[0], told[-1], told) == ((0, 5), (5, 5), sorted(told))
    np.testing.assert_array_equal([after.folds == fold for fold in range(5)], seen)
