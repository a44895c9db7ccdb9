import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from realtime.decoding.alignment import MOST_SCALE, MOST_SHIFT, DriftCorrection

DIMS = 16
MEAN, STD = np.linspace(-2, 2, DIMS), np.linspace(0.5, 2, DIMS)


def trials(n, seed=0):
    rng = np.random.default_rng(seed)
    return MEAN + STD * rng.standard_normal((n, DIMS))


def usual_length():
    return float(np.median(np.linalg.norm((trials(2000, 9) - MEAN) / STD, axis=1)))


def test_what_does_not_drift_is_left_nearly_alone():
    drift = DriftCorrection(MEAN, STD, usual_length(), trials=100)
    given_ = trials(500)
    got = [drift.correct(row.astype(np.float32)) for row in given_]
    assert drift.shift < 0.15
    assert drift.scale == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(np.ravel(got), np.ravel(given_))[0, 1] > 0.98


def test_a_shift_and_a_change_of_size_are_taken_out():
    drift = DriftCorrection(MEAN, STD, usual_length(), trials=50)
    moved = MEAN + 0.7 * STD + 1.5 * (trials(600) - MEAN)
    got = np.array([drift.correct(row.astype(np.float32)) for row in moved])[300:]
    assert np.abs((got.mean(axis=0) - MEAN) / STD).max() < 0.35
    assert np.median(np.linalg.norm((got - MEAN) / STD, axis=1)) == pytest.approx(usual_length(), rel=0.1)


@given(arrays(np.float32, (40, DIMS), elements=st.floats(-1e4, 1e4, width=32)))
def test_the_correction_is_bounded_whatever_comes(rows):
    drift = DriftCorrection(MEAN, STD, 4.0, trials=10)
    for row in rows:
        assert np.all(np.isfinite(drift.correct(row)))
    assert drift.shift <= MOST_SHIFT + 1e-9
    assert 1 / MOST_SCALE - 1e-9 <= drift.scale <= MOST_SCALE + 1e-9
