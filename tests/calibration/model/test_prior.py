from dataclasses import replace

import numpy as np
import pytest

from calibration.model import remembering
from calibration.model.earlier import Earlier, aligned
from calibration.model.examples import Examples, Layout
from calibration.model.folds import grouped_folds
from calibration.model.from_sources import map_of_sources
from calibration.model.linear_model import cross_validate, fit_map
from calibration.model.moments import AlphaPath, Moments
from calibration.model.noise import Candidate
from calibration.model.prior import PriorRidge
from calibration.model.remembering import remember, turned
from calibration.model.ridge import solve_ridge
from calibration.model.scaling import scale
from calibration.scores.class_scores import auc
from configs.schema import Config, FitSettings, WindowSettings
from realtime.decoding.alignment import mean_covariance

RATE_HZ = 125.0
SETTINGS = FitSettings(permutations=0)
CANDIDATE = Candidate(0.016, (0.02,))
LAYOUT = Layout.of(np.arange(50) / RATE_HZ, 0.0, None)


def a_day(seed, n=120, signal=0.6, person=0):
    """Two classes with an answer that depends on the person, in noise that depends on the day."""
    rng = np.random.default_rng((person, seed, 7))
    pattern = np.random.default_rng(person).standard_normal((1, 12, 4))
    labels = rng.permutation(np.arange(n) % 3 == 0).astype(int)
    mixing = np.eye(4) + 0.3 * rng.standard_normal((4, 4))
    samples = 5 * rng.standard_normal((n, 50, 4)).cumsum(axis=1) / 4 @ mixing + rng.standard_normal((50, 4))
    samples[:, 20:32] += signal * pattern * labels[:, None, None]
    targets = np.eye(2, dtype=np.float32)[labels]
    names = np.array(["a", "b"])[labels]
    return Examples(samples.astype(np.float32), targets, np.arange(n) * 4 // n, names, np.ones(n, dtype=bool))


def memory_of(examples, settings=SETTINGS):
    config = Config(window=WindowSettings(stop_s=0.4), fit=settings)
    return remember(examples, examples.groups, LAYOUT, fit_map(examples, LAYOUT, settings), config)


def both(first, second):
    fields = ("samples", "targets", "groups", "names", "teaches")
    return Examples(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in fields))


def test_turned_trials_have_the_same_sums_of_products_and_no_more_rows_than_features():
    rng = np.random.default_rng(0)
    for n, features in ((300, 40), (30, 200)):
        x, y = rng.standard_normal((n, features)) + 3, rng.standard_normal((n, 5)) - 2
        rows, wanted = turned(x, y)
        assert len(rows) <= min(n, features)
        moments = Moments.of(x, y)
        np.testing.assert_allclose(rows.T @ rows, moments.gram, atol=1e-9 * len(x))
        np.testing.assert_allclose(rows.T @ wanted, moments.cross, atol=1e-9 * len(x))


def test_where_few_rows_would_be_saved_many_trials_are_mixed_and_say_the_same(monkeypatch):
    monkeypatch.setattr(remembering, "LARGE", 100)
    monkeypatch.setattr(remembering, "_TOGETHER", 64)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((201, 150)) + 3, rng.standard_normal((201, 5)) - 2
    rows, wanted = turned(x, y)
    moments = Moments.of(x, y)
    assert len(rows) == 201
    np.testing.assert_allclose(rows.T @ rows, moments.gram, atol=1e-5 * len(x))
    np.testing.assert_allclose(rows.T @ wanted, moments.cross, atol=1e-5 * len(x))
    alike = np.corrcoef(rows, x - x.mean(axis=0))[:201, 201:]
    assert np.abs(alike).max() < 0.8  # no row is a trial


@pytest.mark.parametrize("n", [120, 40])  # more rows than features, and fewer
def test_a_bundle_of_the_same_recordings_equals_pooling_them(n):
    day = a_day(0, n)
    memory = memory_of(day)
    once = Earlier("again", memory).worth_of(np.inf)
    scaling, features = scale(day.samples, LAYOUT, True, CANDIDATE)
    found = PriorRidge(scaling, features, day.targets, (once,)).weights(100.0)
    twice = np.concatenate([features, features]), np.concatenate([day.targets, day.targets])
    expected = solve_ridge(*twice, 100.0)[0]
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max() + 1e-9


def test_noise_and_means_of_two_days_are_pooled_as_if_their_trials_were():
    first, second = a_day(0, 400), a_day(1, 400)
    earlier = Earlier("first", memory_of(first)).worth_of(np.inf)
    scaling, _ = scale(second.samples, LAYOUT, True, CANDIDATE, (earlier,))
    level = [day.samples - day.samples.mean(axis=0) for day in (first, second)]
    together, _ = scale(np.concatenate(level), LAYOUT, True, CANDIDATE)
    # Shrinkage of the channels' covariance, which a memory does not know, is all that differs.
    np.testing.assert_allclose(scaling.whitening, together.whitening, rtol=0.02, atol=4e-3)
    mean = np.concatenate([first.samples, second.samples]).mean(axis=0)
    expected = scaling.mixed(mean[None].astype(np.float32))[0]
    np.testing.assert_allclose(scaling.mean, expected, atol=1e-3)


