"""Streams that stop and go on, and clocks that step, by no whole number of samples."""

import numpy as np
import pytest

from realtime.sources.base import Chunk
from realtime.timeline.sample_grid import Fault, Hole, TimedChunk
from realtime.timeline.timeline import Timeline

RATE = 250.0


def live(true, timestamps, timeline, size=5):
    """Everything that comes of a live stream sent in chunks of `size`, each arriving half a millisecond late."""
    samples = np.stack([np.arange(len(true)), np.random.default_rng(0).normal(size=len(true))], axis=1)
    out = []
    for start in range(0, len(true), size):
        part = slice(start, start + size)
        out += timeline.push(Chunk(timestamps[part], samples[part].astype(np.float32), float(true[part][-1]) + 5e-4))
    return out


@pytest.mark.parametrize("gap", [0.4327, 2.0013])
def test_an_outage_is_counted_though_its_gap_is_no_whole_number_of_samples(gap):
    true = 5000 + np.arange(10_000) / RATE
    true[5000:] += gap
    timeline = Timeline(RATE)
    out = live(true, true, timeline)
    assert timeline.lost == round(gap * RATE)
    (hole,) = [item for item in out if isinstance(item, Hole)]
    assert (hole.index, hole.retroactive) == (5000 + round(gap * RATE), False)
    times = np.concatenate([item.times for item in out if isinstance(item, TimedChunk)])
    assert np.abs(times - true[: len(times)]).max() < 0.5 / RATE


@pytest.mark.parametrize("step", [0.0721, -0.0721, 0.5002])
@pytest.mark.parametrize("jitter_s", [0.0, 1e-3])
def test_a_step_of_no_whole_number_of_samples_moves_no_sample(step, jitter_s):
    true = 5000 + np.arange(10_000) / RATE
    timestamps = true + np.random.default_rng(1).normal(0, jitter_s, len(true))
    timestamps[5000:] += step
    timeline = Timeline(RATE)
    out = live(true, timestamps, timeline)
    assert timeline.lost == 0
    assert "clock-step" in {item.kind for item in out if isinstance(item, Fault)}
    times = np.concatenate([item.times for item in out if isinstance(item, TimedChunk)])
    assert np.abs(times - true[: len(times)])[5100:].max() < 2e-3
