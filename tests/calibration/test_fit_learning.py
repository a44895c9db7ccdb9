"""A fit of very many trials that was interrupted goes on with what was chosen, and ends the same."""

import numpy as np
import pytest

from calibration import fit_learning
from calibration.data import kept
from calibration.fit_learning import learn
from calibration.model import choosing
from configs.schema import Config, FitSettings, WindowSettings
from tests.support.calibration_examples import make_trials

CONFIG = Config(
    window=WindowSettings(start_s=0.0, stop_s=0.4, baseline_s=None),
    fit=FitSettings(alphas=(10.0, 100.0, 1000.0), folds=3),
)


class Interrupted(Exception):
    pass


@pytest.fixture
def large(monkeypatch, tmp_path):
    """Every fit counts as large, and as long; returns the folder in which states are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fit_learning, "LARGE", 0)
    monkeypatch.setattr(kept, "EVERY_S", 0.0)
    return tmp_path / "perceptogram" / "fits"


@pytest.mark.parametrize(("part", "after", "folds"), [("cross-validate", 1.5, 1), ("map", 0.5, 3)])
def test_a_fit_that_was_interrupted_goes_on_and_ends_the_same(large, monkeypatch, part, after, folds):
    trials, targets = make_trials(n_pictures=40, repeats=2)
    whole = learn(trials, targets, CONFIG)
    assert not any(large.iterdir())  # nothing is left of a fit that has its result

    def cut(stage, done, _total):
        if stage == part and done >= after:
            raise Interrupted

    with pytest.raises(Interrupted):
        learn(trials, targets, CONFIG, cut)
    states = sorted(path.relative_to(path.parents[1]).as_posix() for path in large.rglob("*.pt"))
    assert states == [f"fold-{place}/choice.pt" for place in range(folds)]
    paths, path = [], choosing.held_out_path
    monkeypatch.setattr(choosing, "held_out_path", lambda *given: paths.append(1) or path(*given))
    again = learn(trials, targets, CONFIG)
    options = len(whole.mapping.choice.by_candidate)
    assert len(paths) == options * (4 - folds)
    assert str(again.mapping.choice) == str(whole.mapping.choice)
    np.testing.assert_array_equal(again.mapping.map.weights, whole.mapping.map.weights)
    np.testing.assert_array_equal(again.held_out.predicted, whole.held_out.predicted)
    for one, other in zip(again.held_out.choices, whole.held_out.choices, strict=True):
        np.testing.assert_array_equal(one.errors, other.errors)
        np.testing.assert_array_equal(one.scores, other.scores)
    assert not any(large.iterdir())


def test_each_part_of_a_fit_says_how_far_it_is():
    told = []
    trials, targets = make_trials(n_pictures=30, repeats=2)
    learn(trials, targets, CONFIG, lambda *how_far: told.append(how_far))
    for part, total in (("cross-validate", 3), ("map", 1)):
        done = [one[1] for one in told if one[0] == part]
        assert done == sorted(done)
        assert len(set(done)) > 3
        assert (done[-1], {one[2] for one in told if one[0] == part}) == (total, {total})


def test_other_trials_are_another_fit(large):
    (trials, targets), (others, _) = make_trials(), make_trials(seed=1)

    def cut(_stage, done, _total):
        if done >= 1.5:
            raise Interrupted

    for one in (trials, others):
        with pytest.raises(Interrupted):
            learn(one, targets, CONFIG, cut)
    assert len(list(large.iterdir())) == 2
