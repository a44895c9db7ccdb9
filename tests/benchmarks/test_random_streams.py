"""The truth that comes with a random stream is the truth, and every family holds what it is named for."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.family_scores import DEVELOPMENT, REPORT
from benchmarks.random_faults import FAMILIES, RandomFault
from benchmarks.random_senders import LARGEST_OFFSET_S, MOST_PPM, draw_sender
from benchmarks.random_streams import make_stream, random_stream
from realtime.sources.base import Chunk, Marker

streams = st.builds(random_stream, st.sampled_from(sorted(FAMILIES)), st.integers(0, 100_000), st.just(30.0))


def _of(stream, *kinds):
    return [fault for fault in stream.faults if fault.kind in kinds]


@settings(max_examples=30)
@given(streams)
def test_every_sample_comes_once_or_is_lost_in_a_fault(stream):
    numbers = stream.sample_number
    if not _of(stream, "repeat"):
        assert (np.diff(numbers) > 0).all()
    came, missing = np.unique(numbers), np.setdiff1d(np.arange(numbers[0], numbers[-1]), numbers)
    assert stream.lost == len(missing)
    assert numbers[0] == 0 or _of(stream, "loss", "restart")
    assert len(came) > 0.4 * len(stream.true_time)
    if not _of(stream, "loss", "restart"):
        assert not stream.lost
    assert (np.diff(stream.true_time) > 0).all()
    ages = stream.true_time[missing] - stream.true_time[0]
    packet_s = 2 * max(stream.sender.size / stream.rate_hz, 1 / stream.rate_hz) if stream.sender.whole_packets else 0.0
    slack_s = packet_s + 2 / stream.rate_hz
    for age_s in ages.tolist():
        assert any(
            f.at_s - slack_s <= age_s <= f.at_s + 1.01 * f.for_s + slack_s for f in _of(stream, "loss", "restart")
        )


@settings(max_examples=30)
@given(streams)
def test_nothing_arrives_before_it_was_taken_nor_overtakes(stream):
    ends = np.cumsum(stream.chunk_lengths)
    assert stream.chunk_lengths.min() > 0
    assert ends[-1] == len(stream.timestamps) == len(stream.sample_number)
    assert (stream.arrived > stream.true_time[stream.sample_number[ends - 1]]).all()
    assert (np.diff(stream.arrived) > 0).all()
    assert (stream.marker_arrived > stream.marker_onset).all()
    arrivals = [item.arrived for item in stream.events() if isinstance(item, Chunk)]
    assert arrivals == stream.arrived.tolist()


@settings(max_examples=20)
@given(streams)
def test_events_carry_the_sample_numbers_in_the_first_channel(stream):
    items = list(stream.events())
    chunks = [item for item in items if isinstance(item, Chunk)]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert np.array_equal(samples[:, 0], stream.sample_number)
    assert np.array_equal(np.concatenate([chunk.timestamps for chunk in chunks]), stream.timestamps)
    assert np.array_equal(np.isnan(samples[:, 1]), stream.no_value)
    onsets = [item.timestamp for item in items if isinstance(item, Marker)]
    assert onsets == stream.marker_onset.tolist()


def test_a_packet_that_comes_twice_carries_the_same_samples():
    stream = random_stream("nan-repeats", 0)
    samples = np.concatenate([event.samples for event in stream.events() if isinstance(event, Chunk)])
    first = {}
    for number, value in zip(samples[:, 0].tolist(), samples[:, 1].tolist(), strict=True):
        assert np.isnan(value) or np.isnan(first.setdefault(number, value)) or first[number] == value
    assert len(first) < len(samples)


@settings(max_examples=10)
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 100_000))
def test_a_seed_gives_the_same_stream_and_another_seed_another(family, seed):
    one, again, other = (random_stream(family, s, 20.0) for s in (seed, seed, seed + 1))
    for name in ("timestamps", "sample_number", "chunk_lengths", "arrived", "marker_onset", "true_time"):
        assert np.array_equal(getattr(one, name), getattr(again, name))
    assert one.faults == again.faults
    assert one.sender != other.sender


def test_a_start_is_obeyed_and_changes_nothing_else():
    one, later = random_stream("mixed", 3), random_stream("mixed", 3, start=777.0)
    assert later.true_time[0] == 777.0
    assert np.array_equal(one.sample_number, later.sample_number)
    assert np.allclose(one.arrived - one.true_time[0], later.arrived - 777.0, atol=1e-8)


@settings(max_examples=30)
@given(st.sampled_from(("clean", "clean-radio", "drift")), st.integers(0, 100_000))
def test_timestamps_of_clean_streams_are_off_by_no_more_than_their_sender_is(family, seed):
    stream = random_stream(family, seed, 30.0)
    assert not stream.faults
    assert not stream.lost
    sender = stream.sender
    off = stream.timestamps - stream.true_time[stream.sample_number]
    # The least late of them tell the time, but for what the clock's offset and its ticks are off by.
    early = LARGEST_OFFSET_S + sender.tick_s / 2 + 6 * sender.jitter_s * (sender.jitter != "exponential")
    assert off.min() > -early - MOST_PPM * 1e-6
    assert np.quantile(off, 0.01) < LARGEST_OFFSET_S + sender.blur_s + 2 / sender.rate_hz
    rate = 1 / np.diff(stream.true_time)
    assert np.abs(rate / stream.rate_hz - 1).max() <= 1e-6 * (MOST_PPM + 1)


def test_a_clean_stream_lasts_five_minutes_and_the_others_one():
    for family in FAMILIES:
        stream = random_stream(family, 1)
        assert np.ptp(stream.true_time) == pytest.approx(300 if family.startswith("clean") else 60, rel=0.01)


def test_the_families_hold_what_they_say():
    drawn = {family: [random_stream(family, seed, 30.0) for seed in range(40)] for family in FAMILIES}
    for family in ("clean", "clean-radio", "drift"):
        assert not any(stream.faults for stream in drawn[family])
    assert max(stream.sender.offset_s for stream in drawn["clean"]) <= 3e-4
    assert max(stream.sender.offset_s for stream in drawn["clean-radio"]) > 1e-3
    assert {len(stream.faults) for stream in drawn["single"]} == {1}
    assert {stream.faults[0].kind for stream in drawn["single"]} == {"loss", "stall", "step", "restart", "rate"}
    assert {len(stream.faults) for stream in drawn["mixed"]} == {2, 3}
    assert all(stream.faults[-1].at_s - stream.faults[0].at_s < 4 for stream in drawn["mixed"])
    for stream in drawn["stall-losses"]:
        (stall,) = _of(stream, "stall")
        losses = _of(stream, "loss")
        assert losses
        assert stream.lost
        assert all(stall.at_s <= loss.at_s <= stall.at_s + stall.for_s for loss in losses)
        assert np.diff(stream.arrived).max() > 0.5 * stall.for_s
    assert all(0 < fault.at_s < 5 for stream in drawn["start"] for fault in stream.faults)
    assert {fault.kind for stream in drawn["steps"] for fault in stream.faults} == {"step"}
    for stream in drawn["losses"]:
        times = [fault.at_s for fault in stream.faults]
        assert len(times) >= 2
        assert max(times) - min(times) < 1
        assert stream.lost
    assert min(stream.sender.drift_ppm for stream in drawn["drift"]) >= 100
    wifi = [fault for stream in drawn["wifi"] for fault in stream.faults]
    assert {fault.kind for fault in wifi} == {"burst"}
    assert min(fault.for_s for fault in wifi) >= 0.05
    assert max(fault.for_s for fault in wifi) <= 0.8
    for stream in drawn["nan-repeats"]:
        assert stream.no_value.any()
        assert len(np.unique(stream.sample_number)) < len(stream.sample_number)
    kinds = {fault.kind for stream in drawn["any"] for fault in stream.faults}
    assert kinds == {"loss", "stall", "step", "restart", "rate", "nan", "repeat", "burst"}
    senders = [stream.sender for family in FAMILIES for stream in drawn[family]]
    assert {sender.stamping for sender in senders} == {"counter", "sample", "push", "radio"}
    assert {sender.packing for sender in senders} == {"fixed", "random", "timer"}
    assert {sender.jitter for sender in senders} == {"exponential", "normal", "correlated"}
    assert max(abs(sender.rate_ppm) + sender.drift_ppm for sender in senders) <= MOST_PPM
    assert max(abs(sender.rate_ppm) for sender in senders) > 800
    assert {255.97, 128.03} <= {sender.rate_hz for sender in senders}


@pytest.mark.parametrize("kind", ["loss", "stall", "step", "restart", "rate"])
@pytest.mark.parametrize("seed", range(4))
def test_a_fault_is_in_the_stream_where_it_says(kind, seed):
    value = {"loss": 100.0, "step": 0.5, "rate": 500.0}.get(kind, 0.0)
    length = {"loss": 100.0 / 250, "stall": 1.0, "restart": 1.0}.get(kind, 0.0)
    sender = draw_sender(np.random.default_rng(seed))
    fault = RandomFault(kind, 10.0, length, value)
    stream, clean = (
        make_stream(sender, faults, 20.0, 5000.0, np.random.default_rng(seed)) for faults in ((fault,), ())
    )
    if kind == "loss":
        assert 100 <= stream.lost <= 100 + 4 * sender.size
    elif kind == "restart":
        assert sender.rate_hz - 2 <= stream.lost <= 1.01 * sender.rate_hz + 4 * sender.size + 2
    else:
        assert not stream.lost
    age = stream.true_time[stream.sample_number] - 5000.0
    off = stream.timestamps - stream.true_time[stream.sample_number]
    if kind == "step":
        step = np.median(off[age > 11]) - np.median(off[age < 9])
        assert step == pytest.approx(0.5, abs=0.01)
    if kind == "rate":
        faster = np.diff(stream.true_time)[-1] / np.diff(clean.true_time)[-1]
        assert faster == pytest.approx(1 / 1.0005, abs=1e-6)
    if kind == "stall":
        quiet = np.diff(stream.arrived)
        assert quiet.max() > 0.8
        at = stream.arrived[quiet.argmax() + 1] - 5000.0
        assert at == pytest.approx(11.0, abs=0.3)


def test_development_and_report_have_no_seed_in_common():
    assert not set(DEVELOPMENT[:: len(DEVELOPMENT) - 1]) & set(REPORT)
    assert DEVELOPMENT.stop <= REPORT.start


@pytest.mark.realtime
def test_streams_are_made_quickly():
    begun = time.process_time()
    for seed in range(24):
        random_stream(sorted(FAMILIES)[seed % len(FAMILIES)], seed, 60.0)
    assert time.process_time() - begun < 24 * 0.06, "2,000 streams take less than two minutes"


def test_two_seconds_of_a_clean_stream_tell_the_time_to_one_who_knows_what_kind_of_delays_it_has():
    """What nobody could know is not asked: least or mean delays, of timestamps or arrivals, stay the same to 4 ms."""
    spread = []
    for seed in range(60):
        stream = random_stream(("clean", "clean-radio", "drift")[seed % 3], seed, 40.0)
        sender = stream.sender
        true = stream.true_time[stream.sample_number]
        last = np.cumsum(stream.chunk_lengths) - 1
        evenly = sender.stamping == "counter" or (sender.stamping != "radio" and sender.jitter != "exponential")
        of_timestamps = _every_two_seconds(true, stream.timestamps - true, np.mean if evenly else np.min)
        of_arrivals = _every_two_seconds(true[last], stream.arrived - true[last], np.min)
        spread.append(min(np.ptp(of_timestamps), np.ptp(of_arrivals)))
    assert np.quantile(spread, 0.98) < 4e-3


def _every_two_seconds(times, values, of):
    window = ((times - times[0]) // 2).astype(int)
    return [of(values[window == number]) for number in range(window.max())]
