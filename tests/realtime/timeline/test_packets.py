"""Amplifiers that hand over a radio packet at a time, each of its samples stamped when it is handed over."""

import numpy as np
import pytest

from configs.schema import Config
from realtime.epoching.epochs import Closed, Refused, Retracted
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.timeline.observations import Repeats, Runs
from realtime.timeline.sample_grid import Fault, Hole

START = 1000.0


def sent(rate, size, seconds, at_once_s=1e-5):
    """Sample numbers and timestamps: `size` samples at a time, 2 ms and a little after the last of them was taken."""
    number = np.arange(round(seconds * rate))
    late = 0.002 + np.abs(np.random.default_rng(1).normal(0, 0.001, len(number) // size + 1))
    last = np.minimum((number // size + 1) * size, len(number)) - 1
    return number, START + last / rate + late[number // size] + number % size * at_once_s


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("rate", "size"), [(300, 9), (256, 12), (250, 10)])
def test_epochs_begin_with_the_sample_of_their_onset(rate, size, live):
    number, timestamps = sent(rate, size, 40)
    values = np.stack([number, np.random.default_rng(0).normal(0, 10, len(number))], axis=1).astype(np.float32)
    settings = {"filters": {"highpass_hz": None, "lowpass_hz": None}, "window": {"stop_s": 0.8}}
    pipeline = Pipeline(Config.model_validate(settings), StreamSpec("amp", "EEG", "", rate, ("Fz", "Cz")))
    items = [Marker(float(onset), "picture", "cat", {}) for onset in np.arange(START + 5, START + 35, 1.37)]
    for start in range(0, len(number), size if live else 60):
        part = slice(start, start + (size if live else 60))
        items.append(Chunk(timestamps[part], values[part], float(timestamps[part][-1]) + 3e-4 if live else None))
    items.sort(key=lambda item: item.timestamp if isinstance(item, Marker) else item.arrived or item.timestamps[-1])
    out = [event for item in items for event in pipeline.push(item)]
    assert not [event for event in out if isinstance(event, (Refused, Retracted, Hole, Fault))]
    epochs = [event.epoch for event in out if isinstance(event, Closed)]
    assert len(epochs) == 22
    # A push can only be late: what is in hand is the sample of the onset or the one before it.
    off = np.array([START + epoch.samples[0, 0] / rate - epoch.onset for epoch in epochs])
    assert np.all((off > -1.1 / rate - 1e-3) & (off < 0.5 / rate))


def test_evidence_does_not_depend_on_how_timestamps_are_cut():
    _, timestamps = sent(256, 12, 4)
    whole = Runs(1 / 256).observations(timestamps)
    runs, rows = Runs(1 / 256), []
    for start in range(0, len(timestamps), 7):
        rows += [start + row for row in runs.observations(timestamps[start : start + 7])]
    assert rows == whole
    assert runs.together == 12
    assert set(np.diff(whole[60:])) == {12}


@pytest.mark.parametrize("size", [1, 5, 20])
def test_samples_that_come_alone_or_in_stamped_chunks_wait_for_none(size):
    last = np.arange(0, 2000, size) + size - 1
    timestamps = np.concatenate(
        [t - np.arange(size)[::-1] / 250 for t in last / 250 + np.random.default_rng(0).uniform(0, 1e-3, len(last))]
    )
    runs = Runs(1 / 250)
    rows = runs.observations(timestamps)
    assert runs.together == 1
    assert len(rows) > 0.9 * len(last)


@pytest.mark.parametrize("periods", [1.0, 3.0, 6.0])
def test_samples_that_wait_in_a_queue_are_no_packets(periods):
    late = periods * np.random.default_rng(0).exponential(size=4000) / 1000
    timestamps = np.maximum.accumulate(np.arange(4000) / 1000 + late - 2e-5 * np.arange(4000)) + 2e-5 * np.arange(4000)
    runs, anew = Runs(1 / 1000), 0
    for start in range(0, 4000, 20):
        runs.observations(timestamps[start : start + 20])
        anew += runs.anew is not None
    assert anew <= 2
    assert runs.together == 1


@pytest.mark.parametrize("missing", [slice(0, 0), slice(3, 7), slice(0, 10)])
def test_a_packet_that_comes_twice_is_left_out_though_values_are_missing(missing):
    samples = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    samples[20:30][missing, 1] = np.nan
    timestamps = START + np.arange(60) / 250
    repeats = Repeats()
    assert repeats.remove(Chunk(timestamps[:30], samples[:30]))[1] == 0
    again, count = repeats.remove(Chunk(timestamps[20:], samples[20:]))
    assert count == 10
    np.testing.assert_array_equal(again.timestamps, timestamps[30:])
