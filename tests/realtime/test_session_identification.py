"""Two heads in one product: the second one tells pictures apart, the first one is painted."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.evaluate import compared
from realtime.decoding.gallery import Gallery
from realtime.decoding.identification_head import IdentificationHead, Residual
from realtime.session import Decoded, PreStimulusDecoded, Session
from tests.support.session_parts import CONFIG, ListSource, SlowRenderer, bundle, recording

EVERY = range(0, 100_000, 10)
DIMS, UNITS = 5, 7


def residual(rng):
    hidden = rng.standard_normal((DIMS, UNITS)).astype(np.float32)
    hidden -= hidden.mean(axis=0)
    output = rng.standard_normal((UNITS, DIMS)).astype(np.float32)
    return Residual(hidden, rng.standard_normal(UNITS, np.float32), output, rng.standard_normal(DIMS, np.float32))


def with_head(*, corrected=False):
    plain, rng = bundle(), np.random.default_rng(6)
    times, channels, _ = plain.weights.shape
    embeddings = rng.standard_normal((4, DIMS)).astype(np.float32)
    gallery = Gallery(plain.gallery.names, plain.gallery.labels, embeddings, *np.float32([[0] * DIMS, [1] * DIMS]))
    weights = rng.standard_normal((times, channels, DIMS)).astype(np.float32)
    bias = rng.standard_normal(DIMS).astype(np.float32)
    head = IdentificationHead(weights, bias, gallery, "made up", residual(rng) if corrected else None)
    return replace(plain, identification=head)


class Keeping(SlowRenderer):
    def __init__(self):
        super().__init__()
        self.painted = []

    def submit(self, request):
        self.painted.append(request.embedding)
        return super().submit(request)


def run(calibration, renderer=None, config=CONFIG):
    session = Session(config, calibration, ListSource(*recording(), EVERY), renderer, clock=lambda: 0.0)
    return list(session.run())


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("corrected", [False, True])
def test_the_second_head_tells_pictures_apart_and_the_first_is_painted(corrected):
    calibration, renderer = with_head(corrected=corrected), Keeping()
    found, plain = of(Decoded, run(calibration, renderer)), of(Decoded, run(bundle()))
    assert len(found) == len(plain) == len(renderer.painted) == 16
    seen = {}
    for event, alone, painted in zip(found, plain, renderer.painted, strict=True):
        [single] = compared(calibration, event.epoch.samples[None])
        np.testing.assert_allclose(event.single, single, rtol=1e-3, atol=1e-2)
        seen.setdefault(event.percept.picture, []).append(single)
        mean = np.mean(seen[event.percept.picture], axis=0)
        np.testing.assert_allclose(event.percept.compared, mean, rtol=1e-3, atol=2e-2)
        nearest = calibration.candidates.rank(event.percept.compared, 4)
        assert event.percept.neighbours == nearest
        np.testing.assert_allclose(painted, alone.percept.embedding, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(painted, event.percept.embedding)


def test_windows_before_the_pictures_go_through_the_same_head():
    calibration = with_head(corrected=True)
    for event in of(PreStimulusDecoded, run(calibration)):
        assert event.single.shape == (DIMS,)
    assert all(event.percept.pre_stimulus_two_way is not None for event in of(Decoded, run(calibration)))


def test_without_a_second_head_the_embedding_is_compared():
    calibration = bundle()
    flat = calibration.weights.reshape(-1, len(calibration.bias))
    for event in of(Decoded, run(calibration)):
        assert event.percept.identification is None
        assert event.percept.compared is event.percept.embedding
        whole = event.epoch.samples.reshape(-1) @ flat + calibration.bias
        np.testing.assert_allclose(event.single, whole, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("adapt", ["follow", "embeddings"])
def test_both_outputs_are_brought_to_their_calibrations(adapt, corrected):
    adapting = CONFIG.evidence.model_copy(update={"adapt": adapt, "adapt_windows": 10, "accumulate": False})
    config = CONFIG.model_copy(update={"evidence": adapting})
    plain = CONFIG.model_copy(update={"evidence": adapting.model_copy(update={"adapt": "none"})})
    calibration = with_head(corrected=corrected)
    followed, left = of(Decoded, run(calibration, config=config)), of(Decoded, run(calibration, config=plain))
    last, other = followed[-1].percept, left[-1].percept
    assert followed[-1].drift is not None
    assert not np.allclose(last.embedding, other.embedding)
    assert not np.allclose(last.compared, other.compared)
    assert np.isfinite(last.compared).all()
    if adapt == "embeddings":  # the first windows are the bundle's own map's
        np.testing.assert_array_equal(followed[0].percept.compared, left[0].percept.compared)


def test_a_choice_of_pictures_holds_for_both_heads():
    few = with_head().only({"p0", "p2"})
    assert few.gallery.names == few.candidates.names == ("p0", "p2")
    assert few.candidates.embeddings.shape == (2, DIMS)
    names = {one.name for event in of(Decoded, run(few)) for one in event.percept.neighbours}
    assert names == {"p0", "p2"}


def test_a_residual_standardises_the_sum_before_its_hidden_layer():
    rng = np.random.default_rng(2)
    corrects = residual(rng)
    summed = rng.standard_normal((3, DIMS)).astype(np.float32) * 4 + 1
    normal = (summed - summed.mean(axis=1, keepdims=True)) / summed.std(axis=1, keepdims=True)
    units = np.maximum(normal @ corrects.hidden + corrects.hidden_bias, 0)
    np.testing.assert_allclose(corrects(summed), summed + units @ corrects.output + corrects.output_bias, rtol=1e-4)
    np.testing.assert_allclose(corrects(summed)[1], corrects(summed[1]), rtol=1e-5)
