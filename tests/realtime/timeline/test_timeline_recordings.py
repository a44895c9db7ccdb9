"""Real recordings: radio packets stamped on a coarse timer, whose timestamps saw up and down by several samples."""

import numpy as np
import pytest

from realtime.sources.base import Chunk
from realtime.sources.recording import open_recording
from realtime.timeline.jitter_model import correlation_time
from realtime.timeline.sample_grid import Fault, Hole, TimedChunk
from realtime.timeline.timeline import Timeline


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["muse_n170/run1.csv", "muse_n170/run2.csv", "muse_n170/run3.csv", "muse_p300/run1.csv"]
)
def test_a_coarse_timer_is_no_loss(shared_data, name):
    recording = open_recording(shared_data / name)
    timeline, out = Timeline(recording.spec.rate_hz), []
    for item in recording.events():
        if isinstance(item, Chunk):
            out += timeline.push(item)
    assert not [event for event in out if isinstance(event, Hole | Fault)]
    times = np.concatenate([chunk.times for chunk in out if isinstance(chunk, TimedChunk)])
    assert len(times) == recording.n_samples
    # Two minutes later the line is where it should be, and nowhere did it jump by more than a few milliseconds.
    steps = np.diff(times)
    assert abs(steps - 1 / 256).max() < 0.004
    assert 1 / steps.mean() == pytest.approx(256, rel=1e-3)


def test_correlation_time_counts_how_many_neighbours_err_alike():
    rng = np.random.default_rng(0)
    white = rng.standard_normal(1024)
    assert correlation_time(white) < 2
    assert correlation_time(np.repeat(white[:86], 12)[:1024]) == pytest.approx(12, rel=0.5)
    assert correlation_time(np.zeros(100)) == 1.0