def test_a_memory_whose_channels_are_mixed_is_that_of_trials_whose_channels_were():
    day = a_day(0)
    mixing = np.eye(4) + 0.3 * np.random.default_rng(3).standard_normal((4, 4))
    trials = (day.samples @ mixing).astype(np.float32)
    found, expected = memory_of(day).mixed(mixing), memory_of(replace(day, samples=trials))
    cross = [
        memory.window.reshape(len(memory.window), -1).T.astype(float) @ memory.targets for memory in (found, expected)
    ]
    np.testing.assert_allclose(cross[0], cross[1], atol=1e-3 * np.abs(cross[1]).max())
    np.testing.assert_allclose(found.mean_window, expected.mean_window, rtol=1e-4, atol=1e-4)
    covariance = mean_covariance(trials, trials.mean(axis=0))
    np.testing.assert_allclose(found.window_covariance(), covariance, rtol=1e-3, atol=1e-4 * covariance.max())


@pytest.mark.parametrize(("n", "signal"), [(60, 0.6), (300, 0.6), (900, 0.6), (900, 3.0)])
def test_noise_of_a_memory_of_classes_is_that_of_its_trials_about_the_mean_of_their_class(n, signal):
    """Of the two hundred rows that a memory has at most, the targets of more trials are but partly there."""
    day = a_day(0, n, signal=signal)
    labels = day.targets.argmax(axis=1)
    means = np.stack([day.samples[labels == label].mean(axis=0) for label in range(2)])
    expected = (day.samples - means[labels]).reshape(n, -1).astype(float)
    found = memory_of(day).noise().reshape(-1, expected.shape[1]).astype(float)
    gram = expected.T @ expected
    np.testing.assert_allclose(found.T @ found, gram, atol=2e-5 * np.abs(gram).max())
    embedded = replace(memory_of(day), mean_target=np.zeros(64, np.float32))
    assert embedded.noise() is embedded.window


def test_predictions_of_several_sources_spread_as_targets_do_whatever_penalties_are_averaged():
    sources = tuple(Earlier(f"day {seed}", memory_of(a_day(seed, 200))) for seed in range(3))
    test = a_day(9, 200)
    predicted = map_of_sources(sources, LAYOUT, SETTINGS).predict(test.samples)
    np.testing.assert_allclose(predicted.std(axis=0) / test.targets.std(axis=0), 1, atol=0.4)
    labels = test.targets[:, 1].astype(int)
    assert auc((predicted @ np.array([-1.0, 1.0]))[None], labels, np.zeros_like(labels)) > 0.8


@pytest.fixture(scope="module")
def another_head():
    """A person whose electrodes are mixed otherwise than the source's, and the source; the same answers and noise."""
    days = [a_day(seed, n, signal=0.3) for seed, n in ((0, 400), (1, 300))]
    change = 0.15 * np.random.default_rng(4).standard_normal((4, 4))
    head = np.eye(4) + change + change.T
    return replace(days[1], samples=(days[1].samples @ head).astype(np.float32)), Earlier("other", memory_of(days[0]))


def test_a_source_is_aligned_to_the_windows_of_whom_it_is_for_without_a_label(another_head):
    person, source = another_head
    labels = person.targets[:, 1].astype(int)
    scores = []
    for windows in (None, person.samples[:9], person.samples[:50]):
        made = map_of_sources((source,), LAYOUT, SETTINGS, windows)
        found = made.predict(person.samples[50:]) @ np.array([-1.0, 1.0])
        scores.append(auc(found[None], labels[50:], np.zeros_like(labels[50:])))
    assert scores[1] == scores[0]  # fewer than ten windows tell nothing
    assert scores[2] > scores[0] + 0.02


def test_a_source_beside_new_trials_is_aligned_to_them(another_head):
    person, source = another_head
    (found,) = aligned((source,), person.samples)
    covariance = mean_covariance(person.samples, person.samples.mean(axis=0))
    np.testing.assert_allclose(found.memory.window_covariance(), covariance, atol=0.03 * np.abs(covariance).max())
    beside = fit_map(person.take(np.arange(40)), LAYOUT, SETTINGS, (source,)).prior.earlier[0].memory
    (expected,) = aligned((source,), person.samples[:40])
    np.testing.assert_array_equal(beside.window, expected.memory.window)


def test_trials_left_out_by_the_hat_matrix_are_those_of_maps_fitted_without_them():
    day, other = a_day(0, 60), a_day(1, 60)
    earlier = (Earlier("other", memory_of(other)).worth_of(30),)
    scaling, features = scale(day.samples, LAYOUT, True, CANDIDATE, earlier)
    ridge = PriorRidge(scaling, features, day.targets, earlier)
    folds = grouped_folds(day.groups, 4, 0)
    found = ridge.held_out(folds, 10.0)
    rows = scaling.rows_of(earlier[0])
    for fold in range(4):
        train, test = folds != fold, folds == fold
        own = Moments.of(features[train], day.targets[train])
        gram = own.gram + earlier[0].weight * rows.T @ rows
        cross = own.cross + earlier[0].weight * rows.T @ earlier[0].memory.targets
        path = AlphaPath(replace(own, gram=gram, cross=cross))
        np.testing.assert_allclose(found[test], path.predict(path.rotated(features[test]), 10.0), atol=1e-6)


