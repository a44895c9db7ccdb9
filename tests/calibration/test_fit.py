import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.data.reading import read_windows
from calibration.data.targets import given_targets, make_targets
from calibration.errors import FitError
from calibration.evaluate import evaluate, score
from calibration.fit import fit, fit_trials
from calibration.report.calibration_report import write_report
from configs.schema import Config, FitSettings, MarkerSettings, WindowSettings, load_config
from realtime.decoding.bundle import load_bundle
from realtime.decoding.linear_decoder import LinearDecoder
from realtime.spaces import EmbeddingSpace
from tests.support.calibration_examples import CHANNELS, make_trials
from tests.support.simulated import QUICK

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CONFIG = Config(window=WindowSettings(stop_s=0.4, baseline_s=(-0.2, 0.0)), fit=FitSettings(permutations=50))
PLAIN = CONFIG.model_copy(update={"fit": FitSettings(**QUICK)})
"""For what is not about scores."""
BY_RECORDING = CONFIG.model_copy(update={"fit": FitSettings(group_by="recording")})
CLASSES = CONFIG.model_copy(update={"markers": MarkerSettings(classes={"1": "a", "2": "b"})})
PLAIN_CLASSES = CLASSES.model_copy(update={"fit": PLAIN.fit})


def two_classes(signal=1.0, n_recordings=3):
    trials, _ = make_trials(n_pictures=2, repeats=90, signal=signal, n_recordings=n_recordings)
    names = np.where(trials.names == "picture-000", "a", "b")
    table = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    targets = given_targets(("a", "b"), ("a", "b"), table, EmbeddingSpace("made", "up", 6))
    return type(trials)(**{**vars(trials), "names": names}), targets


@pytest.fixture(scope="module")
def fitted():
    """What most fits are made of, and its fit with scores."""
    trials, targets = make_trials(signal=2.0)
    return trials, fit_trials(trials, targets, CONFIG)


