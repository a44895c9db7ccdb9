"""The head as it runs is the head as it was trained, and its scores compare within folds alone."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.errors import FitError
from calibration.fit import fit_trials
from calibration.heads.identification import HeadTargets, fit_head, judge
from calibration.model.folding import subtract_baseline
from calibration.model.linear_model import cross_validate
from calibration.model.scaling import AS_THEY_ARE, scale
from calibration.scores.retrieval import retrieve
from configs.schema import FitSettings, parse_config
from realtime.decoding.bundle import load_bundle
from realtime.decoding.linear_decoder import LinearDecoder
from tests.support.calibration_examples import CHANNELS, as_examples, layout_of, make_trials

SETTINGS = FitSettings(identification_decay=(0.0,), identification_dims=8, folds=3, permutations=50)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made():
    trials, targets = make_trials(n_pictures=60, repeats=4, signal=0.8)
    head_targets = HeadTargets(targets.gallery, targets.gallery.embeddings[None], "made up")
    return trials, targets, head_targets, as_examples(trials, targets), layout_of(trials)


@pytest.mark.parametrize("residual", [False, True])
def test_what_is_folded_is_what_was_trained(made, residual):
    """Window in microvolts to output in one product, baseline, whitening and scaling in it."""
    trials, _, targets, examples, layout = made
    head = fit_head(examples, targets, layout, SETTINGS.model_copy(update={"residual": residual}), AS_THEY_ARE, 100.0)
    scaling, features = scale(examples.samples, layout, True, AS_THEY_ARE)
    window = subtract_baseline(trials.samples, layout.baseline, layout.start)
    assert window.shape[2] == len(CHANNELS)
    summed = head.map.predict(trials.samples)
    # linear in the features, without a constant about their mean
    design = np.c_[features, np.ones(len(features))]
    weights, *_ = np.linalg.lstsq(design, summed, rcond=None)
    np.testing.assert_allclose(design @ weights, summed, atol=1e-3)
    np.testing.assert_allclose(summed.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(scaling.apply(trials.samples), features)
    assert (head.residual is not None) == residual
    shown = head.embeddings
    assert np.sqrt(np.mean(shown**2)) == pytest.approx(1.0, abs=1e-3)

    decoder = LinearDecoder(head.map.weights, head.map.bias, head.residual)
    decoder.open(0)
    decoder.add(0, 0, trials.samples[0, :13])
    decoder.add(0, 13, trials.samples[0, 13:])
    np.testing.assert_allclose(decoder.close(0), head.predict(trials.samples[:1])[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("group_by", ["picture", "recording"])
def test_a_fold_is_compared_with_its_own_projection(made, group_by):
    trials, targets, head_targets, plain, layout = made
    examples = replace(plain, groups=trials.names if group_by == "picture" else trials.recordings)
    held_out = cross_validate(examples, layout, SETTINGS)
    found = judge(examples, head_targets, layout, SETTINGS, held_out)
    turned = judge(examples, head_targets, layout, SETTINGS, held_out, np.roll(head_targets.layers[0], 1, 0)[:, :8])
    assert set(found.pictures) == set(trials.names)
    scores = []
    for one in (found, turned):
        own = np.array([one.gallery.numbers[name] for name in one.names])
        assert [one.pictures[place] for place in own] == trials.names.tolist()
        assert [one.gallery.labels[place] for place in own] == [
            targets.gallery.labels[targets.gallery.numbers[name]] for name in trials.names
        ]
        scores.append(retrieve(one.predicted, own, one.folds, one.gallery))
    np.testing.assert_allclose(scores[0].two_way, scores[1].two_way, atol=1e-6)
    assert scores[0].two_way.mean() > 0.7


def config(**fit):
    told = {"window": {"start_s": 0.0, "stop_s": 0.4, "baseline_s": [-0.2, 0.0]}}
    return parse_config(told | {"fit": {**SETTINGS.model_dump(exclude_unset=True), **fit}}, "test")


def test_a_bundle_with_a_contrastive_head_is_scored_and_runs(made, tmp_path):
    trials, targets, *_ = made
    told = []
    result = fit_trials(trials, targets, config(identification="contrastive"), progress=lambda *what: told.append(what))
    bundle = result.bundle
    assert bundle.fit["told_apart_by"]["chosen"] == "contrastive"
    assert bundle.identification.targets == "made/up (12-d, un-normalised)"
    assert bundle.scores["two_way"] > 0.7
    assert bundle.scores["p"] < 0.05
    assert bundle.confidence.gain > 0
    assert {stage for stage, *_ in told} >= {"identification"}
    done = [(count, total) for stage, count, total in told if stage == "identification"]
    assert done == sorted(done)
    assert done[-1][0] <= done[-1][1]
    bundle.save(tmp_path / "b")
    again = load_bundle(tmp_path / "b")
    np.testing.assert_array_equal(again.identification.weights, bundle.identification.weights)
    assert again.candidates.names == bundle.gallery.names
    assert not list((tmp_path / "cache").rglob("*.pt"))


def test_the_first_head_is_the_same_whatever_tells_pictures_apart(made):
    trials, targets, *_ = made
    same, other = (fit_trials(trials, targets, config(identification=one)).bundle for one in ("same", "contrastive"))
    np.testing.assert_array_equal(same.weights, other.weights)
    np.testing.assert_array_equal(same.gallery.embeddings, other.gallery.embeddings)
    assert same.identification is None


def test_few_weak_trials_keep_the_ridge_map():
    trials, targets = make_trials(n_pictures=40, repeats=2, signal=0.15)
    bundle = fit_trials(trials, targets, config(identification="auto")).bundle
    assert bundle.fit["told_apart_by"]["chosen"] != "contrastive"
    assert "first head" in bundle.fit["told_apart_by"]["head"]


def test_classes_have_no_contrastive_head():
    trials, targets = make_trials(n_pictures=2, repeats=30)
    with pytest.raises(FitError, match=r"contrastive tells many pictures apart, and here there are 2"):
        fit_trials(trials, targets, config(identification="contrastive", group_by="recording"))
    auto = config(identification="auto", group_by="recording")
    assert fit_trials(trials, targets, auto).bundle.identification is None
