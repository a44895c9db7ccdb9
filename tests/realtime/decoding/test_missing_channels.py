import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.decoding.linear_decoder import LinearDecoder, WindowWeights
from realtime.decoding.missing_channels import MissingChannels, filled_in, mixed_weights, regression, weights_without
from realtime.electrodes import CHANNELS_64, on_sphere, spline_covariance

TIMES, CHANNELS, DIMS = 9, 6, 5
NAMES = ("Fz", "Cz", "Pz", "P3", "P4", "Oz")


def _world(seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((CHANNELS, CHANNELS))
    weights = rng.standard_normal((TIMES, CHANNELS, DIMS)).astype(np.float32)
    bias = rng.standard_normal(DIMS).astype(np.float32)
    mean = rng.standard_normal((TIMES, CHANNELS)).astype(np.float32)
    return weights, bias, mean, mixing @ mixing.T + 0.1 * np.eye(CHANNELS)


@given(st.sets(st.integers(0, CHANNELS - 1), min_size=1, max_size=CHANNELS).map(sorted), st.integers(0, TIMES))
def test_a_window_without_channels_is_decoded_as_if_their_best_guess_stood_there(missing, seen):
    weights, bias, mean, covariance = _world()
    window = np.random.default_rng(1).standard_normal((TIMES, CHANNELS)).astype(np.float32)
    given_ones = [place for place in range(CHANNELS) if place not in missing]
    guess = window.astype(np.float64)
    across = covariance[np.ix_(missing, given_ones)] @ np.linalg.inv(covariance[np.ix_(given_ones, given_ones)])
    guess[:, missing] = mean[:, missing] + (window - mean)[:, given_ones] @ across.T
    window[:, missing] = 1e4  # whatever a dead electrode shows
    decoder = LinearDecoder(weights, bias)
    makes = MissingChannels(decoder.whole, mean, covariance, NAMES)
    decoder.open(0)
    decoder.use(0, makes.without(tuple(NAMES[place] for place in missing)))
    decoder.add(0, 0, window[:seen])
    decoder.add(0, seen, window[seen:])
    np.testing.assert_allclose(decoder.close(0), bias + np.einsum("tc,tcd->d", guess, weights), atol=1e-3)
    makes.close()


def test_other_weights_are_refused_once_a_sample_was_added():
    weights, bias, mean, covariance = _world()
    decoder = LinearDecoder(weights, bias)
    makes = MissingChannels(decoder.whole, mean, covariance, NAMES)
    decoder.open(0)
    decoder.add(0, 0, mean[:2])
    with pytest.raises(ValueError, match="other weights after 2 samples"):
        decoder.use(0, makes.without(("Cz",)))
    makes.close()


def test_weights_in_use_are_never_written_over():
    """Memory is used again, but not that of a window which is still open."""
    weights, bias, mean, covariance = _world()
    whole = WindowWeights.of(weights, bias)
    makes = MissingChannels(whole, mean, covariance, NAMES)
    held = [makes.without((name,)) for name in NAMES]
    copies = [one.weights.copy() for one in held]
    for place in range(CHANNELS):
        makes.without((NAMES[place - 1], NAMES[place]))
    for one, copy in zip(held, copies, strict=True):
        np.testing.assert_array_equal(one.weights, copy)
    del one
    held.clear()
    gc.collect()
    again = makes.without(("Fz",))
    np.testing.assert_array_equal(again.weights, copies[0])
    makes.close()


def test_of_any_channels_the_guess_that_regression_gives_errs_least():
    _, _, _, covariance = _world(3)
    rng = np.random.default_rng(4)
    signals = rng.multivariate_normal(np.zeros(CHANNELS), covariance, 20_000)
    missing, others = np.array([1, 4]), np.array([0, 2, 3, 5])
    fitted = np.linalg.lstsq(signals[:, others], signals[:, missing], rcond=None)[0].T
    np.testing.assert_allclose(regression(covariance, missing, others), fitted, atol=0.1)
    filling = filled_in(covariance, missing)
    np.testing.assert_array_equal(filling[others], np.eye(CHANNELS)[others])
    np.testing.assert_array_equal(filling[:, missing], 0)


@pytest.mark.parametrize("missing", [[3], [0, 5], list(range(CHANNELS))])
def test_the_quick_way_to_weights_without_channels_gives_those_of_the_plain_one(missing):
    weights, bias, mean, covariance = _world()
    whole, places = WindowWeights.of(weights, bias), np.array(missing)
    plain = mixed_weights(whole, mean, mean, filled_in(covariance, places))
    quick = weights_without(whole, mean, covariance, places, np.empty_like(weights))
    np.testing.assert_allclose(quick.weights, plain.weights, atol=1e-4)
    np.testing.assert_allclose(quick.bias, plain.bias, atol=1e-4)
    assert not quick.weights.reshape(weights.shape)[:, missing].any()


def test_channels_that_are_taken_as_they_are_keep_their_weights():
    weights, bias, mean, _ = _world()
    order = np.random.default_rng(2).permutation(CHANNELS)
    whole = WindowWeights.of(weights, bias)
    found = mixed_weights(whole, mean, mean[:, order], np.eye(CHANNELS)[:, order])
    np.testing.assert_array_equal(found.weights.reshape(weights.shape), weights[:, order])
    np.testing.assert_array_equal(found.bias, whole.bias)


def test_interpolation_by_splines_gives_what_mne_gives():
    from mne import create_info
    from mne.io import RawArray

    channels = list(CHANNELS_64)
    missing = [channels.index(name) for name in ("Cz", "PO7", "FC4")]
    others = [place for place in range(64) if place not in missing]
    ours = regression(spline_covariance(channels), np.array(missing), np.array(others))
    info = create_info(channels, 100.0, "eeg")
    data = np.zeros((64, 61))
    data[others] = np.eye(61)
    raw = RawArray(data, info, verbose="error")
    for place, name in enumerate(channels):
        raw.info["chs"][place]["loc"][:3] = np.array(on_sphere(name)) * 0.095
    raw.info["bads"] = [channels[place] for place in missing]
    raw.interpolate_bads(origin=(0.0, 0.0, 0.0), method={"eeg": "spline"}, verbose="error")
    theirs = raw.get_data()[missing]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
    np.testing.assert_allclose(ours.sum(axis=1), 1.0, atol=1e-4)
