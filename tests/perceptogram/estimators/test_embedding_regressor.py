"""The estimator is the command's fit, and behaves as scikit-learn and MNE expect of one."""

import mne
import numpy as np
import pytest
from mne.decoding import Scaler, cross_val_multiscore
from sklearn.model_selection import PredefinedSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from calibration.data.mne_epochs import as_epochs
from calibration.errors import FitError
from calibration.fit import fit_trials
from calibration.maps.attributes import Attribute
from configs.schema import Config, FilterSettings, FitSettings, WindowSettings
from perceptogram.estimators import EmbeddingRegressor
from realtime.sources.base import StreamSpec
from tests.support import documented
from tests.support.calibration_examples import CHANNELS, RATE_HZ, make_trials

CONFIG = Config(
    window=WindowSettings(start_s=0.0, stop_s=0.4, baseline_s=(-0.2, 0.0)),
    fit=FitSettings(permutations=20, folds=3, windows=(), alphas=(1.0, 100.0, 10_000.0)),
)


@parametrize_with_checks([EmbeddingRegressor()])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def made():
    trials, targets = make_trials(n_pictures=40, signal=2.0)
    targets = targets.scaled_by(trials.names)
    return trials, targets, fit_trials(trials, targets, CONFIG)


def volts_of(trials):
    return trials.samples.swapaxes(1, 2).astype(np.float64) / 1e6


def on_array(**more):
    return EmbeddingRegressor(CONFIG, tmin=-0.2, sfreq=RATE_HZ, **more)


def test_arrays_and_epochs_give_the_commands_map_bit_by_bit(made):
    trials, targets, fitted = made
    y = targets.of(trials.names)
    from_array = on_array().fit(volts_of(trials), y, groups=trials.names)
    from_epochs = EmbeddingRegressor().fit(as_epochs(trials, CONFIG), y)
    longer = np.pad(volts_of(trials), ((0, 0), (0, 0), (5, 10)))  # what lies outside the window changes nothing
    from_longer = EmbeddingRegressor(CONFIG, tmin=-0.3, sfreq=RATE_HZ).fit(longer, y, groups=trials.names)
    for estimator in (from_array, from_epochs, from_longer):
        np.testing.assert_array_equal(estimator.weights_, fitted.bundle.weights)
        np.testing.assert_array_equal(estimator.bias_, fitted.bundle.bias)
        assert estimator.alpha_ == fitted.bundle.fit["alpha"]


def test_two_way_is_the_fits_for_the_same_folds(made):
    trials, targets, fitted = made
    folds = fitted.held_out.folds
    estimator = on_array(gallery=targets.gallery)
    scores = cross_val_multiscore(
        estimator, volts_of(trials), targets.of(trials.names), cv=PredefinedSplit(folds), n_jobs=1, verbose="error"
    )
    share = np.bincount(folds) / len(folds)
    assert fitted.bundle.scores["two_way"] > 0.8
    assert float(scores @ share) == pytest.approx(fitted.bundle.scores["two_way"], abs=1e-4)


def test_it_stands_in_a_pipeline(made):
    trials, targets, _ = made
    epochs, y = as_epochs(trials, CONFIG), targets.of(trials.names)
    pipeline = make_pipeline(Scaler(epochs.info), on_array())
    assert np.mean(cross_val_score(pipeline, volts_of(trials), y, cv=3)) > 0.6
    with pytest.raises(ValueError, match=r"give epochs\.get_data\(\)"):  # scikit-learn makes epochs of epochs
        cross_val_multiscore(EmbeddingRegressor(), epochs, y, cv=2, n_jobs=1, verbose="error")


def test_the_page_says_what_runs(capsys):
    (block,) = [one for one in documented.blocks() if (one.page, one.language) == ("docs/notebooks.md", "python")]
    exec(block.text, {})
    assert float(capsys.readouterr().out.split("identification ")[1].split(",")[0]) > 0.7


def test_noise_scores_at_chance():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(200, 4, 20)), rng.normal(size=(200, 6))
    estimator = EmbeddingRegressor(CONFIG).fit(x[:100], y[:100])
    assert estimator.score(x[100:], y[100:]) == pytest.approx(0.5, abs=0.06)


