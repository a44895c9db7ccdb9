import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.sources.base import Chunk
from realtime.timeline.jitter_model import asymmetric_laplace
from realtime.timeline.sample_grid import Fault, Hole, TimedChunk
from realtime.timeline.timeline import Timeline

RATE = 250.0


def timestamps(kind, true, seed=0):
    """Timestamps of samples taken at the times `true`, as different senders give them; and the nominal rate."""
    rng = np.random.default_rng(seed)
    if kind == "jitter":
        return true + rng.normal(0, 2e-3, len(true))
    if kind == "even":
        return true.copy()
    size, rate, late = {"chunks": (20, 1000.0, 0.5e-3), "radio": (12, 256.0, 4e-3)}[kind]
    last = np.minimum(np.arange(0, len(true), size) + size - 1, len(true) - 1)
    sent = true[last] + rng.exponential(late, len(last))
    if kind == "radio":
        for start in np.arange(true[0] + 5, true[-1], 17.0):
            stalled = (sent > start) & (sent < start + 0.25)
            sent[stalled] = start + 0.25
    queue = np.arange(len(sent)) * 1e-4
    sent = np.maximum.accumulate(sent - queue) + queue
    lengths = np.diff(last, prepend=-1)
    return np.concatenate([s - np.arange(n)[::-1] / rate for s, n in zip(sent, lengths, strict=True)])


RATES = {"jitter": RATE, "even": RATE, "chunks": 1000.0, "radio": 256.0}


def run(raw, rate, cuts=None, arrived=None):
    samples = np.arange(2 * len(raw), dtype=np.float32).reshape(-1, 2)
    timeline = Timeline(rate)
    out = []
    edges = sorted({0, *(range(0, len(raw), 25) if cuts is None else cuts), len(raw)})
    for a, b in itertools.pairwise(edges):
        out += timeline.push(Chunk(raw[a:b], samples[a:b], None if arrived is None else arrived[b - 1]))
    return timeline, out


def of(kind, out):
    return [item for item in out if isinstance(item, kind)]


def axis(out):
    """Grid positions and times of all samples as they stand in the end, and the samples."""
    index, times, samples = [np.empty(0, int)], [np.empty(0)], []
    for item in out:
        if isinstance(item, TimedChunk):
            index.append(item.index)
            times.append(item.times)
            samples.append(item.samples)
        elif isinstance(item, Hole) and item.retroactive:
            index = [np.where(i >= item.index, i + item.lost, i) for i in index]
    return np.concatenate(index), np.concatenate(times), np.concatenate(samples)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(RATES)),
    st.lists(st.integers(0, 6000), max_size=60),
    st.integers(1500, 5000),
    st.integers(0, 300),
)
def test_same_bits_however_cut(kind, cuts, at, lost):
    true = np.delete(100 + np.arange(6000) / RATES[kind], slice(at, at + lost))
    raw = timestamps(kind, true)
    one, whole = run(raw, RATES[kind], [])
    many, pieces = run(raw, RATES[kind], [c for c in cuts if c < len(raw)])
    assert [h for h in whole if not isinstance(h, TimedChunk)] == [h for h in pieces if not isinstance(h, TimedChunk)]
    assert one.lost == many.lost
    for left, right in zip(axis(whole), axis(pieces), strict=True):
        n = min(len(left), len(right))
        assert n >= len(raw) - 2 * RATES[kind]
        np.testing.assert_array_equal(left[:n], right[:n])


@pytest.mark.parametrize("kind", sorted(RATES))
def test_no_false_alarm_in_five_minutes(kind):
    rate = RATES[kind]
    true = 5000 + np.arange(round(300 * rate)) / rate
    timeline, out = run(timestamps(kind, true, seed=7), rate)
    index, times, samples = axis(out)
    assert of(Hole, out) == []
    assert {fault.kind for fault in of(Fault, out)} <= {"burst"}
    np.testing.assert_array_equal(index, np.arange(len(index)))
    np.testing.assert_array_equal(samples[:, 0], 2 * np.arange(len(index)))
    assert np.abs(times - true[: len(times)])[round(5 * rate) :].max() < 2e-3
    assert timeline.rate_hz_measured == pytest.approx(rate, rel=2e-4)


