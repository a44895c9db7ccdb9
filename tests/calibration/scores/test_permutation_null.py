"""The null of a cross-validated AUC is what the whole cross-validation gives with labels exchanged before it."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import cross_validate
from calibration.model.ridge import fit_ridge
from calibration.scores.class_scores import auc, null_of_one_map, relabellings, shares
from calibration.scores.permutation_null import _draws, held_out_evidence, null_of_cross_validation, predict_each
from calibration.statistics import permutation_p
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery

SCALE = np.ones(1, np.float32)
NUMBERS = Gallery(("0", "1"), ("0", "1"), np.array([[0.0], [1.0]], np.float32), SCALE, SCALE, classes=True)


def no_signal(seed, n=60, recordings=3, times=6, channels=3):
    rng = np.random.default_rng(seed)
    positive = rng.integers(0, 2, n) == 1
    samples = rng.standard_normal((n, times, channels)).astype(np.float32)
    groups = np.arange(n) * recordings // n
    examples = Examples(samples, positive[:, None].astype(np.float64), groups, positive, np.ones(n, bool))
    return examples, positive, Layout(0, np.zeros(times))


@pytest.mark.parametrize("recordings", [1, 3])
@pytest.mark.parametrize("average", [False, True])
def test_it_equals_fitting_every_map_anew(recordings, average):
    examples, positive, layout = no_signal(5, recordings=recordings)
    settings = FitSettings(permutations=7, average_repeats=average)
    null = null_of_cross_validation(examples, positive.astype(int), NUMBERS, layout, settings)
    anew = []
    labellings = relabellings(positive.astype(int), examples.split_groups(settings.folds), 7, settings.seed)
    for labels in [positive, *labellings]:
        shuffled = Examples(
            examples.samples, labels[:, None].astype(np.float64), examples.groups, labels * 1, examples.teaches
        )
        held_out = cross_validate(shuffled, layout, settings)
        anew.append(auc(held_out.predicted.T, labels * 1, held_out.folds))
    # predictions are single precision there: a pair that is nearly tied may fall to either side
    np.testing.assert_allclose([null.observed, *null.draws], anew, atol=4e-3)


@pytest.mark.parametrize("channels", [2, 8])
def test_noise_about_classes_is_that_of_each_labelling(channels):
    """With more trials than features, and with fewer, as if every map had been fitted anew."""
    examples, positive, layout = no_signal(5, times=40, channels=channels)
    layout = Layout.of(np.arange(40) / 250 + 0.02, 0.02, None)
    settings = FitSettings(permutations=7, alphas=(10.0, 1000.0))
    null = null_of_cross_validation(examples, positive.astype(int), NUMBERS, layout, settings)
    about_all = []
    for row, labels in enumerate([positive, *relabellings(positive.astype(int), examples.groups, 7, settings.seed)]):
        wanted = labels[:, None].astype(np.float64)
        shuffled = Examples(examples.samples, wanted, examples.groups, labels * 1, examples.teaches)
        held_out = cross_validate(shuffled, layout, settings)
        assert auc(held_out.predicted.T, labels * 1, held_out.folds) == pytest.approx([null.observed, *null.draws][row])
        many = replace(shuffled, names=np.arange(60))  # no classes: noise about the mean of all
        about_all.append(np.abs(cross_validate(many, layout, settings).predicted - held_out.predicted).max())
    assert min(about_all) > 1e-3


def test_large_maps_have_fewer_draws():
    examples, _, _ = no_signal(5, times=300, channels=40)
    layout = Layout.of(np.arange(300) / 1000, 0.0, None)
    many = replace(examples, samples=np.broadcast_to(examples.samples[:1], (2000, 300, 40)))
    assert _draws(many, layout, FitSettings()) == 199
    assert _draws(examples, layout, FitSettings()) == 1000


@pytest.mark.parametrize("shape", [(40, 9), (24, 50)])
def test_each_column_is_predicted_by_the_map_that_it_would_have_alone(shape):
    rng = np.random.default_rng(1)
    x, unseen, y = rng.standard_normal(shape), rng.standard_normal((11, shape[1])), rng.standard_normal((shape[0], 4))
    folds = np.arange(shape[0]) % 4
    alphas = FitSettings().alphas
    together = predict_each(x, y, folds, unseen, alphas)
    for column in range(4):
        alone = fit_ridge(x, y[:, [column]], folds, alphas)
        expected = unseen @ alone.weights[:, 0] + alone.intercept[0]
        np.testing.assert_allclose(together[:, column], expected, atol=1e-8)


def test_evidence_has_a_row_for_each_labelling():
    examples, positive, layout = no_signal(2)
    labels = np.stack([positive, ~positive]).astype(int)
    evidence = held_out_evidence(examples, labels, shares(NUMBERS), layout, FitSettings(alphas=(100.0,)))
    assert evidence.shape == (2, 1, 60)
    np.testing.assert_allclose(evidence[0], -evidence[1], atol=1e-8)
    assert np.ptp(evidence[0]) > 1e-3


@pytest.mark.slow
def test_without_signal_p_is_as_often_small_as_it_says():
    """p is uniform (Kolmogorov-Smirnov); shuffled behind cross-validation it is small too often."""
    from scipy.stats import kstest

    settings = FitSettings(permutations=39, alphas=(100.0,))
    before, behind = [], []
    for seed in range(160):
        examples, positive, layout = no_signal(seed, n=40, recordings=2)
        held_out = cross_validate(examples, layout, settings)
        own, evidence = positive.astype(int), held_out.predicted.T
        null = null_of_cross_validation(examples, own, NUMBERS, layout, settings)
        before.append(permutation_p(null.observed, null.draws))
        one_map = null_of_one_map(evidence, own, held_out.folds, 39, 0)
        behind.append(permutation_p(auc(evidence, own, held_out.folds), one_map))
    assert kstest(before, "uniform").pvalue > 0.01
    assert np.mean(np.array(behind) <= 0.05) > np.mean(np.array(before) <= 0.05)
    assert np.mean(np.array(before) <= 0.05) < 0.09