def test_a_pattern_lies_where_the_signal_is():
    rng = np.random.default_rng(0)
    names = np.array([f"p{i:02d}" for i in range(40)])
    table = rng.normal(size=(40, 4)).astype(np.float32)
    shown = rng.permutation(np.tile(np.arange(40), 5))
    volts = rng.normal(0, 1e-6, (200, 3, 30))
    volts[:, 1, 10:20] += 3e-6 * table[shown, 0][:, None]
    volts[:, 2] += 0.8 * volts[:, 0]
    bright = Attribute("brightness", "circular", table[:, 0].astype(float), tuple(names), ("low", "high"))
    estimator = EmbeddingRegressor(CONFIG, tmin=0.0, sfreq=75.0)
    estimator.config = CONFIG.model_copy(update={"window": WindowSettings(start_s=0.0, stop_s=0.4)})
    estimator.fit(volts, table[shown], groups=names[shown])
    evoked = estimator.patterns_evoked(table[shown, 0])
    assert isinstance(evoked, mne.EvokedArray)
    assert evoked.get_peak()[0] == evoked.ch_names[1]
    assert 2e-6 < evoked.data[1, 10:20].mean() < 3e-6  # less than what was put in: what is decoded holds noise
    assert np.abs(evoked.data[[0, 2]]).max() < 1e-6
    with pytest.raises(ValueError, match="one number a training trial"):
        estimator.patterns_evoked(bright, "nothing")


def test_its_bundle_is_the_commands_and_comes_back(made):
    trials, targets, fitted = made
    y = targets.of(trials.names)
    estimator = EmbeddingRegressor(gallery=targets.gallery).fit(as_epochs(trials, CONFIG), y)
    bundle = estimator.to_bundle()
    np.testing.assert_array_equal(bundle.weights, fitted.bundle.weights)
    assert bundle.scores == fitted.bundle.scores
    assert bundle.confidence == fitted.bundle.confidence
    bundle.check_runs()
    back = EmbeddingRegressor.from_bundle(bundle)
    np.testing.assert_array_equal(back.predict(volts_of(trials)), estimator.predict(as_epochs(trials, CONFIG)))
    with pytest.raises(ValueError, match="no patterns"):
        back.patterns_evoked(np.zeros(3))


def test_of_arrays_the_stream_must_be_told(made):
    trials, targets, fitted = made
    estimator = on_array(gallery=targets.gallery).fit(volts_of(trials), targets.of(trials.names), groups=trials.names)
    with pytest.raises(FitError, match="which stream"):
        estimator.to_bundle()
    spec = StreamSpec("amp", "EEG", "", 4 * RATE_HZ, CHANNELS)
    with pytest.raises(FitError, match="the epochs have 50 Hz, the stream gives 200 Hz"):
        estimator.to_bundle(stream=spec)
    causal = FilterSettings(highpass_hz=0.5, lowpass_hz=20.0, rate_hz=RATE_HZ)
    bundle = estimator.to_bundle(stream=spec, filters=causal)
    assert (bundle.rate_hz, bundle.spec, bundle.filters["rate_in_hz"]) == (RATE_HZ, spec, 4 * RATE_HZ)
    np.testing.assert_array_equal(bundle.weights, fitted.bundle.weights)


def test_what_no_stream_can_match_is_said(made):
    trials, targets, _ = made
    y, spec = targets.of(trials.names), StreamSpec("amp", "EEG", "", RATE_HZ, CHANNELS)
    known = as_epochs(trials, CONFIG)
    plain = mne.EpochsArray(
        known.get_data(), mne.create_info(list(CHANNELS), RATE_HZ, "eeg"), known.events, -0.2, known.event_id,
        metadata=known.metadata, verbose="error",
    )  # fmt: skip
    filtered = plain.copy().filter(1.0, 20.0, verbose="error")
    estimator = EmbeddingRegressor(CONFIG, gallery=targets.gallery)
    with pytest.raises(FitError, match="zero phase"):
        estimator.fit(filtered, y).to_bundle(stream=spec)
    late = CONFIG.model_copy(update={"window": WindowSettings(stop_s=0.2, baseline_s=(0.1, 0.38))})
    with pytest.raises(FitError, match=r"baseline \[0.1, 0.38\] ends after the window"):
        EmbeddingRegressor(late, gallery=targets.gallery).fit(plain, y).to_bundle(stream=spec)
    based = plain.copy().apply_baseline((-0.2, -0.1), verbose="error")
    with pytest.raises(FitError, match="MNE has subtracted a baseline"):
        estimator.fit(based, y).to_bundle(stream=spec)
    with pytest.raises(FitError, match="changed after they had been cut"):
        EmbeddingRegressor(gallery=targets.gallery).fit(known.copy().filter(1.0, 20.0, verbose="error"), y).to_bundle()
    assert estimator.fit(plain, y).to_bundle(stream=spec).filters["stages"] == []
