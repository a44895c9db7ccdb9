from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import ArtefactSettings
from realtime.epoching.electrode_watch import GOOD_S, LEAD_S, SPAN_S, WILD_S, ElectrodeWatch, _extremes
from realtime.timeline.sample_grid import Hole, TimedChunk

RATE = 100.0
NAMES = ("Oz", "Pz", "Cz")
LIMITS = ArtefactSettings(peak_to_peak_uv=100.0, flat_uv=0.1)


def signal(seconds=12.0, seed=0):
    return (10 * np.random.default_rng(seed).standard_normal((int(seconds * RATE), 3))).astype(np.float32)


def watched(samples, cuts=(), ask_at=(), limits=LIMITS, filtered=None):
    """The changes of a stream in which raw and filtered samples are the same; somebody may ask in between."""
    watch = ElectrodeWatch(NAMES, RATE, limits, level=True)
    changes = []
    filtered = samples if filtered is None else filtered
    for first, last in pairwise(sorted({0, len(samples), *cuts})):
        index = np.arange(first, last)
        watch.push(
            TimedChunk(index, index / RATE, samples[first:last]), TimedChunk(index, index / RATE, filtered[first:last])
        )
        if first in ask_at:
            watch.out_for(last)
        changes += watch.changes()
    watch.out_for(len(samples) + round(LEAD_S * RATE))
    return watch, changes + watch.changes()


def broken():
    """Flat from 3 s to 5 s at Oz, at the rails from 7 s on at Pz, and blinks at Cz."""
    samples = signal()
    samples[300:500, 0] = 5.0
    samples[700:, 1] = 187_000.0
    samples[np.arange(100, 1200, 250), 2] = 400.0
    return samples


def test_flat_electrodes_are_out_at_once_and_back_when_they_have_been_good_for_a_while():
    watch, changes = watched(broken())
    found = [(change.electrodes, change.out, change.why, change.timestamp) for change in changes]
    assert [one[:3] for one in found] == [(("Oz",), True, "flat"), (("Oz",), False, "flat"), (("Pz",), True, "flat")]
    assert found[0][3] == pytest.approx(3.0 + SPAN_S, abs=0.02)
    assert found[1][3] == pytest.approx(5.0 + GOOD_S, abs=0.15)
    assert found[2][3] == pytest.approx(7.0 + SPAN_S, abs=0.02)
    assert changes[-1].without == ("Pz",)
    assert "electrode Pz is flat" in changes[-1].text
    lead = round(LEAD_S * RATE)
    assert watch.out_for(changes[0].index + lead - 1) == ()
    assert watch.out_for(changes[0].index + lead) == ("Oz",)
    assert watch.lost_in(290, 350) == ("Oz",)
    assert watch.lost_in(600, 650) == ()


@pytest.mark.parametrize("span", [2, 3, 7, 8, 13, 25])
def test_extremes_are_those_of_every_span_of_samples(span):
    samples = signal(1)
    windows = np.lib.stride_tricks.sliding_window_view(samples, span, axis=0)
    high, low = _extremes(samples, span)
    np.testing.assert_array_equal(high, windows.max(axis=-1))
    np.testing.assert_array_equal(low, windows.min(axis=-1))


def test_what_changes_at_one_sample_is_told_once():
    samples = signal()
    samples[300:500] = 5.0
    _, changes = watched(samples)
    assert (changes[0].electrodes, changes[0].out, changes[0].without) == (NAMES, True, NAMES)
    assert changes[0].text.startswith("electrodes Oz, Pz, Cz are flat: no electrode is left")
    assert "stream.unit" in changes[0].text
    back = [change for change in changes if not change.out]
    assert sorted(name for change in back for name in change.electrodes) == sorted(NAMES)
    assert len(changes) == 1 + len({change.index for change in back})
    assert changes[-1].without == ()


def test_what_swings_wildly_is_out_only_when_it_goes_on():
    samples = signal(10)
    samples[300:340] *= 100
    samples[500:800, 1] *= 100
    _, changes = watched(samples)
    assert [(change.electrodes, change.out, change.why) for change in changes][:1] == [(("Pz",), True, "wild")]
    assert changes[0].timestamp == pytest.approx(5 + WILD_S, abs=0.15)
    assert len(changes) == 1  # the stream ends before it has been good for long enough


def test_an_offset_that_a_high_pass_has_not_yet_forgotten_keeps_an_electrode_out():
    samples = signal(14)
    samples[200:400, 0] = 5.0
    filtered = samples.copy()
    filtered[400:, 0] += 5000 * np.exp(-np.arange(1000) / 100)
    _, changes = watched(samples, filtered=filtered)
    assert changes[1].timestamp > 4 + np.log(5000 / 100) + GOOD_S - 0.5


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 1199), max_size=60), st.sets(st.integers(0, 1199)))
def test_chunks_and_questions_change_nothing(cuts, asked):
    whole, changes = watched(broken())
    pieces, others = watched(broken(), cuts, asked)
    assert others == changes
    for first in (*range(0, 1200, 7), *range(218, 236)):
        assert pieces.out_for(first) == whole.out_for(first)
        assert pieces.lost_in(first, first + 80) == whole.lost_in(first, first + 80)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 1199), min_size=20, max_size=200))
def test_what_is_known_as_soon_as_a_window_ends_is_what_is_known_in_the_end(cuts):
    samples, length = broken(), 80
    whole, _ = watched(samples)
    watch = ElectrodeWatch(NAMES, RATE, LIMITS, level=True)
    for first, last in pairwise(sorted({0, len(samples), *cuts})):
        index = np.arange(first, last)
        chunk = TimedChunk(index, index / RATE, samples[first:last])
        watch.push(chunk, chunk)
        assert watch.out_for(last) == whole.out_for(last)
        assert watch.lost_in(last - length, last) == whole.lost_in(last - length, last)
        watch.changes()


def test_a_window_that_ends_soon_after_an_electrode_went_flat_is_flagged():
    watch, _ = watched(broken())
    assert [watch.lost_in(220, stop) for stop in (300, 304, 305, 309, 312)] == [(), ("Oz",), ("Oz",), ("Oz",), ("Oz",)]
    samples = signal()
    samples[300:306, 2] = 7.0  # still for a moment, then it goes on
    watch, changes = watched(samples)
    assert changes == []
    assert [watch.lost_in(220, stop) for stop in (304, 306, 307, 400)] == [("Cz",), ("Cz",), (), ()]


def test_a_hole_begins_the_judging_anew_and_moves_what_lies_behind_it():
    watch, _ = watched(broken()[:650])
    watch.hole(Hole(index=400, lost=20, timestamp=4.0, retroactive=True))
    assert watch.out_for(330) == ("Oz",)
    index = np.arange(670, 700)
    chunk = TimedChunk(index, index / RATE, signal(0.3))
    watch.push(chunk, chunk)
    assert watch.out_for(700) == ("Oz",)


def test_without_limits_nothing_is_out():
    _, changes = watched(broken(), limits=ArtefactSettings(peak_to_peak_uv=None, flat_uv=None))
    assert changes == []
