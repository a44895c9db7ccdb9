import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from realtime.decoding.linear_decoder import LinearDecoder, WindowWeights

TIMES, CHANNELS, DIMS = 12, 5, 7


def _map(seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((TIMES, CHANNELS, DIMS)).astype(np.float32)
    bias = rng.standard_normal(DIMS).astype(np.float32)
    return weights, bias


def _decode(decoder, trial, window, cuts):
    decoder.open(trial)
    for first, last in zip([0, *cuts], [*cuts, TIMES], strict=True):
        decoder.add(trial, first, window[first:last])
    return decoder.close(trial)


@given(
    arrays(np.float32, (TIMES, CHANNELS), elements=st.floats(-200, 200, width=32)),
    st.lists(st.integers(0, TIMES), max_size=6).map(sorted),
)
def test_however_the_window_is_cut_the_sum_is_the_whole_product(window, cuts):
    weights, bias = _map()
    expected = bias + np.einsum("tc,tcd->d", window.astype(np.float64), weights)
    got = _decode(LinearDecoder(weights, bias), 3, window, cuts)
    scale = 1 + np.abs(bias) + np.einsum("tc,tcd->d", np.abs(window), np.abs(weights))
    assert np.all(np.abs(got - expected) <= 1e-5 * scale)


def test_overlapping_windows_do_not_touch_each_other():
    weights, bias = _map()
    decoder = LinearDecoder(weights, bias)
    windows = np.random.default_rng(1).standard_normal((3, TIMES, CHANNELS)).astype(np.float32)
    alone = [_decode(decoder, k, windows[k], range(1, TIMES)) for k in range(3)]
    for start in range(TIMES + 4):
        for k in range(3):
            t = start - 2 * k
            if t == 0:
                decoder.open(k)
            if 0 <= t < TIMES:
                decoder.add(k, t, windows[k, t : t + 1])
    for k in range(3):
        np.testing.assert_array_equal(decoder.close(k), alone[k])
    assert decoder.open_trials == ()


def test_a_gap_is_refused():
    decoder = LinearDecoder(*_map())
    decoder.open(0)
    decoder.add(0, 0, np.zeros((2, CHANNELS), np.float32))
    with pytest.raises(ValueError, match="begin at 3, 2 expected"):
        decoder.add(0, 3, np.zeros((1, CHANNELS), np.float32))
    with pytest.raises(ValueError, match="closed after 2 of 12"):
        decoder.close(0)


def test_samples_that_do_not_fit_the_window_are_refused():
    decoder = LinearDecoder(*_map())
    decoder.open(0)
    for first, samples in ((0, np.zeros((1, CHANNELS + 1))), (0, np.zeros((TIMES + 1, CHANNELS)))):
        with pytest.raises(ValueError, match="trial 0: samples"):
            decoder.add(0, first, samples.astype(np.float32))


def test_other_weights_bring_their_own_bias():
    weights, bias = _map()
    window = np.random.default_rng(4).standard_normal((TIMES, CHANNELS)).astype(np.float32)
    decoder = LinearDecoder(weights, bias)
    other = WindowWeights.of(2 * weights, bias + 1)
    decoder.open(0)
    decoder.use(0, other)
    decoder.add(0, 0, window)
    np.testing.assert_allclose(decoder.close(0), other.apply(window), rtol=1e-4, atol=1e-4)
    decoder.open(0)
    decoder.add(0, 0, window)
    with pytest.raises(ValueError, match="other weights after 12 samples"):
        decoder.use(0, other)


def test_what_was_handed_out_is_not_touched_by_later_windows():
    decoder = LinearDecoder(*_map())
    windows = np.random.default_rng(5).standard_normal((2, TIMES, CHANNELS)).astype(np.float32)
    first = _decode(decoder, 0, windows[0], [])
    kept = first.copy()
    _decode(decoder, 1, windows[1], [3])
    np.testing.assert_array_equal(first, kept)


def test_a_dropped_window_leaves_nothing_behind():
    weights, bias = _map()
    decoder = LinearDecoder(weights, bias)
    decoder.open(0)
    decoder.add(0, 0, np.full((4, CHANNELS), 1e6, np.float32))
    decoder.drop(0)
    decoder.drop(0)
    zero = np.zeros((TIMES, CHANNELS), np.float32)
    np.testing.assert_array_equal(_decode(decoder, 1, zero, []), bias)


def test_shapes_that_do_not_fit_are_refused():
    weights, bias = _map()
    with pytest.raises(ValueError, match="do not fit"):
        LinearDecoder(weights, bias[:-1])


def test_reading_ahead_changes_nothing_even_at_the_end_of_a_window():
    weights, bias = _map()
    window = np.random.default_rng(3).standard_normal((TIMES, CHANNELS)).astype(np.float32)
    decoder = LinearDecoder(weights, bias)
    expected = _decode(decoder, 0, window, range(1, TIMES))
    decoder.open(1)
    for t in range(TIMES):
        decoder.read_ahead(3)
        decoder.add(1, t, window[t : t + 1])
    decoder.read_ahead(3)
    np.testing.assert_array_equal(decoder.close(1), expected)
