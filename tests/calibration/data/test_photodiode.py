"""Light of known delay and jitter, found again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.data.photodiode import read_timing, timing_of, write_timing
from calibration.errors import FitError
from realtime.epoching.light import LightError, find_light, raw_samples
from realtime.sources.base import Chunk, Marker

RATE_HZ = 500.0
CHANNELS = ("Oz", "Pz", "Photo")


def made(offset_s, jitter_s=0.0, seed=0, inverted=False, missing=0, on_s=0.1, step_s=0.2, n_sequences=8, noise=0.02):
    """Two channels of EEG, one that answers at the pictures' own rate, and a photodiode."""
    rng = np.random.default_rng(seed)
    onsets = np.concatenate([2 + k * (20 * step_s + 1) + step_s * np.arange(20) for k in range(n_sequences)])
    onsets += rng.uniform(0, 1 / RATE_HZ)
    times = 100 + np.arange(round((onsets[-1] + 2) * RATE_HZ)) / RATE_HZ
    onsets += 100
    lit = onsets + offset_s + jitter_s * rng.standard_normal(len(onsets))
    light = np.zeros(len(times))
    for t in np.delete(lit, rng.choice(len(lit), missing, replace=False)):
        # A sample is the mean light since the sample before, so that edges between samples can be told.
        light += np.clip((times - t) * RATE_HZ, 0, 1) - np.clip((times - t - on_s) * RATE_HZ, 0, 1)
    light += noise * rng.standard_normal(len(times))
    alpha = 20 * np.sin(2 * np.pi * 10.3 * times) + 5 * rng.standard_normal(len(times))
    steady = 10 * np.sin(2 * np.pi * (times - 100 - onsets[0]) / step_s) + rng.standard_normal(len(times))
    photo = 3000 - 800 * light if inverted else 200 + 800 * light
    return times, np.stack([alpha, steady, photo], axis=1).astype(np.float32), onsets


@settings(max_examples=15, deadline=None)
@given(
    offset_s=st.floats(-0.05, 0.15),
    jitter_s=st.sampled_from([0.0, 0.001, 0.003]),
    inverted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_finds_the_channel_with_its_offset_and_jitter(offset_s, jitter_s, inverted, seed):
    times, samples, onsets = made(offset_s, jitter_s, seed, inverted)
    found = timing_of(find_light(times, samples, onsets, CHANNELS), RATE_HZ)
    assert found.channel == "Photo"
    # Light that goes off as near to the marker as it comes on cannot be told apart; otherwise the onset is meant.
    if abs(offset_s) < 0.04:
        assert found.edge == ("fall" if inverted else "rise")
        # Half a sample: a sample stands for the time before it.
        assert found.offset_s == pytest.approx(offset_s + 0.5 / RATE_HZ, abs=0.001)
    assert found.sd_s == pytest.approx(jitter_s, abs=0.0007)
    assert found.p5_s <= found.offset_s <= found.p95_s
    assert found.n_matched == found.n_markers == len(onsets)


@pytest.mark.parametrize("offset_s", [0.12, 0.16])
def test_a_delay_longer_than_half_a_step_is_not_taken_for_the_neighbours(offset_s):
    times, samples, onsets = made(offset_s, on_s=0.05)
    found = timing_of(find_light(times, samples, onsets, CHANNELS), RATE_HZ)
    assert found.offset_s == pytest.approx(offset_s + 0.5 / RATE_HZ, abs=0.001)


def test_markers_without_light_are_counted_and_do_not_bend_the_offset():
    times, samples, onsets = made(0.02, missing=12)
    found = timing_of(find_light(times, samples, onsets, CHANNELS), RATE_HZ)
    assert (found.n_markers, found.n_matched) == (160, 148)
    assert found.offset_s == pytest.approx(0.021, abs=0.001)
    assert found.sd_s < 0.001


def test_slow_presentation_with_little_light():
    times, samples, onsets = made(0.03, 0.002, on_s=0.1, step_s=2.0, n_sequences=3)
    found = timing_of(find_light(times, samples, onsets, CHANNELS), RATE_HZ)
    assert found.edge == "rise"
    assert found.offset_s == pytest.approx(0.031, abs=0.0015)


@pytest.mark.parametrize(
    ("channel", "says"),
    [(None, "none of the 2 channels follows"), ("Oz", "channel Oz does not follow"), ("Photo", "no channel 'Photo'")],
)
def test_eeg_is_not_taken_for_light(channel, says):
    times, samples, onsets = made(0.02)
    with pytest.raises(LightError, match=says):
        find_light(times, samples[:, :2], onsets, CHANNELS[:2], channel)


def test_a_square_wave_of_its_own_and_a_flat_channel_are_refused():
    times, _, onsets = made(0.02)
    other = ((times * 3.7) % 1 < 0.5).astype(np.float32)
    for signal in (other, np.zeros(len(times), np.float32)):
        with pytest.raises(LightError, match="none of the 1 channels"):
            find_light(times, signal[:, None], onsets, ("Aux",))


def test_too_few_markers_are_refused():
    times, samples, onsets = made(0.02)
    with pytest.raises(LightError, match="5 pictures' markers"):
        find_light(times, samples, onsets[:5], CHANNELS)


def test_chunks_and_markers_become_one_time_axis():
    timestamps = 10 + np.arange(1000) / RATE_HZ
    items = [Marker(10.5, "picture", "a"), Marker(10.6, "block-end")]
    items += [Chunk(timestamps[k : k + 50], np.ones((50, 2), np.float32)) for k in range(0, 1000, 50)]
    times, samples, onsets = raw_samples(items, RATE_HZ)
    assert samples.shape == (len(times), 2)
    assert np.allclose(np.diff(times), 1 / RATE_HZ)
    assert onsets.tolist() == [10.5]
    with pytest.raises(LightError, match="no samples came"):
        raw_samples(items[:2], RATE_HZ)


@pytest.mark.parametrize("seed", range(3))
def test_markers_that_scatter_have_their_own_light_and_cannot_be_used(seed, tmp_path):
    times, samples, lit = made(0.0, step_s=0.9, n_sequences=4, seed=seed)
    markers = np.sort(lit - np.random.default_rng(seed).uniform(0.02, 0.5, len(lit)))
    light = find_light(times, samples, markers, CHANNELS)
    assert (light.channel, light.edge) == ("Photo", "rise")
    own = light.onsets - lit
    assert np.nanmax(np.abs(own)) < 0.004, "each marker has its own light and no other's"
    assert np.isfinite(own).mean() > 0.95
    found = timing_of(light, RATE_HZ)
    assert found.sd_s == pytest.approx(0.139, abs=0.02)
    assert not found.usable
    write_timing(found, tmp_path / "timing.json")
    with pytest.raises(FitError, match="no offset mends that"):
        read_timing(tmp_path / "timing.json")


def test_timing_survives_its_file(tmp_path):
    found = timing_of(find_light(*made(0.02), CHANNELS), RATE_HZ)
    write_timing(found, tmp_path / "timing.json")
    assert read_timing(tmp_path / "timing.json") == found
    (tmp_path / "other.json").write_text("{}")
    for name, says in (("none.json", "cannot read timing"), ("other.json", "holds no timing")):
        with pytest.raises(FitError, match=says):
            read_timing(tmp_path / name)