@pytest.mark.parametrize("kind", sorted(RATES))
def test_holes_of_every_size_are_found_and_counted(kind):
    rate = RATES[kind]
    sizes = np.random.default_rng(4).permutation([1, 1, 2, 2, 3, 4, 5, 7, 10, 15, 20, 25, 50, 100, 200, 350, 500])
    kept = np.ones(round((10 + 5 * len(sizes)) * rate), bool)
    for k, size in enumerate(sizes):
        at = round((10.3 + 5 * k) * rate)
        kept[at : at + size] = False
    true = 5000 + np.flatnonzero(kept) / rate
    timeline, out = run(timestamps(kind, true, seed=5), rate)
    index, _, _ = axis(out)
    assert [hole.lost for hole in of(Hole, out)] == sizes.tolist()
    assert timeline.lost == sizes.sum()
    wrong = np.flatnonzero(index != np.flatnonzero(kept)[: len(index)])
    # Where jitter hides the place of a loss of a sample or two, the samples next to it may be off by as many.
    assert len(wrong) <= 15 * len(sizes)
    last = of(TimedChunk, out)[-1]
    assert abs(last.times[-1] - true[-1]) < 2e-3


@pytest.mark.parametrize("lost", [100, 200, 300, 500])
@pytest.mark.parametrize("seed", range(3))
def test_a_loss_in_a_stall_is_no_change_of_rate(lost, seed):
    rate, start = RATES["radio"], 5000.0
    kept = np.ones(round(60 * rate), bool)
    # The radio stalls from 22 s on; part of what waits is lost, and what was taken before comes late.
    at = round(22.15 * rate) // 12 * 12
    kept[at : at + lost] = False
    true = start + np.flatnonzero(kept) / rate
    timeline, out = run(timestamps("radio", true, seed), rate)
    assert timeline.lost == lost
    assert [hole.lost for hole in of(Hole, out)] == [lost]
    assert {fault.kind for fault in of(Fault, out)} <= {"burst"}
    _, times, _ = axis(out)
    assert np.count_nonzero(np.abs(times - true[: len(times)])[round(5 * rate) :] > 2e-3) <= 15


def test_a_big_hole_is_known_before_what_follows_is_handed_out():
    true = np.delete(100 + np.arange(5000) / RATE, slice(3000, 3025))
    _, out = run(timestamps("jitter", true), RATE, range(len(true)))
    (hole,) = of(Hole, out)
    assert (hole.index, hole.lost, hole.retroactive) == (3025, 25, False)
    assert hole.timestamp == pytest.approx(100 + 3025 / RATE, abs=1e-3)


def test_nothing_is_held_while_timestamps_are_clean():
    timeline = Timeline(RATE)
    raw = timestamps("even", 100 + np.arange(1000) / RATE)
    samples = np.zeros((1000, 1), np.float32)
    for a in range(0, 1000, 10):
        (timed,) = timeline.push(Chunk(raw[a : a + 10], samples[a : a + 10]))
        np.testing.assert_array_equal(timed.index, np.arange(a, a + 10))


@pytest.mark.parametrize("error", [-0.01, 1e-4, 0.01])
def test_rate_error_is_reported_and_followed(error):
    true = 100 + np.arange(20000) / (RATE * (1 + error))
    timeline, out = run(timestamps("jitter", true), RATE)
    assert of(Hole, out) == []
    assert [fault.kind for fault in of(Fault, out)] == (["rate"] if abs(error) > 1e-3 else [])
    assert timeline.rate_hz_measured == pytest.approx(RATE * (1 + error), rel=2e-4)
    assert np.abs(axis(out)[1] - true[: len(axis(out)[1])])[2000:].max() < 2e-3


@pytest.mark.parametrize("step", [-0.5, 0.5, 1.7e9])
def test_clock_step_is_told_from_a_loss_by_the_time_of_arrival(step):
    true = 100 + np.arange(10000) / RATE
    raw = true + np.where(np.arange(10000) >= 5000, step, 0) + np.random.default_rng(0).normal(0, 5e-4, 10000)
    timeline, out = run(raw, RATE, arrived=true + 3e-3)
    assert "clock-step" in {fault.kind for fault in of(Fault, out)}
    (hole,) = of(Hole, out)
    assert (hole.index, hole.lost, timeline.lost) == (5000, 0, 0)
    assert np.abs(axis(out)[1] - true)[6000:].max() < 2e-3


