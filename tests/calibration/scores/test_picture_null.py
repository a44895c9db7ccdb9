"""Without information the null is as wide as cross-validation makes it; with some, it does not hide it."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.model.examples import Examples, Layout
from calibration.model.linear_model import cross_validate, fit_map
from calibration.model.noise import Candidate
from calibration.scores import exchanged_choices, picture_null, summary
from calibration.scores.exchanged_choices import choices_of_each
from calibration.scores.picture_null import null_of_pictures
from calibration.scores.retrieval import null_by_pictures, retrieve
from calibration.scores.summary import summarise
from calibration.statistics import permutation_p
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery

PICTURES, REPEATS, TIMES, CHANNELS, DIMS = 40, 4, 4, 3, 12
NAMES = tuple(f"p{k}" for k in range(PICTURES))
LAYOUT = Layout.of(np.arange(TIMES) / 50, 0.0, None)
ONE_ALPHA = FitSettings(choose="error", alphas=(100.0,), permutations=24)


BY_ERROR = FitSettings(choose="error", permutations=24)
CHOSEN = FitSettings(compare="angle", permutations=12)


def world(seed, signal=0.0):
    """Trials ``[160, times, channels]`` in random order that hold `signal` of their picture's embedding."""
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((PICTURES, DIMS)).astype(np.float32)
    own = rng.permutation(np.repeat(np.arange(PICTURES), REPEATS))
    mixing = rng.standard_normal((DIMS, TIMES * CHANNELS)) / np.sqrt(DIMS)
    samples = rng.standard_normal((len(own), TIMES * CHANNELS)) + signal * embeddings[own] @ mixing
    names = np.array(NAMES)[own]
    samples = samples.reshape(-1, TIMES, CHANNELS).astype(np.float32)
    examples = Examples(samples, embeddings[own].astype(float), names, names, np.ones(len(own), bool))
    return examples, own, Gallery(NAMES, NAMES, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0))


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("settings", [ONE_ALPHA, BY_ERROR, CHOSEN], ids=["one alpha", "by error", "chosen"])
def test_a_draw_is_what_cross_validation_gives_on_exchanged_pictures(settings, average):
    examples, own, gallery = world(0, signal=0.5)
    settings = settings.model_copy(update={"average_repeats": average})
    held_out = cross_validate(examples, LAYOUT, settings)
    null = null_of_pictures(examples, own, gallery, LAYOUT, settings, held_out)
    rng = np.random.default_rng(settings.seed)
    fitted = []
    for order in [np.arange(PICTURES), *(rng.permutation(PICTURES) for _ in range(settings.permutations))]:
        exchanged = replace(examples, targets=gallery.embeddings[order[own]].astype(float))
        predicted = cross_validate(exchanged, LAYOUT, settings).predicted
        fitted.append(np.nanmean(retrieve(predicted, order[own], held_out.folds, gallery).two_way))
    # Re-standardisation is by the predictions of a fold themselves, not by those of twenty more maps.
    assert np.abs(np.array([null.observed, *null.draws]) - fitted).mean() < 0.03
    assert np.corrcoef(null.draws, fitted[1:])[0, 1] > 0.9


