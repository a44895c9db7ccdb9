import tracemalloc

import numpy as np
import pytest

from calibration.model import scaling
from calibration.model.examples import Layout
from calibration.model.scaling import AS_THEY_ARE, candidates, scale
from configs.schema import FitSettings

TIMES_S = np.arange(100) / 125.0
LAYOUT = Layout.of(TIMES_S, 0.0, None)


def epochs(trials, channels=3):
    rng = np.random.default_rng(0)
    return (10 + 5 * rng.standard_normal((trials, len(TIMES_S), channels))).astype(np.float32)


def test_features_do_not_depend_on_how_many_trials_are_scaled_at_a_time(monkeypatch):
    samples = epochs(100)
    before = samples.copy()
    found, features = scale(samples, LAYOUT, True)
    monkeypatch.setattr(scaling, "_BLOCK", 7)
    again, others = scale(samples, LAYOUT, True)
    np.testing.assert_allclose(again.std, found.std, rtol=1e-12)
    np.testing.assert_allclose(others, features, atol=1e-6)
    np.testing.assert_array_equal(found.apply(samples), features)
    np.testing.assert_array_equal(samples, before)
    np.testing.assert_allclose([features.mean(axis=0).max(), features.std(axis=0).max()], [0, 1], atol=1e-4)


def test_many_trials_are_scaled_in_little_more_than_their_features():
    samples = epochs(8 * scaling._BLOCK)
    tracemalloc.start()
    try:
        scale(samples, LAYOUT, True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * samples.nbytes


@pytest.mark.parametrize(
    ("shape", "tried"), [((6000, 100, 63), True), ((16540, 100, 60), True), ((6001, 100, 63), False)]
)
def test_samples_as_they_are_are_tried_unless_trials_and_features_are_both_very_many(shape, tried):
    options = candidates(LAYOUT, FitSettings(), shape)
    assert (AS_THEY_ARE in options) == tried
    assert len(options) > 1
    assert candidates(LAYOUT, FitSettings(choose="error"), shape) == (AS_THEY_ARE,)