def test_a_source_that_is_worth_nothing_changes_no_bit():
    day = a_day(0, 90, signal=1.0)
    against = replace(memory_of(day), targets=-30 * memory_of(day).targets)  # loudly the opposite of what is so
    plain = fit_map(day, LAYOUT, SETTINGS)
    found = fit_map(day, LAYOUT, SETTINGS, (Earlier("against", against),))
    assert found.prior is not None
    assert [each.worth for each in found.prior.earlier] == [0.0]
    np.testing.assert_array_equal(found.map.weights, plain.map.weights)
    np.testing.assert_array_equal(found.map.bias, plain.map.bias)
    assert "counts as nothing" in found.prior.lines[0]


def test_few_trials_with_an_earlier_day_tell_more_than_alone_and_a_stranger_does_no_harm():
    """Forty new trials; a hundred more of the day are told apart."""
    gains, harms = [], []
    for seed in range(6):
        old, new, test = a_day(seed, 400), a_day(100 + seed, 40), a_day(200 + seed, 150)
        stranger = a_day(seed, 400, person=9)
        scores = []
        for sources in ((), (Earlier("old", memory_of(old)),), (Earlier("stranger", memory_of(stranger)),)):
            found = fit_map(new, LAYOUT, SETTINGS, sources).map.predict(test.samples) @ np.array([-1.0, 1.0])
            labels = test.targets[:, 1].astype(int)
            scores.append(auc(found[None], labels, np.zeros_like(labels)))
        gains.append(scores[1] - scores[0])
        harms.append(scores[2] - scores[0])
    assert np.mean(gains) > 0.03
    assert np.mean(harms) > -0.03


def test_another_persons_trials_have_less_part_in_the_map_than_the_same_ones_of_ones_own():
    day, memory = a_day(2, 40), memory_of(a_day(9, 400))
    own, other = (fit_map(day, LAYOUT, SETTINGS, (Earlier("other", memory, own=own),)).prior for own in (True, False))
    assert own.earlier[0].worth >= other.earlier[0].worth > 0
    assert other.share_alone > own.share_alone


def test_where_trials_tell_nothing_an_earlier_day_is_believed_and_another_person_is_not():
    """Labels that were shuffled: no way to count is better than another, but for luck."""
    alone = {True: [], False: []}
    for seed in range(4):
        day, memory = a_day(seed, 40), memory_of(a_day(seed + 50, 400))
        order = np.random.default_rng(seed).permutation(40)
        shuffled = replace(day, targets=day.targets[order], names=day.names[order])
        for own in (True, False):
            prior = fit_map(shuffled, LAYOUT, SETTINGS, (Earlier("earlier", memory, own=own),)).prior
            alone[own].append(prior.share_alone)
    assert np.mean(alone[True]) < 0.35
    assert np.mean(alone[False]) > 0.6


def test_other_people_do_not_keep_ones_own_earlier_day_from_counting_in_full():
    day, own = a_day(1, 40), memory_of(a_day(0, 400))
    strangers = tuple(Earlier(f"stranger {n}", memory_of(a_day(n, 400, person=9)), own=False) for n in (1, 2))
    by_itself = fit_map(day, LAYOUT, SETTINGS, (Earlier("own", own),)).prior.earlier[0].worth
    among = fit_map(day, LAYOUT, SETTINGS, (Earlier("own", own), *strangers)).prior.earlier
    assert among[0].worth > 0.8 * by_itself
    assert max(each.worth for each in among[1:]) < 0.5 * among[0].worth


def test_the_worth_is_chosen_without_a_look_at_the_fold_that_is_told_apart():
    """Labels of a fold that are turned round change nothing of that fold's predictions."""
    day, old = a_day(1, 80), a_day(0, 200)
    earlier = (Earlier("old", memory_of(old)),)
    folds = cross_validate(day, LAYOUT, SETTINGS, earlier=earlier)
    first = folds.folds == folds.folds[0]
    turned_round = replace(day, targets=np.where(first[:, None], 1 - day.targets, day.targets))
    again = cross_validate(turned_round, LAYOUT, SETTINGS, earlier=earlier)
    np.testing.assert_array_equal(again.predicted[first], folds.predicted[first])


def test_channels_that_are_gone_leave_what_would_have_been_remembered_without_them():
    day = a_day(0)
    found = memory_of(day).of_channels([2, 0])
    expected = memory_of(replace(day, samples=day.samples[:, :, [2, 0]]))
    cross = [
        memory.window.reshape(len(memory.window), -1).T.astype(float) @ memory.targets for memory in (found, expected)
    ]
    np.testing.assert_allclose(cross[0], cross[1], atol=1e-4 * np.abs(cross[1]).max())