@pytest.mark.parametrize("group_by", ["picture", "recording"])
@pytest.mark.parametrize("settings", [BY_ERROR, CHOSEN], ids=["by error", "chosen"])
def test_every_exchange_chooses_what_a_fit_would(settings, group_by):
    examples, own, gallery = world(3, signal=0.3)
    if group_by == "recording":  # pictures that recur from fold to fold, few enough to be told apart in pairs
        few = own < 6
        examples, own = examples.take(few), own[few]
        examples = replace(examples, groups=np.arange(len(own)) * 5 // len(own))
    handed = np.stack([np.random.default_rng(seed).permutation(PICTURES)[: own.max() + 1] for seed in range(12)])
    taught = replace(examples, targets=np.eye(own.max() + 1)[own])
    found = choices_of_each(taught, gallery.embeddings, handed, LAYOUT, settings)
    wanted = []
    for given in handed:
        fitted = fit_map(replace(examples, targets=gallery.embeddings[given[own]]), LAYOUT, settings)
        wanted.append((fitted.choice.candidate if fitted.choice else Candidate(), fitted.alpha))
    assert found == wanted
    assert group_by == "recording" or len(set(found)) > 1


def test_of_very_many_trials_some_are_asked_of_maps_that_learn_from_all(monkeypatch):
    examples, own, gallery = world(4, signal=0.5)
    held_out = cross_validate(examples, LAYOUT, ONE_ALPHA)
    arguments = (examples, own, gallery, LAYOUT, ONE_ALPHA, held_out)
    every = null_of_pictures(*arguments)
    monkeypatch.setattr(picture_null, "MOST_TRIALS", 80)
    some = null_of_pictures(*arguments)
    assert abs(some.observed - every.observed) < 0.05
    assert permutation_p(some.observed, some.draws) == permutation_p(every.observed, every.draws) == 1 / 25
    assert 1.0 < some.draws.std() / every.draws.std() < 2.5
    assert abs(some.draws.mean() - 0.5) < 0.04
    assert every.of_all
    widths = [
        float(
            np.diff(
                summarise(held_out.predicted, examples.names, held_out.folds, gallery, 24, 0, null)["two_way_interval"]
            )[0]
        )
        for null in (every, some)
    ]
    assert widths[1] / widths[0] == pytest.approx(1, abs=0.15), "all trials were scored"


def test_many_pictures_in_many_dimensions_leave_time_for_fewer_trials(monkeypatch):
    examples, own, gallery = world(4, signal=0.5)
    held_out = cross_validate(examples, LAYOUT, ONE_ALPHA)
    monkeypatch.setattr(picture_null, "FEWEST_TRIALS", 20)
    monkeypatch.setattr(picture_null, "_MOST_PRODUCTS", 60 * 25 * PICTURES * DIMS)
    told, asked, score = [], [], picture_null.retrieve
    monkeypatch.setattr(picture_null, "retrieve", lambda *args: asked.append(len(args[0])) or score(*args))
    null = null_of_pictures(
        examples, own, gallery, LAYOUT, ONE_ALPHA, held_out, progress=lambda done, total: told.append((done, total))
    )
    assert set(asked) == {60}
    assert not null.of_all
    assert told == sorted(told)
    assert {total for _, total in told} == {6}
    assert (told[0][0], told[-1][0]) == (0, 5 + 24 / 25)


def test_choices_stay_where_trials_are_too_many_or_only_a_width_is_wanted(monkeypatch):
    examples, own, gallery = world(3)
    held_out = cross_validate(examples, LAYOUT, CHOSEN)
    arguments = (examples, own, gallery, LAYOUT, CHOSEN, held_out)
    anew, stay = null_of_pictures(*arguments), null_of_pictures(*arguments, anew=False)
    monkeypatch.setattr(exchanged_choices, "_MOST_PRODUCTS", 1)
    np.testing.assert_array_equal(null_of_pictures(*arguments).draws, stay.draws)
    assert stay.observed == anew.observed
    assert not np.array_equal(stay.draws, anew.draws)


@pytest.mark.slow
def test_without_information_p_values_are_even_and_intervals_hold_chance():
    sets, low_p, covered, wider = 30, 0, 0, []
    for seed in range(sets):
        examples, own, gallery = world(seed)
        held_out = cross_validate(examples, LAYOUT, ONE_ALPHA)
        null = null_of_pictures(examples, own, gallery, LAYOUT, ONE_ALPHA, held_out)
        alone = null_by_pictures(retrieve(held_out.predicted, own, held_out.folds, gallery), 200, seed)
        wider.append(null.draws.std() / alone.std())
        found = summarise(held_out.predicted, examples.names, held_out.folds, gallery, 99, seed, null)
        low_p += found["p"] <= 0.05
        covered += found["two_way_interval"][0] <= 0.5 <= found["two_way_interval"][1]
    # Each two trials of different folds count twice: the variance doubles.
    assert np.mean(wider) == pytest.approx(np.sqrt(2), abs=0.15)
    assert low_p <= 0.05 * sets + 3 * np.sqrt(0.05 * 0.95 * sets)
    assert covered >= 0.95 * sets - 3 * np.sqrt(0.05 * 0.95 * sets)


def test_information_is_found_and_large_calibrations_take_no_longer_than_they_must(monkeypatch):
    examples, own, gallery = world(1, signal=1.0)
    monkeypatch.setattr(picture_null, "MOST_PERMUTATIONS", 20)
    null = null_of_pictures(examples, own, gallery, LAYOUT, ONE_ALPHA, cross_validate(examples, LAYOUT, ONE_ALPHA))
    assert len(null.draws) == 20
    assert null.observed > null.draws.max()


def test_epochs_with_artefacts_are_predicted_and_not_learned_from():
    examples, own, gallery = world(2)
    examples = replace(examples, teaches=np.arange(len(own)) % 5 > 0)
    settings = ONE_ALPHA.model_copy(update={"permutations": 3})
    held_out = cross_validate(examples, LAYOUT, settings)
    null = null_of_pictures(examples, own, gallery, LAYOUT, settings, held_out)
    wild = examples.samples.copy()
    wild[~examples.teaches] *= 1e3
    again = null_of_pictures(replace(examples, samples=wild), own, gallery, LAYOUT, settings, held_out)
    assert np.isfinite(again.draws).all()
    assert not np.array_equal(null.draws, again.draws), "their predictions count"


def test_a_labelling_without_a_score_makes_no_p_value_small():
    """Where a fold happens to hold one class alone, a draw of the null is not a number."""
    null = np.array([np.nan, 0.45, 0.7, 0.65])
    assert summary._p(0.6, null, None, 1.0) == permutation_p(0.6, null) == 3 / 5
