import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import signal

from configs.schema import FilterSettings
from realtime.epoching.filters import FilterChain
from realtime.timeline.sample_grid import Hole, TimedChunk

RATE = 250.0
RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 20, (1000, 3)).astype(np.float32) + 500


def timed(samples, start=0, rate=RATE):
    index = np.arange(start, start + len(samples))
    return TimedChunk(index, 100 + index / rate, samples, 0.0)


def in_pieces(chain, chunk, cuts):
    edges = [0, *sorted(cuts), len(chunk.index)]
    out = [
        chain.push(TimedChunk(chunk.index[a:b], chunk.times[a:b], chunk.samples[a:b], 0.0))
        for a, b in itertools.pairwise(edges)
    ]
    return np.concatenate([o.index for o in out]), np.concatenate([o.samples for o in out])


@hypothesis_settings(deadline=None)
@given(
    st.lists(st.integers(0, 1000), max_size=30),
    st.sets(st.integers(0, 999), max_size=5),
)
def test_same_bits_however_cut(cuts, bad):
    settings = FilterSettings(highpass_hz=0.3, lowpass_hz=20, notch_hz=50)
    samples = NOISE.copy()
    samples[list(bad), 1] = np.nan
    whole = FilterChain(settings, RATE, 3).push(timed(samples))
    index, pieces = in_pieces(FilterChain(settings, RATE, 3), timed(samples), cuts)
    np.testing.assert_array_equal(whole.index, index)
    np.testing.assert_array_equal(whole.samples, pieces)


def test_equals_scipy_on_the_whole_recording():
    chain = FilterChain(FilterSettings(highpass_hz=1, lowpass_hz=40, order=4), RATE, 3)
    sos = np.concatenate(
        [signal.butter(4, 1, "high", fs=RATE, output="sos"), signal.butter(4, 40, fs=RATE, output="sos")]
    )
    zi = signal.sosfilt_zi(sos)[:, :, None] * NOISE[0].astype(float)
    expected = signal.sosfilt(sos, NOISE.astype(float), axis=0, zi=zi)[0]
    np.testing.assert_allclose(chain.push(timed(NOISE)).samples, expected, atol=1e-4)


def test_offset_leaves_no_transient():
    chain = FilterChain(FilterSettings(), RATE, 1)
    out = chain.push(timed(np.full((500, 1), 3e5, np.float32)))
    assert np.abs(out.samples).max() < 0.05


def test_starts_anew_behind_a_hole():
    settings = FilterSettings()
    chain = FilterChain(settings, RATE, 3)
    chain.push(timed(NOISE[:500]))
    chain.hole(Hole(700, 200, 0.0))
    after = chain.push(timed(NOISE[500:] - 400, 700))
    fresh = FilterChain(settings, RATE, 3).push(timed(NOISE[500:] - 400, 700))
    np.testing.assert_array_equal(after.samples, fresh.samples)


def test_nan_does_not_stay_and_nothing_is_left_out():
    samples = NOISE.copy()
    samples[101, 2] = np.inf
    chain = FilterChain(FilterSettings(lowpass_hz=40, rate_hz=125), RATE, 3)
    out = chain.push(timed(samples))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(out.samples).any(axis=1)), [101])
    np.testing.assert_array_equal(out.index, np.arange(len(samples)))
    assert (chain.factor, chain.rate_hz) == (2, 125.0)


@pytest.mark.parametrize("highpass_hz", [0.1, 0.5])
@pytest.mark.parametrize("rate_hz", [1000.0, 8000.0, 32000.0])
def test_delay_is_the_same_time_at_any_rate(highpass_hz, rate_hz):
    slow, fast = (
        FilterChain(FilterSettings(highpass_hz=highpass_hz, lowpass_hz=40.0, notch_hz=50.0, rate_hz=None), rate, 1)
        for rate in (500.0, rate_hz)
    )
    assert fast.delay_s == pytest.approx(slow.delay_s, rel=0.05)


def test_no_filter_no_delay():
    bare = FilterChain(FilterSettings(highpass_hz=None, lowpass_hz=None, notch_hz=None, rate_hz=None), RATE, 1)
    assert bare.delay_s == 0.0


def test_delay_and_settling_are_the_filters():
    chain = FilterChain(FilterSettings(highpass_hz=None, lowpass_hz=40), 1000.0, 1)
    pulse = np.exp(-0.5 * ((np.arange(1000) - 400) / 30) ** 2).astype(np.float32)[:, None]
    shift = np.argmax(chain.push(timed(pulse)).samples) - 400
    assert abs(shift / 1000 - chain.delay_s) < 0.002
    assert FilterChain(FilterSettings(), RATE, 1).settle_s < 3
    assert FilterChain(FilterSettings(highpass_hz=None, lowpass_hz=None), RATE, 1).settle_s == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (FilterSettings(lowpass_hz=40, rate_hz=100), "must divide"),
        (FilterSettings(lowpass_hz=None, rate_hz=125), "aliasing"),
        (FilterSettings(lowpass_hz=None, notch_hz=125), "below half"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        FilterChain(settings, RATE, 1)
