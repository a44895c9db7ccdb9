from dataclasses import replace

import numpy as np
import pytest

from calibration.fit import fit_trials
from calibration.fit_answers import PARTS, HeldOutAnswers
from calibration.model.linear_model import cross_validate
from configs.schema import Config, FitSettings, WindowSettings
from tests.support.calibration_examples import as_examples, layout_of, make_trials

SETTINGS = FitSettings(permutations=0, choose="error")
CONFIG = Config(window=WindowSettings(stop_s=0.4, baseline_s=(-0.2, 0.0)), fit=SETTINGS)


def test_the_whole_window_is_answered_as_it_was_cross_validated():
    trials, targets = make_trials()
    examples = as_examples(trials, targets)
    answers = HeldOutAnswers(examples, seed=0)
    held_out = cross_validate(examples, layout_of(trials), SETTINGS, each=answers)
    np.testing.assert_array_equal(answers.rows, np.arange(len(trials)))
    np.testing.assert_allclose(answers.level + answers.moved[-1], held_out.predicted, rtol=1e-3, atol=2e-3)


def test_the_more_is_seen_the_more_an_answer_is_worth():
    trials, targets = make_trials(n_pictures=90, signal=2.0)
    bundle = fit_trials(trials, targets, CONFIG).bundle
    early, scores = bundle.early, bundle.scores["by_time"]
    assert early.at_s == pytest.approx(-0.2 + 0.6 * np.arange(1, PARTS + 1) / PARTS, abs=0.011)
    assert early.stretch[-1] == 1.0
    assert early.share[-1] == 1.0
    before = [one for one in scores if one["at_s"] <= 0.0]
    assert all(abs(one["two_way"] - 0.5) < 0.12 and one["share_of_evidence"] < 0.1 for one in before)
    assert scores[-1]["two_way"] == pytest.approx(bundle.scores["two_way"], abs=1e-3)
    assert scores[-1]["two_way"] > scores[8]["two_way"] > 0.6
    assert early.share[8] < early.share[-1]


def test_nothing_of_a_held_out_fold_enters_what_answers_it():
    """Where one trial is another, the others of its fold are answered as before, and those of other folds are not."""
    trials, targets = make_trials()
    examples = as_examples(trials, targets)
    answers = HeldOutAnswers(examples, seed=0)
    fold = cross_validate(examples, layout_of(trials), SETTINGS, each=answers).folds == 0
    one = int(np.flatnonzero(fold)[0])
    other = trials.samples.copy()
    other[one] *= -3
    changed = HeldOutAnswers(replace(examples, samples=other), seed=0)
    cross_validate(replace(examples, samples=other), layout_of(trials), SETTINGS, each=changed)
    fold[one] = False
    np.testing.assert_array_equal(answers.moved[:, fold], changed.moved[:, fold])
    fold[one] = True
    assert np.abs(answers.moved[:, ~fold] - changed.moved[:, ~fold]).max() > 0.01
