"""Lost samples counted anew, from timestamps long before and behind a hole."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.family_scores import default_pipeline
from benchmarks.random_streams import random_stream
from realtime.timeline.arrivals import Arrivals
from realtime.timeline.axis_settings import DEFAULT
from realtime.timeline.live_line import LiveLine
from realtime.timeline.recount import Counted
from realtime.timeline.sample_grid import Hole, Recount
from realtime.timeline.timestamp_line import TimestampRing

RATE_HZ = 500.0
AT = round(12 * RATE_HZ)
LOST = 40
STOP = round(24 * RATE_HZ)


@dataclass
class Seen:
    """A stream with a hole at 12 s in which 40 samples were lost, and more, or fewer, that were not counted."""

    track: TimestampRing
    arrivals: Arrivals
    line: LiveLine

    def looks(self, counted, times=3):
        """Return what each look at the hole says."""
        return [counted.look(self.track, self.arrivals, self.line, STOP, DEFAULT) for _ in range(times)]

    def jump_samples(self):
        """Return by how many samples the timestamps jump at the hole."""
        index, timestamps = self.track.since(0)
        off = timestamps * RATE_HZ - index
        return float(np.median(off[index >= AT + LOST]) - np.median(off[index < AT]))


def seen(more=0, phase=0.0, jitter_s=5e-4, swing_ppm=0.0, offset_s=0.0, seed=0):
    """Return a stream as it is seen: timestamps by ten samples, and how old they were.

    Parameters
    ----------
    more
        Samples that were lost beside those that were counted.
    phase
        By what part of a sample a restarted device goes on off its old grid.
    jitter_s
        Scale of the timestamps' exponential jitter.
    swing_ppm
        How far its clock is off by turns within a minute: not at the hole, where it changes fastest.
    offset_s
        By how much the sender's clock is measured to be off from the hole on.
    seed
        Of the jitter.
    """
    rng = np.random.default_rng(seed)
    line, track, arrivals = LiveLine(1 / RATE_HZ, DEFAULT), TimestampRing(40 * round(RATE_HZ)), Arrivals(DEFAULT)
    line.scale, line.alike = 0.4 * jitter_s, 1.0
    index = np.arange(0, STOP, 10)
    index = index[(index < AT) | (index >= AT + LOST)]
    behind = index >= AT + LOST
    true = (index + (more + phase) * behind) / RATE_HZ
    swing = 1e-6 * swing_ppm * 60 / (2 * math.pi) * (1 - np.cos(2 * math.pi * (true - AT / RATE_HZ) / 60))
    timestamps = true + swing + jitter_s * rng.exponential(size=len(index)) + offset_s * behind
    track.extend(index, timestamps)
    for place, arrived, age in zip(index.tolist(), timestamps - offset_s * behind, -offset_s * behind, strict=True):
        arrivals.add(place, float(arrived), float(age), float(age))
    return Seen(track, arrivals, line)


def counted(carried_s=0.0):
    """Return the hole as it was counted."""
    return Counted(0, AT, AT + LOST, carried_s)


@settings(max_examples=30, deadline=None)
@given(
    more=st.integers(-3, 3), phase=st.floats(-0.25, 0.25), swing_ppm=st.floats(-400, 400), seed=st.integers(0, 1 << 32)
)
def test_a_count_that_was_off_is_mended_whatever_the_clock_does(more, phase, swing_ppm, seed):
    stream = seen(more, phase, swing_ppm=swing_ppm, seed=seed)
    hole = counted()
    assert sum(stream.looks(hole)) == hole.more == more
    if more:
        assert abs(stream.jump_samples()) < 0.5, "the timestamps before lie on the line behind again"


def test_what_was_corrected_for_counts_as_well():
    """A line was carried along by 1.1 samples where one sample was lost and not counted."""
    assert sum(seen().looks(counted(1.1 / RATE_HZ))) == 1


def test_half_a_sample_is_no_sample():
    assert seen(0, 0.5).looks(counted()) == [0, 0, 0]


def test_an_offset_that_is_measured_anew_over_the_hole_is_none():
    """The clock is measured 1.4 ms off from there on, and samples are as much younger on arrival: 0.7 of a sample."""
    assert seen(offset_s=1.4e-3).looks(counted()) == [0, 0, 0]


def test_a_second_look_corrects_the_first():
    hole = Counted(0, AT, AT + LOST, 0.0, more=1, looks=1)
    assert seen().looks(hole, 2) == [-1, 0]
    assert hole.more == 0


def test_too_few_timestamps_say_nothing():
    stream = seen(2)
    assert stream.looks(Counted(AT - 50, AT, AT + LOST, 0.0)) == [0, 0, 0]


def test_lines_that_are_not_straight_say_nothing():
    """The rate changes 3 s behind the hole: only the shortest lines are level."""
    stream, hole = seen(1), counted()
    index, timestamps = stream.track.since(0)
    timestamps += 3e-3 * np.maximum(0, index / RATE_HZ - AT / RATE_HZ - 3)
    assert stream.looks(hole) == [1, 0, 0]


def test_it_is_looked_at_behind_ever_longer_lines_and_then_no_more():
    hole, stream, waited = counted(), seen(), []
    for _ in range(4):
        waited.append(hole.wait_s(DEFAULT))
        if waited[-1] < math.inf:
            stream.looks(hole, 1)
    assert waited == [2.5, 5.0, 10.0, math.inf]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "seed", "told"),
    [
        ("start", 2003010, 1),  # lost in the fourth second, counted by three seconds of timestamps before it
        ("any", 2003038, -1),  # a restart behind a radio
        ("losses", 2003109, 1),  # five losses within 0.6 s
        ("stall-losses", 2003101, 1),  # losses while everything waited
    ],
)
def test_counts_that_were_off_are_told_anew(family, seed, told):
    stream = random_stream(family, seed, 60.0)
    pipeline = default_pipeline(stream.spec)
    events = [event for item in stream.events() for event in pipeline.push(item)]
    counts = [event.lost for event in events if isinstance(event, Hole | Recount)]
    assert sum(counts) == pipeline.timeline.lost == stream.lost
    assert sum(event.lost for event in events if isinstance(event, Recount)) == told
