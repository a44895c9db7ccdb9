import numpy as np
import pytest

from calibration.maps.perturbations import INTACT, MIRRORED, perturb
from calibration.model.linear_model import cross_validate
from calibration.scores.summary import summarise
from configs.schema import FitSettings
from realtime.electrodes import mirrored
from tests.support.calibration_examples import as_examples, layout_of, make_trials

SETTINGS = FitSettings()


def tampered(trials, targets, designs):
    names = [f"a{k}" for k in range(len(designs))]
    return perturb(
        as_examples(trials, targets),
        layout_of(trials),
        trials.times_s,
        trials.spec.channels,
        targets.gallery,
        names,
        designs,
        SETTINGS,
    )


def test_left_and_right_change_places():
    order, pairs = mirrored(("O1", "Oz", "o2", "P7", "AUX", "C3", "C4"))
    assert order == [2, 1, 0, 3, 4, 6, 5]
    assert pairs == (("O1", "o2"), ("C3", "C4"))


@pytest.fixture(scope="module")
def found():
    trials, targets = make_trials(signal=2.0)
    truth = targets.of(trials.names).astype(float) - 3
    lot = np.random.default_rng(0).standard_normal(60)
    _, place = np.unique(trials.names, return_inverse=True)
    return trials, targets, *tampered(trials, targets, [truth[:, 11:], lot[place][:, None]])


def test_untouched_eeg_scores_as_in_cross_validation_and_mirrored_eeg_does_not(found):
    trials, targets, result, _ = found
    held_out = cross_validate(as_examples(trials, targets), layout_of(trials), SETTINGS)
    expected = summarise(held_out.predicted, trials.names, held_out.folds, targets.gallery, 0)
    assert result.scores[INTACT].score == pytest.approx(expected["two_way"], abs=1e-3)
    assert result.scores[MIRRORED].high < result.scores[INTACT].low
    assert result.exchanged == (("O1", "O2"),)
    assert (result.n_trials, result.n_pictures) == (180, 60)


def test_mirroring_leaves_alone_what_lies_in_the_middle():
    trials, targets = make_trials(signal=0.0)
    told = targets.of(trials.names) - 3
    trials.samples[:, 15:, 1] += 40 * told[:, 11:] * np.hanning(15)
    result, _ = tampered(trials, targets, [told[:, 11:].astype(float)])
    intact, turned = result.attributes["a0"][INTACT], result.attributes["a0"][MIRRORED]
    assert intact.score > 0.5
    assert turned.score > 0.8 * intact.score


def test_an_attribute_that_the_embedding_tells_is_read_and_a_lot_is_not(found):
    *_, result, _ = found
    told, lot = result.attributes["a0"][INTACT], result.attributes["a1"][INTACT]
    assert told.score > 0.5
    assert told.low > 0
    assert abs(lot.score) < 0.5 * told.score


def test_a_stretch_pulls_where_the_signal_is():
    trials, targets = make_trials(signal=0.0)
    told = targets.of(trials.names) - 3
    trials.samples[:, 18:22, 0] += 60 * told[:, 11:]
    result, _ = tampered(trials, targets, [told[:, 11:].astype(float)])
    pull, low, _ = result.pulls["a0"]
    strongest = result.middles_s[pull.argmax()]
    assert trials.times_s[18] - 0.02 <= strongest <= trials.times_s[21] + 0.02
    assert low[pull.argmax()] > 0
    before = result.middles_s < trials.times_s[18] - 0.06
    assert np.abs(pull[before]).max() < 0.3 * pull.max()


def test_contributions_add_up_to_the_evidence(found):
    trials, targets, _, saliency = found
    examples = as_examples(trials, targets)
    held_out = cross_validate(examples, layout_of(trials), SETTINGS)
    gallery = targets.gallery
    scaled = (held_out.predicted - gallery.mean) / gallery.std
    truth = (examples.targets - gallery.mean) / gallery.std
    reach = np.sum(scaled * truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert saliency.contribution.sum() == pytest.approx(saliency.evidence)
    # The mean window reaches somewhere too; over all pictures that is next to nothing.
    assert saliency.evidence == pytest.approx(reach.mean(), rel=0.1)
    assert saliency.contribution[trials.times_s >= 0].sum() > 0.9 * saliency.evidence
    assert saliency.gradient.shape == trials.samples.shape[1:]
    assert (saliency.gradient >= 0).all()
