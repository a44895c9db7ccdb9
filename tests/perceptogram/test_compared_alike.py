"""A session, live or replayed, its summary and `evaluate` compare embeddings with pictures by the same likelihood."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.evaluate import score
from calibration.model.folding import LinearMap
from perceptogram.live.summary import _score
from realtime.decoding.bundle import load_bundle
from realtime.decoding.evidence import ConfidenceModel
from realtime.decoding.likelihood import Likelihood
from realtime.session import Decoded, Session
from tests.support.session_parts import CONFIG, DIMS, ListSource, bundle, recording


@pytest.fixture
def calibrated(tmp_path):
    """A bundle with a likelihood and a confidence, as it is read from its folder."""
    plain, rng = bundle(), np.random.default_rng(3)
    spread = LinearMap(plain.weights, plain.bias).predict(np.stack([event.epoch.samples for event in run(plain)]))
    likelihood = Likelihood(
        spread.mean(axis=0),
        rng.uniform(0.1, 0.9, DIMS).astype(np.float32),
        (rng.uniform(1, 5, DIMS) / spread.std(axis=0)).astype(np.float32),
        rng.standard_normal((DIMS, DIMS)).astype(np.float32),
    )
    gallery = replace(plain.gallery, likelihood=likelihood)
    made = replace(plain, gallery=gallery, confidence=ConfidenceModel(1.0, 0.2, 1e9))
    made.save(tmp_path / "bundle")
    return load_bundle(tmp_path / "bundle")


def run(calibration, cuts=range(0, 100_000, 10), late=0.0, live=False, accumulate=True):
    evidence = CONFIG.evidence.model_copy(update={"accumulate": accumulate})
    config = CONFIG.model_copy(update={"evidence": evidence})
    session = Session(config, calibration, ListSource(*recording(), cuts, late, live=live), None, clock=lambda: 0.0)
    return [event for event in session.run() if isinstance(event, Decoded)]


def test_live_and_replayed_say_the_same(calibrated):
    live = {e.percept.trial: e.percept for e in run(calibrated, np.arange(7, 3500, 7), late=0.3, live=True)}
    replayed = {e.percept.trial: e.percept for e in run(calibrated, [])}
    assert live.keys() == replayed.keys()
    for trial, percept in live.items():
        other = replayed[trial]
        assert percept.confidence == pytest.approx(other.confidence, rel=1e-4)
        assert percept.two_way == other.two_way
        assert [near.name for near in percept.neighbours] == [near.name for near in other.neighbours]
        reach = calibrated.gallery.compare(percept.embedding).reach
        assert percept.neighbours[0].name == calibrated.gallery.names[int(reach.argmax())]
        np.testing.assert_allclose(percept.embedding, other.embedding, rtol=1e-4, atol=1e-3)


def test_session_summary_and_evaluation_have_one_score(calibrated):
    decoded = run(calibrated, accumulate=False)
    told = np.mean([event.percept.two_way for event in decoded])
    by_angle = replace(calibrated, gallery=replace(calibrated.gallery, likelihood=None))
    assert told != pytest.approx(np.mean([e.percept.two_way for e in run(by_angle, accumulate=False)]), abs=0.01)
    singles = [(event.percept.picture, event.single) for event in decoded]
    assert _score(singles, calibrated, 0)["two_way"] == pytest.approx(told, abs=1e-4)
    trials = Epochs(np.stack([event.epoch.samples for event in decoded]), np.array([name for name, _ in singles]))
    assert score(calibrated, trials, CONFIG, permutations=0)["two_way"] == pytest.approx(told, abs=1e-4)


class Epochs:
    """What `score` reads of trials."""

    def __init__(self, samples, names):
        self.samples, self.names = samples, names

    def __len__(self):
        return len(self.names)
