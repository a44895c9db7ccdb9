import numpy as np
import pytest

from calibration.data.targets import given_targets
from calibration.data.trials import Trials
from calibration.fit import fit_trials
from calibration.maps.attributes import Attribute, measure_attributes, shown_attributes
from calibration.maps.filtered_patterns import make_patterns
from calibration.model.linear_model import HeldOut
from configs.schema import Config, FitSettings, MarkerSettings, PictureSettings, WindowSettings
from realtime.sources.base import StreamSpec
from realtime.spaces import EmbeddingSpace
from stimuli.pictures import open_pictures
from tests.support.calibration_examples import make_trials
from tests.support.simulated_epochs import CHANNELS, RATE_HZ, TIMES_S, latency_s, make_examples

CONFIG = Config(window=WindowSettings(stop_s=0.4), fit=FitSettings(permutations=20))


@pytest.fixture(scope="module")
def calibration():
    """A fit of a simulated participant whose targets are the pictures' own attributes, mixed, as an encoder would."""
    examples = make_examples(n_pictures=120, repeats=2, snr=2.0)
    names = np.unique(examples.names)
    attributes = measure_attributes(open_pictures(PictureSettings()), names)
    attributes.append(Attribute("lot", "continuous", lot(len(names)), tuple(map(str, names)), ("low", "high")))
    told = np.concatenate([a.design(names) for a in attributes if a.name in ("class", "hue", "lot")], axis=1)
    mixed = told @ np.random.default_rng(0).standard_normal((told.shape[1], 16))
    targets = given_targets(names.tolist(), names.tolist(), mixed.astype(np.float32), EmbeddingSpace("made", "up", 16))
    trials = Trials(
        examples.samples, examples.names, np.arange(len(examples)) * 1.0, np.zeros(len(examples), int), TIMES_S,
        RATE_HZ, StreamSpec("made", "EEG", "made", RATE_HZ, CHANNELS), flags=((),) * len(examples), simulated=True,
    )  # fmt: skip
    return fit_trials(trials, targets, CONFIG), attributes


def lot(n):
    return np.random.default_rng(3).standard_normal(n)


def patterns_of(result, attributes, held_out=None):
    held_out = result.held_out if held_out is None else held_out
    return make_patterns(result.trials, result.examples, result.layout, held_out, attributes, CONFIG.fit)


def test_what_the_eeg_tells_gets_a_head_at_its_latency_and_nothing_else(calibration):
    result, attributes = calibration
    patterns = patterns_of(result, attributes)
    found = {attribute.name: attribute for attribute in patterns.attributes}
    assert {"class", "hue"} <= set(found)
    assert "lot" not in found
    assert found["hue"].latency_s == pytest.approx(latency_s("hue"), abs=0.02)
    assert found["class"].latency_s == pytest.approx(latency_s("superclass"), abs=0.02)
    assert found["hue"].r > 0.3
    assert found["hue"].p <= 0.05
    assert patterns.maps.shape == (len(patterns.readout.T), len(CHANNELS))


def test_a_percept_of_a_blue_picture_has_the_pattern_of_blue(calibration):
    result, attributes = calibration
    patterns = patterns_of(result, attributes)
    hue = next(attribute for attribute in attributes if attribute.name == "hue")
    angles = np.deg2rad(hue.of(result.trials.names))
    place = [attribute.name for attribute in patterns.attributes].index("hue")
    heads = np.array([patterns.heads(row)[place].values_uv for row in result.held_out.predicted])
    at = round(patterns.attributes[place].latency_s * RATE_HZ)
    for turn in np.deg2rad((0, 90, 180, 270)):
        near = np.cos(angles - turn) > 0.7
        shown = result.trials.samples[near, at].mean(axis=0) - result.trials.samples[:, at].mean(axis=0)
        assert np.corrcoef(heads[near].mean(axis=0), shown)[0, 1] > 0.6


def test_percepts_that_tell_nothing_have_no_pattern(calibration):
    result, attributes = calibration
    noise = np.random.default_rng(0).standard_normal(result.held_out.predicted.shape).astype(np.float32)
    held_out = HeldOut(noise, result.held_out.folds, result.held_out.alphas)
    only = [attribute for attribute in attributes if attribute.name == "lot"]
    assert patterns_of(result, only, held_out) is None
    assert patterns_of(result, []) is None


def test_markers_that_tell_a_class_have_the_class_alone():
    config = Config(markers=MarkerSettings(classes={"1": "house", "2": "face"}))
    (attribute,) = shown_attributes(config, np.array(["house", "face"]))
    assert attribute.levels == ("house", "face")
    trials, _ = make_trials(n_pictures=2, repeats=60, n_recordings=3)
    names = np.where(trials.names == "picture-000", "house", "face")
    table = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    targets = given_targets(attribute.levels, attribute.levels, table, EmbeddingSpace("made", "up", 6))
    result = fit_trials(
        Trials(**{**vars(trials), "names": names}),
        targets,
        config.model_copy(update={"window": WindowSettings(stop_s=0.4), "fit": CONFIG.fit}),
    )
    patterns = make_patterns(result.trials, result.examples, result.layout, result.held_out, [attribute], CONFIG.fit)
    says = [patterns.heads(row)[0].says for row in result.held_out.predicted]
    assert np.mean(np.array(says) == result.trials.names) > 0.7