def test_the_bundle_decodes_live_what_was_cross_validated(fitted, tmp_path):
    trials, result = fitted
    result.bundle.save(tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    decoder = LinearDecoder(bundle.weights, bundle.bias)
    decoder.open(0)
    decoder.add(0, 0, trials.samples[0])
    expected = result.mapping.chain.predict(trials.samples[:1])[0]
    np.testing.assert_allclose(decoder.close(0), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(bundle.mean_input, trials.samples.mean(axis=0), rtol=1e-4)
    assert bundle.spec.channels == CHANNELS
    assert bundle.first_s == pytest.approx(-0.2)
    scores = json.loads((tmp_path / "bundle" / "scores.json").read_text())
    assert scores == bundle.scores
    assert scores["two_way"] > 0.9
    assert scores["p"] == pytest.approx(1 / 51, rel=1e-4)
    assert scores["n_trials"] == len(trials)
    assert set(scores["by_repeats"]) == {"1", "2"}
    assert bundle.fit["group_by"] == "picture"
    assert bundle.fit["alpha"] in CONFIG.fit.alphas
    assert bundle.confidence is not None
    assert bundle.confidence.gain > 0


def test_the_bundle_keeps_the_offset_of_the_markers(tmp_path):
    trials, targets = make_trials(signal=2.0)
    measured = PLAIN.model_copy(update={"markers": MarkerSettings(offset_s=0.0234)})
    fit_trials(trials, targets, measured).bundle.save(tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.completed(CONFIG).markers.offset_s == 0.0234
    own = CONFIG.model_copy(update={"markers": MarkerSettings(offset_s=0.001)})
    assert bundle.completed(own).markers.offset_s == 0.001


def test_two_classes_are_told_apart_by_recording():
    trials, targets = two_classes()
    result = fit_trials(trials, targets, CLASSES)
    scores = result.bundle.scores
    assert scores["auc"] > 0.8
    assert scores["auc_p"] < 0.02
    assert len(scores["auc_by_fold"]) == 3
    assert result.bundle.fit["group_by"] == "recording"
    for fold in np.unique(result.held_out.folds):
        assert len(np.unique(trials.recordings[result.held_out.folds == fold])) == 1


def test_one_recording_is_cut_into_stretches():
    trials, targets = two_classes(n_recordings=1)
    result = fit_trials(trials, targets, PLAIN_CLASSES)
    assert result.bundle.scores["auc"] > 0.8
    # Each fold is one stretch of neighbours, so that slow drifts are not on both sides.
    assert np.count_nonzero(np.diff(result.held_out.folds)) == len(np.unique(result.held_out.folds)) - 1


def test_the_null_goes_through_the_same_procedure():
    trials, targets = make_trials(signal=2.0)
    noise, _ = make_trials(signal=0.0)
    scores = fit_trials(trials, targets, PLAIN, null=noise).bundle.scores
    assert abs(scores["baseline_two_way"] - 0.5) < 0.1
    assert scores["baseline_two_way_interval"][0] < 0.5 < scores["baseline_two_way_interval"][1]
    leaky = fit_trials(trials, targets, PLAIN, null=trials).bundle.scores
    assert leaky["baseline_two_way"] > 0.9


def test_the_same_input_gives_the_same_bundle(fitted):
    trials, targets = make_trials(signal=2.0)
    first, second = fitted[1].bundle, fit_trials(trials, targets, CONFIG).bundle
    assert np.array_equal(first.weights, second.weights)
    assert first.scores == second.scores


def test_averaged_repeats_fit_too():
    trials, targets = make_trials(signal=1.5)
    config = PLAIN.model_copy(update={"fit": PLAIN.fit.model_copy(update={"average_repeats": True})})
    assert fit_trials(trials, targets, config).bundle.scores["two_way"] > 0.85


def test_scores_on_new_trials():
    trials, targets = make_trials(signal=2.0)
    first = trials.onsets < 100
    bundle = fit_trials(trials.take(first), targets, PLAIN).bundle
    found = score(bundle, trials.take(~first), CONFIG)
    assert found["two_way"] > 0.9
    assert found["p"] < 0.02
    unknown = type(trials)(**{**vars(trials), "names": np.full(len(trials), "never-seen")})
    with pytest.raises(FitError, match="never-seen"):
        score(bundle, unknown, CONFIG)


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (lambda t: t.take(np.arange(7)), CONFIG, "7 usable trials"),
        (lambda t: t.take(np.flatnonzero(t.names == "a")), CLASSES, "no trial of class 'b'"),
        (lambda t: t.take(np.flatnonzero(t.names == "a")), CONFIG, "all 90 trials show 'a'"),
        (lambda t: t, CONFIG, "2 pictures are too few .* fit.group_by: recording"),
        (
            lambda t: t.take(np.r_[np.flatnonzero(t.names == "a"), np.flatnonzero(t.names == "b")[:3]]),
            CLASSES,
            "only 3",
        ),
        (lambda t: type(t)(**{**vars(t), "samples": t.samples * [1, 0, 1, 1]}), CLASSES, "flat throughout: Oz"),
        (
            lambda t: replace(t, samples=t.samples * np.float32(1e-6)),
            CLASSES,
            r"no electrode swings by .* stream\.unit",
        ),
    ],
)
def test_says_what_is_wrong(change, config, message):
    trials, targets = two_classes()
    with pytest.raises(FitError, match=message):
        fit_trials(change(trials), targets, config)


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["aaaaaaaa", "aaaabbbb", "abcdefgh"])
def test_a_folder_of_a_few_pictures_is_scored_and_reported(labels, tmp_path):
    trials, targets = make_trials(n_pictures=8, repeats=30, signal=1.0)
    targets = replace(targets, gallery=replace(targets.gallery, labels=tuple(labels)))
    result = fit_trials(trials, targets, CONFIG)
    scores = result.bundle.scores
    assert result.bundle.fit["folds"] == 4
    assert scores["two_way"] > scores["two_way_interval"][0] > 0.5
    assert scores["n_way"] == 2
    assert 0 < scores["calibration_error"] < 0.3
    write_report(result, tmp_path / "report.html", CONFIG)
    assert "2-way" in (tmp_path / "report.html").read_text()


