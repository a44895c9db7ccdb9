"""Timestamps by counter and host time: losses are gaps to the sample, and what is late is not."""

import numpy as np
import pytest

from realtime.sources.base import Chunk
from realtime.sources.boards.sample_clock import BoardClock, SampleClock, SampleCounter
from realtime.timeline.sample_grid import Hole, TimedChunk
from realtime.timeline.timeline import Timeline

RATE_HZ = 250.0


def counted(modulus, counts, host=None):
    counts = np.asarray(counts)
    times = np.arange(len(counts)) / RATE_HZ if host is None else np.asarray(host)
    return SampleCounter(modulus).number(counts, times, RATE_HZ).tolist()


def test_a_counter_that_goes_round_loses_nothing():
    assert counted(256, [253, 254, 255, 0, 1]) == [0, 1, 2, 3, 4]
    assert counted(256, [254, 1, 2]) == [0, 3, 4]
    assert counted(201, [199, 200, 0]) == [0, 1, 2]


def test_samples_of_one_package_share_its_number():
    assert counted(256, [7, 7, 7, 8, 8, 8, 10, 10, 10]) == [0, 1, 2, 3, 4, 5, 9, 10, 11]


def test_a_silence_longer_than_the_counter_is_told_by_the_clock():
    assert counted(256, [10, 12], [0.0, (2 * 256 + 2) / RATE_HZ + 0.03]) == [0, 2 * 256 + 2]
    assert counted(256, [10, 11], [0.0, 0.4]) == [0, 1]  # late, not lost


def test_packages_that_come_again_bear_their_numbers_again():
    assert counted(256, [8, 9, 10, 8, 9, 10, 11]) == [0, 1, 2, 0, 1, 2, 3]
    assert counted(256, [0, 1, 255, 0, 1, 2]) == [0, 1, -1, 0, 1, 2]
    assert counted(256, [7, 7, 8, 8, 7, 7, 8, 8, 9, 9]) == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]


def test_what_was_sent_before_is_not_sent_again():
    clock = BoardClock(RATE_HZ, 256)
    for at in np.arange(1000).reshape(100, 10):
        clock.timestamp(at % 256, at / RATE_HZ)
    kept, timestamps = clock.timestamp(np.array([998, 999, 1000, 1001]) % 256, np.full(4, 4.01))
    assert kept.tolist() == [False, False, True, True]
    np.testing.assert_allclose(timestamps, [4.0, 4.004], atol=1e-3)
    assert clock.lost == 0


def test_a_counter_of_unknown_length_tells_no_loss_where_it_falls():
    assert counted(None, [199, 200, 0, 1, 3]) == [0, 1, 2, 3, 5]


def packets(rng, seconds, lost, rate_hz=RATE_HZ, sizes=(1, 12), jitter_s=0.004, stalls=()):
    """Chunks of number and host time: timestamped as the host had them, late by chance, stalls of half a second."""
    numbers = np.arange(round(seconds * rate_hz))
    numbers = numbers[~np.isin(numbers, lost)]
    start = 0
    while start < len(numbers):
        part = numbers[start : start + int(rng.integers(*sizes, endpoint=True))]
        start += len(part)
        late = rng.exponential(jitter_s) + max((0.5 for at in stalls if at <= part[-1] / rate_hz < at + 0.5), default=0)
        yield part, 100.0 + np.full(len(part), part[-1] / rate_hz + late)


@pytest.mark.parametrize("kind", ["plain", "bursts", "slow clock", "stalls"])
def test_every_loss_is_a_hole_of_its_size_on_the_time_axis(kind):
    rng = np.random.default_rng(3)
    rate_hz = RATE_HZ * (0.9985 if kind == "slow clock" else 1.0)
    stalls = (11.0, 25.0) if kind == "stalls" else ()
    starts = 1500 + 400 * np.arange(20) + rng.integers(0, 100, 20)
    sizes = rng.integers(1, 30, 20)
    lost = np.concatenate([np.arange(at, at + size) for at, size in zip(starts, sizes, strict=True)])
    counter, clock, timeline = SampleCounter(256), SampleClock(RATE_HZ), Timeline(RATE_HZ)
    errors, holes = [], []
    packed = packets(rng, 40, lost, rate_hz, (20, 40) if kind == "bursts" else (1, 12), stalls=stalls)
    for part, host in packed:
        numbers = counter.number(part % 256, host, RATE_HZ)
        assert numbers.tolist() == part.tolist()
        clock.learn(numbers, host)
        if not clock.ready:
            continue
        timestamps = clock.timestamp(numbers)
        # A burst that holds a loss looks to the time axis like a step of the clock, by when it arrived.
        arrived = float(host[-1]) if kind in ("plain", "slow clock") else None
        for item in timeline.push(Chunk(timestamps, part[:, None].astype(np.float32), arrived)):
            if isinstance(item, Hole):
                holes.append(item.lost)
            elif isinstance(item, TimedChunk):
                errors.append(item.times - (100.0 + item.samples[:, 0] / rate_hz))
    assert holes == sizes.tolist()
    late = np.concatenate(errors)[1500:]
    assert np.ptp(late) < 0.007
    assert abs(late.mean()) < 0.005