def sent_in_chunks(true, size=5, step_from=None, step=0.0, seed=0):
    """Yield the chunks of an amplifier that sends every `size` samples, live; those at a loss are cut short."""
    rng = np.random.default_rng(seed)
    number = np.round((true - true[0]) * RATE).astype(int)
    for part in np.split(np.arange(len(true)), np.flatnonzero(np.diff(number // size)) + 1):
        sent = true[part[0]] + (size - 1 - number[part[0]] % size) / RATE + rng.exponential(3e-4)
        raw = true[part] + sent - true[part[0]] - (size - 1 - number[part[0]] % size) / RATE
        raw += step if step_from is not None and part[0] >= step_from else 0.0
        yield Chunk(raw, np.stack([number[part]], axis=1).astype(np.float32), sent + 2e-4)


@pytest.mark.parametrize("lost", [1, 5, 6, 9, 60])
@pytest.mark.parametrize("at", [2000, 2004])
def test_a_loss_that_cuts_a_packet_short_is_no_clock_step(lost, at):
    true = np.delete(100 + np.arange(3500) / RATE, slice(at, at + lost))
    timeline = Timeline(RATE)
    out = [item for chunk in sent_in_chunks(true) for item in timeline.push(chunk)]
    assert [(hole.index, hole.lost) for hole in of(Hole, out) if hole.lost] == [(at + lost, lost)]
    # Of a packet one sample is stamped, so nobody knows which of the others went on: no window has them.
    assert all(at - 5 <= hole.index <= at + lost + 5 for hole in of(Hole, out))
    assert of(Fault, out) == []
    index, times, samples = axis(out)
    np.testing.assert_array_equal(index, samples[:, 0])
    assert np.abs(times - 100 - samples[:, 0] / RATE).max() < 2e-3


@pytest.mark.parametrize("size", [12, 20, 32])
@pytest.mark.parametrize("lost", [7, 24])
@pytest.mark.parametrize("at", [2000, 2004, 2008])
def test_a_loss_that_cuts_two_packets_is_no_clock_step(size, lost, at):
    rng = np.random.default_rng(0)
    true = 100 + np.arange(3500) / RATE
    raw = true + rng.normal(0, 5e-4, len(true))
    timeline, out = Timeline(RATE), []
    for packet in np.split(np.arange(len(true)), np.arange(size, len(true), size)):
        kept = packet[(packet < at) | (packet >= at + lost)]
        if len(kept):
            sent = true[packet[-1]] + rng.exponential(3e-4)
            out += timeline.push(Chunk(raw[kept], kept[:, None].astype(np.float32), sent + 1e-3))
    assert [(hole.index, hole.lost) for hole in of(Hole, out)] == [(at + lost, lost)]
    assert of(Fault, out) == []
    index, _, samples = axis(out)
    np.testing.assert_array_equal(index, samples[:, 0])


@pytest.mark.parametrize("step", [-0.5, 0.5])
def test_after_a_clock_step_samples_are_not_called_late(step):
    timeline = Timeline(RATE)
    true = 100 + np.arange(10_000) / RATE
    out = [item for chunk in sent_in_chunks(true, step_from=4000, step=step) for item in timeline.push(chunk)]
    told = of(Fault, out)
    assert "clock-step" in {fault.kind for fault in told}
    assert {fault.kind for fault in told if fault.timestamp > 100 + 18} == set()


def test_without_times_of_arrival_a_step_back_is_followed():
    raw = 100 + np.arange(10000) / RATE
    raw[5000:] -= 0.5
    _, out = run(raw, RATE)
    assert [(hole.index, hole.lost) for hole in of(Hole, out)] == [(5000, 0)]
    assert np.abs(axis(out)[1] - raw)[6000:].max() < 1e-3


def test_foreign_clock_is_reported_live():
    raw = 1.7e9 + np.arange(1000) / RATE
    assert of(Fault, run(raw, RATE)[1]) == []
    (fault,) = of(Fault, run(raw, RATE, arrived=raw - 1.7e9 + 100)[1])
    assert fault.kind == "foreign-clock"


def test_samples_that_come_twice_are_left_out():
    raw = timestamps("jitter", 100 + np.arange(5000) / RATE)
    samples = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    rows = np.concatenate([np.arange(3000), np.arange(2990, 5000)])
    timeline = Timeline(RATE)
    out = []
    for part in np.array_split(rows, 200):
        out += timeline.push(Chunk(raw[part], samples[part]))
    np.testing.assert_array_equal(axis(out)[2], samples)
    assert [fault.kind for fault in of(Fault, out)] == ["duplicate"]


def test_single_wrong_timestamps_move_nothing():
    true = 100 + np.arange(10000) / RATE
    raw = true + np.random.default_rng(0).normal(0, 2e-4, 10000)
    raw[5000] -= 0.2
    raw[6000] += 0.2
    _, out = run(raw, RATE)
    assert of(Hole, out) == []
    assert [fault.kind for fault in of(Fault, out)] == ["backward", "burst"]
    assert np.abs(axis(out)[1] - true)[500:].max() < 1e-3


def test_distribution_is_recovered():
    rng = np.random.default_rng(0)
    mode, early, late = asymmetric_laplace(3 + rng.exponential(2.0, 20000))
    assert (mode, late) == pytest.approx((3, 2), abs=0.1)
    assert early < 0.1
    mode, early, late = asymmetric_laplace(rng.normal(1, 0.5, 20000))
    assert mode == pytest.approx(1, abs=0.1)
    assert early == pytest.approx(late, rel=0.2)