def test_a_recording_of_one_class_after_another_is_reported(tmp_path):
    trials, targets = two_classes(n_recordings=1)
    result = fit_trials(trials.take(np.argsort(trials.names, kind="stable")), targets, PLAIN_CLASSES)
    write_report(result, tmp_path / "report.html", PLAIN_CLASSES)
    assert "AUC" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("config", [CLASSES, BY_RECORDING], ids=["classes", "pictures"])
@pytest.mark.parametrize(
    ("recordings", "message"),
    [
        (lambda a, _late: np.where(a, 0, 1), "each recording shows one (class|picture) alone"),
        (lambda a, late: np.where(a, 0, 1) + 2 * late, "each recording shows one (class|picture) alone"),
        (lambda a, late: np.where(late & a, 1, 0), "without recording 1, held out .*, all others show 'a' alone"),
    ],
)
def test_recordings_of_one_class_cannot_be_held_out(config, recordings, message):
    trials, targets = two_classes()
    late = np.arange(len(trials)) > len(trials) // 2
    trials = replace(trials, recordings=recordings(trials.names == "a", late))
    with pytest.raises(FitError, match=message):
        fit_trials(trials, targets, config)


def test_signals_larger_than_an_eeg_are_said_to_be(caplog):
    trials, targets = make_trials()
    fit_trials(replace(trials, samples=trials.samples * np.float32(1e6)), targets, PLAIN)
    assert any("is stream.unit the unit" in record.message for record in caplog.records)


def test_flagged_trials_teach_nothing_unless_nearly_all_are_flagged(caplog):
    trials, targets = make_trials()
    some = tuple(("peak-to-peak Oz",) if i % 10 == 0 else () for i in range(len(trials)))
    most = tuple(() if i % 10 == 0 else ("peak-to-peak Oz",) for i in range(len(trials)))
    taught = [
        fit_trials(type(trials)(**{**vars(trials), "flags": flags}), targets, PLAIN).bundle.fit["n_taught"]
        for flags in (some, most)
    ]
    assert taught == [len(trials) - len(trials) // 10, len(trials)]
    assert "raise artefacts.peak_to_peak_uv" in caplog.text


def with_few_permutations(preset):
    """The preset with as many permutations as p < 0.01 takes."""
    return with_permutations(load_config(preset), 100)


def with_permutations(config, permutations):
    return config.model_copy(update={"fit": config.fit.model_copy(update={"permutations": permutations})})


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Embeddings that this module computes once, and not in the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.skipif(not (DATA / "muse_n170").is_dir(), reason="the recordings of ../shared/data are not here")
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_real_person_sees_faces_and_houses(cache):
    runs = [DATA / "muse_n170" / f"run{number}.csv" for number in (1, 2, 3, 4)]
    config = with_few_permutations("muse_n170")
    windows = read_windows(runs, config)
    trials, targets = windows.trials, make_targets(config, windows.trials.names)
    scores = fit_trials(trials, targets, config, windows.pre_stimulus).bundle.scores
    assert scores["auc"] >= 0.68
    assert scores["auc_p"] < 0.01
    assert abs(scores["baseline_auc"] - 0.5) <= 0.05
    bundle = fit_trials(trials.take(trials.recordings < 3), targets, with_permutations(config, 0)).bundle
    found = evaluate(bundle, runs[3:], config)
    assert found["auc"] > 0.62
    assert found["auc_p"] < 0.01
    assert found["refused"] < 30


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "muse_p300").is_dir(), reason="the recordings of ../shared/data are not here")
def test_a_real_person_sees_rare_pictures(cache):
    runs = [DATA / "muse_p300" / f"run{number}.csv" for number in (1, 2, 3)]
    scores = fit(runs, with_few_permutations("muse_p300")).scores
    assert scores["auc"] >= 0.75
    assert scores["auc_p"] < 0.01
