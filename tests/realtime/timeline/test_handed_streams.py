"""Streams that other senders made, with known faults: nothing wrong is accepted, all that is lost is counted."""

from pathlib import Path

import numpy as np
import pytest

from configs.schema import Config
from realtime.epoching.epochs import Closed, Retracted
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.timeline.sample_grid import Hole, TimedChunk
from realtime.timeline.timeline import Timeline

STREAMS = (
    "clean-04", "clean-13", "clockwifi-02", "clockwifi-08", "drops-01", "drops-04", "drops-17", "stalldrop-00",
    "stalldrop-09", "stalldrop-14", "start-04", "start-21", "steps-01", "steps-02", "steps-10",
)  # fmt: skip
NO_FILTERS = {"filters": {"highpass_hz": None, "lowpass_hz": None}, "window": {"stop_s": 0.8}}
EXPLAINED = "clockwifi-08"
"""Its steps are explained by a level line as well, and end nothing."""


class Counted(Timeline):
    """A timeline that counts the samples that it lets through."""

    came = 0

    def push(self, chunk):
        found = super().push(chunk)
        self.came += sum(len(item.times) for item in found if isinstance(item, TimedChunk))
        return found


@pytest.fixture
def handed(shared_data: Path) -> Path:
    folder = shared_data.parent / "faults" / "time_axis"
    if not folder.is_dir():
        pytest.skip("the handed streams (../shared/faults) are not here")
    return folder


def items(made):
    """Chunks, whose first channel carries the sample's number, and markers, in order of arrival."""
    numbers = made["sample_number"]
    samples = np.stack([numbers, np.random.default_rng(0).normal(0, 10, len(numbers))], axis=1).astype(np.float32)
    stops = np.cumsum(made["chunk_lengths"])
    found = [
        (arrived, 1, Chunk(made["timestamps"][stop - length : stop], samples[stop - length : stop], float(arrived)))
        for stop, length, arrived in zip(stops, made["chunk_lengths"], made["arrived"], strict=True)
    ]
    found += [
        (arrived, 0, Marker(float(onset), "picture", "p", {"trial": trial}))
        for trial, (onset, arrived) in enumerate(zip(made["marker_onset"], made["marker_arrived"], strict=True))
    ]
    return [item for *_, item in sorted(found, key=lambda each: each[:2])]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name.startswith("clockwifi") else name for name in STREAMS],
)
def test_nothing_wrong_is_accepted_and_all_that_is_lost_is_counted(handed, name):
    with np.load(handed / f"{name}.npz") as file:
        made = dict(file)
    rate, true, numbers = float(made["rate_hz"]), made["true_time"], made["sample_number"]
    pipeline = Pipeline(Config.model_validate(NO_FILTERS), StreamSpec("x", "EEG", "x", rate, ("number", "noise")))
    pipeline.timeline = Counted(rate)
    out = [event for item in items(made) for event in pipeline.push(item)] + list(pipeline.finish())
    gone = {event.trial for event in out if isinstance(event, Retracted)}
    accepted = [event.epoch for event in out if isinstance(event, Closed) and event.trial not in gone]
    for epoch in accepted:
        held = np.rint(epoch.samples[:, 0]).astype(int)
        assert set(np.diff(held)) == {1}
        assert np.abs(true[held] - epoch.onset - pipeline.times_s).max() <= max(0.004, 1 / rate) + 1e-4
    assert len(accepted) > 0.5 * len(made["marker_onset"])
    missing = np.maximum(np.diff(numbers) - 1, 0)
    assert pipeline.timeline.lost == missing.sum()
    if name == EXPLAINED:
        assert pipeline.timeline.came > 0.99 * len(numbers)
    if name.startswith("clean"):
        assert not [event for event in out if isinstance(event, Hole)]
        settled = made["marker_onset"] > true[numbers[0]] + 2
        whole = made["marker_onset"] < true[numbers[-1]] - 1
        onsets = {epoch.onset for epoch in accepted}
        assert np.mean([onset in onsets for onset in made["marker_onset"][settled & whole].tolist()]) >= 0.995
