"""An even clock is followed without a fit: what comes out is what fits of every timestamp give, however it is cut."""

from itertools import pairwise

import numpy as np
import pytest

from configs.schema import Config
from realtime.sources.base import Chunk
from realtime.sources.recording import open_recording
from realtime.timeline import recorded_axis
from realtime.timeline.jitter_model import KEPT, JitterModel
from realtime.timeline.sample_grid import Fault, Hole, TimedChunk
from realtime.timeline.timeline import Timeline

RATE = 500.0
SECONDS = 12


def _even(start=50.0):
    return start + np.arange(round(SECONDS * RATE)) / RATE


def _lost(timestamps):
    return np.delete(timestamps, np.r_[3000:3040, 4500])


def _moved(timestamps):
    return timestamps + 0.7 * (np.arange(len(timestamps)) > 4000)


def _jittered(timestamps):
    late = np.random.default_rng(0).exponential(1e-3, len(timestamps))
    return timestamps + np.where(np.arange(len(timestamps)) > 3500, late, 0.0)


def _slower(timestamps):
    return timestamps + 2e-3 * np.maximum(0.0, timestamps - timestamps[3000])


def _stalled(timestamps):
    late = timestamps.copy()
    late[4000:4100] = late[4100] + np.arange(100) * 1e-5
    return late


CLOCKS = {
    "even": lambda timestamps: timestamps,
    "large times": lambda timestamps: timestamps + 1.7e9,
    "samples lost": _lost,
    "a step": _moved,
    "jitter later on": _jittered,
    "slower later on": _slower,
    "a stall": _stalled,
}


def _axis(timestamps, cut, rate=RATE, pauses=()):
    timeline, out = Timeline(rate), []
    samples = np.arange(len(timestamps), dtype=np.float32)[:, None]
    edges = [*range(0, len(timestamps), cut), len(timestamps)]
    for start, stop in pairwise(edges):
        out += timeline.push(Chunk(timestamps[start:stop], samples[start:stop], after_pause=start in pauses))
    return out


def _told(out):
    """Times, samples and places, and all else in words."""
    chunks = [item for item in out if isinstance(item, TimedChunk)]
    whole = [np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("index", "times", "samples")]
    holes = [(item.index, item.lost, item.retroactive, item.cause) for item in out if isinstance(item, Hole)]
    return whole, holes, [(item.kind, item.text) for item in out if isinstance(item, Fault)]


def _same(out, reference, rate, most=2e-3, near=0):
    """Times may differ by `most` samples, and the places from which a new rate is told by `near`."""
    (index, times, samples), holes, faults = _told(out)
    (wanted, wanted_times, wanted_samples), wanted_holes, wanted_faults = _told(reference)
    np.testing.assert_array_equal(index, wanted)
    np.testing.assert_array_equal(samples, wanted_samples)
    np.testing.assert_allclose(times, wanted_times, rtol=0, atol=most / rate)
    assert [hole[1:] for hole in holes] == [hole[1:] for hole in wanted_holes]
    assert all(abs(one[0] - other[0]) <= near for one, other in zip(holes, wanted_holes, strict=True))
    assert [kind for kind, _ in faults] == [kind for kind, _ in wanted_faults]


@pytest.mark.parametrize("clock", CLOCKS)
def test_an_even_clock_comes_to_what_fits_of_all_its_timestamps_come_to(clock, monkeypatch):
    timestamps = CLOCKS[clock](_even())
    out = _axis(timestamps, 100, pauses=(2500,))
    monkeypatch.setattr(recorded_axis, "KEPT", 10**9)  # so many timestamps never come: no clock is taken for even
    # Where a clock is even no more, fits begin anew: lines differ by less than timestamps scatter.
    loose = {"most": 0.8, "near": 64} if clock in ("jitter later on", "slower later on") else {}
    _same(out, _axis(timestamps, 100, pauses=(2500,)), RATE, **loose)


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_axis_of_an_even_clock_is_bit_equal_however_it_is_cut(clock):
    timestamps = CLOCKS[clock](_even())
    whole, holes, faults = _told(_axis(timestamps, 100))
    for cut in (1, 7, 1000):
        again, other_holes, other_faults = _told(_axis(timestamps, cut))
        for one, other in zip(whole, again, strict=True):
            np.testing.assert_array_equal(one, other)
        assert (other_holes, other_faults) == (holes, faults)


def test_timestamps_of_an_even_clock_are_not_fitted(monkeypatch):
    fits, fitted = [], JitterModel._fitted
    monkeypatch.setattr(JitterModel, "_fitted", lambda model, newer: fits.append(1) or fitted(model, newer))
    _axis(_even(), 50)
    short = len(fits)
    _axis(50.0 + np.arange(round(10 * SECONDS * RATE)) / RATE, 50)
    assert 0 < len(fits) - short == short


def test_a_run_of_timestamps_is_remembered_as_one_by_one():
    timestamps = 10 + np.arange(5000) / RATE
    single, run = JitterModel(1 / RATE), JitterModel(1 / RATE)
    for index, timestamp in enumerate(timestamps.tolist()):
        single.add(index, timestamp)
    run.add(0, float(timestamps[0]))
    for start, stop in ((1, 900), (900, 903), (903, 2400), (2400, 5000)):
        run.add_run(start, timestamps[start:stop])
    assert run.n == single.n
    for one, other in zip(single.last(KEPT), run.last(KEPT), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["muse_n170/run1.csv", "muse_p300/run2.csv"])
def test_the_axis_of_real_recordings_is_what_fits_of_all_timestamps_give(shared_data, name, monkeypatch):
    recording = open_recording(shared_data / name, Config.model_validate({"stream": {"unit": "microvolts"}}))
    chunks = [item for item in recording.events() if isinstance(item, Chunk)]

    def axis():
        timeline = Timeline(recording.spec.rate_hz)
        return [item for chunk in chunks for item in timeline.push(chunk)]

    out = axis()
    monkeypatch.setattr(recorded_axis, "KEPT", 10**9)
    _same(out, axis(), recording.spec.rate_hz)
