from dataclasses import replace

import numpy as np
import pytest

from calibration.model.comparing import ANGLE, Learned, choose_form, estimate
from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import cross_validate, fit_map
from calibration.scores.retrieval import FoldGallery, of_fold, retrieve
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery

PICTURES, REPEATS, DIMS = 100, 4, 24
SETTINGS = FitSettings(permutations=0)


def decoded_trials(reliable, common, seed=0, repeats=REPEATS):
    """Decoded embeddings about the mean, targets, pictures' numbers; spread 1 in every dimension."""
    rng = np.random.default_rng(seed)
    embeddings = np.random.default_rng(99).standard_normal((PICTURES, DIMS))
    own = np.repeat(np.arange(PICTURES), repeats)
    noise = rng.standard_normal((len(own), DIMS)) + rng.standard_normal((len(own), len(common))) @ common
    noise *= np.sqrt(1 - reliable**2) / np.sqrt(1 + np.sum(common**2, axis=0))
    return embeddings[own] * reliable + noise, embeddings[own], own


def choice(reliable, common, seed=0):
    """What is chosen where the features are the decoded embeddings themselves, and what is estimated of them."""
    decoded, targets, own = decoded_trials(reliable, common, seed)
    folds = own % 20
    learned = Learned(decoded, targets, folds, 100.0, decoded, folds, targets, own)
    form, scores = choose_form(learned, 0)
    return form, scores, estimate(decoded, targets, targets.mean(axis=0), own)


def two_way(decoded, targets, own, likelihood):
    rows = targets[np.unique(own, return_index=True)[1]].astype(np.float32)
    names = tuple(map(str, range(len(rows))))
    gallery = Gallery(names, names, rows, rows.mean(axis=0), rows.std(axis=0), likelihood=likelihood)
    return retrieve(targets.mean(axis=0) + decoded, own, np.zeros_like(own), gallery).two_way.mean()


UNEVEN = np.where(np.arange(DIMS) < 4, 0.5, 0.02)
NONE = np.zeros((0, DIMS))


def test_reliable_dimensions_count_for_more():
    form, _, likelihoods = choice(UNEVEN, NONE)
    assert form != "angle"
    alone = likelihoods["likelihood"]
    np.testing.assert_allclose(alone.response[:4], 0.5, atol=0.1)
    assert np.abs(alone.response[4:]).max() < 0.15
    fresh = decoded_trials(UNEVEN, NONE, seed=1)
    assert two_way(*fresh, alone) > two_way(*fresh, None) + 0.05


def test_noise_that_dimensions_share_is_taken_out():
    common = 2 * np.random.default_rng(5).standard_normal((2, DIMS))
    even = np.full(DIMS, 0.2)
    likelihoods = choice(even, common)[2]
    fresh = decoded_trials(even, common, seed=1)
    told = {form: two_way(*fresh, likelihood) for form, likelihood in likelihoods.items()}
    assert told["likelihood with correlated noise"] > max(told["angle"], told["likelihood"]) + 0.05


@pytest.mark.parametrize("reliable", [0.0, 0.2])
def test_the_angle_stays_where_nothing_is_better(reliable):
    forms = [choice(np.full(DIMS, reliable), NONE, seed)[0] for seed in range(8)]
    assert forms.count("angle") >= 6


def test_what_a_choice_says_holds_for_pictures_that_nobody_has_learned():
    """Residuals lie along the pictures that were learned: judged by those, correlated noise would look bad."""
    examples, own, gallery, layout = world(signal=1.0)
    known = own < 45
    mapping = fit_map(examples.take(known), layout, SETTINGS)
    predicted, bits = mapping.map.predict(examples.samples[~known]), {}
    for form, likelihood in mapping.comparison.likelihoods.items():
        compared = replace(gallery, likelihood=likelihood)
        found = retrieve(predicted, own[~known], np.zeros(np.count_nonzero(~known), int), compared)
        bits[form] = np.log2(15 / (found.rank + 1)).mean()
    said = mapping.comparison.scores
    for form in bits:
        assert said[form] - said["angle"] == pytest.approx(bits[form] - bits["angle"], abs=0.3), form


def test_few_classes_are_compared_as_they_were():
    examples, own, _, layout = world()
    few = fit_map(examples.take(own < 20), layout, SETTINGS)
    assert few.comparison is ANGLE


def world(seed=0, signal=0.3):
    """Trials in which a few of the targets' dimensions are, and share noise."""
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((60, 16)).astype(np.float32)
    own = rng.permutation(np.repeat(np.arange(60), 4))
    mixing = np.zeros((16, 24))
    mixing[:3] = rng.standard_normal((3, 24))
    samples = rng.standard_normal((len(own), 24)) + signal * embeddings[own] @ mixing
    names = np.array([f"p{k}" for k in range(60)])
    gallery = Gallery(tuple(names), tuple(names), embeddings, embeddings.mean(axis=0), embeddings.std(axis=0))
    shape = (len(own), 8, 3)
    examples = Examples(
        samples.reshape(shape).astype(np.float32), embeddings[own], names[own], names[own], np.ones(len(own), bool)
    )
    return examples, own, gallery, Layout.of(np.arange(8) / 50, 0.0, None)


def test_what_a_fold_compares_by_is_of_its_training_trials_alone():
    examples, own, gallery, layout = world()
    held_out = cross_validate(examples, layout, SETTINGS)
    test = held_out.folds == 0
    wild = replace(examples, targets=np.where(test[:, None], 100, examples.targets))
    again = cross_validate(wild, layout, SETTINGS)
    assert again.comparisons[0].form == held_out.comparisons[0].form != "angle"
    np.testing.assert_array_equal(again.comparisons[0].likelihood.response, held_out.comparisons[0].likelihood.response)
    compared = FoldGallery.of(gallery, [each.likelihood for each in held_out.comparisons])
    assert of_fold(compared, 0).likelihood is held_out.comparisons[0].likelihood
    by_angle = retrieve(held_out.predicted, own, held_out.folds, gallery).two_way.mean()
    assert retrieve(held_out.predicted, own, held_out.folds, compared).two_way.mean() > by_angle + 0.03


def test_the_painters_embedding_is_the_same_whatever_it_is_compared_by():
    examples, _, _, layout = world()
    ours = fit_map(examples, layout, SETTINGS)
    angle = fit_map(examples, layout, SETTINGS.model_copy(update={"compare": "angle"}))
    np.testing.assert_array_equal(ours.map.weights, angle.map.weights)
    assert angle.comparison is ANGLE
