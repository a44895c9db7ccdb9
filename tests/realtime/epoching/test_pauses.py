"""Pauses and bad stretches that a recording itself marks, on the way to epochs."""

import numpy as np
import pytest

from configs.schema import ArtefactSettings, Config, FilterSettings, MarkerSettings, WindowSettings
from realtime.epoching.epochs import Closed, Refused
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Marker, StreamSpec
from realtime.sources.readers.loaded import Loaded
from realtime.sources.recording import Recording
from realtime.timeline.sample_grid import Fault, Hole

RATE_HZ = 250.0
CONFIG = Config(
    markers=MarkerSettings(classes={"1": "cat"}),
    filters=FilterSettings(highpass_hz=None, lowpass_hz=None),
    artefacts=ArtefactSettings(peak_to_peak_uv=None, flat_uv=None),
    window=WindowSettings(start_s=0.0, stop_s=0.8),
)


def cut(pause_s, onsets, bad=(), before_s=20.0, config=CONFIG):
    """Return closed epochs, refusals, holes and faults of 40 s with a pause after `before_s`; Fz is the time."""
    row = round(before_s * RATE_HZ)
    timestamps = np.arange(round(40 * RATE_HZ)) / RATE_HZ
    timestamps[row:] += pause_s
    values = timestamps.astype(np.float32)[:, None]
    markers = [Marker(onset, "1") for onset in onsets] + list(bad)
    markers.sort(key=lambda marker: marker.timestamp)
    spec = StreamSpec("amp", "EEG", "", RATE_HZ, ("Fz",))
    loaded = Loaded(spec, timestamps, lambda start, stop: values[start:stop], tuple(markers), pauses=(row,))
    pipeline = Pipeline(config, spec)
    events = [event for item in Recording(loaded).events() for event in pipeline.push(item)]
    events += pipeline.finish()
    epochs = [event.epoch for event in events if isinstance(event, Closed)]
    return epochs, *([event for event in events if isinstance(event, kind)] for kind in (Refused, Hole, Fault))


@pytest.mark.parametrize("pause_s", [0.004, 0.1, 0.3, 10.0, 60.0, 61.0, 36000.0])
@pytest.mark.parametrize("before_s", [0.2, 20.0])
def test_a_pause_is_one_hole_of_its_own_length(pause_s, before_s):
    behind = before_s + pause_s
    onsets = (before_s - 0.1, behind + 0.02, behind + 5.004, behind + 10.0)
    closed, refused, holes, faults = cut(pause_s, onsets, before_s=before_s)
    (hole,) = holes
    assert hole.lost == (round(pause_s * RATE_HZ) if pause_s <= 60 else 0)
    assert hole.timestamp == pytest.approx(behind, abs=1e-6)
    assert not faults
    assert onsets[0] in [event.marker.timestamp for event in refused]
    if pause_s > 60:
        assert f"pause of {pause_s:.1f} s" in refused[0].reason or "settled" in refused[0].reason
    for epoch in closed:
        times = epoch.samples[:, 0]
        assert times[0] == pytest.approx(epoch.onset, abs=3e-3)
        assert times[-1] - times[0] == pytest.approx(0.796, abs=3e-3)
    assert {epoch.onset for epoch in closed} >= set(onsets[2:])


def test_over_a_pause_of_unknown_length_no_epoch_is_cut_and_filters_settle_anew():
    filtered = CONFIG.model_copy(update={"filters": FilterSettings(highpass_hz=1.0, lowpass_hz=40.0)})
    closed, refused, holes, faults = cut(0.0, (10.0, 19.6, 20.1, 30.0), config=filtered)
    assert [epoch.onset for epoch in closed] == [10.0, 30.0]
    assert [(event.marker.timestamp, event.reason) for event in refused] == [
        (timestamp, "pause of unknown length at 20.000 s, in the window or too soon before it")
        for timestamp in (19.6, 20.1)
    ]
    assert [(hole.lost, hole.timestamp) for hole in holes] == [(0, 20.0)]
    assert not faults


def test_what_somebody_marked_as_bad_refuses_the_epochs_it_touches():
    blink = Marker(12.5, "BAD_blink", extra={"duration_s": 0.4})
    remark = Marker(10.2, "bad luck")
    closed, refused, _, _ = cut(10.0, (10.0, 11.8, 12.6, 12.95), (blink, remark))
    assert [epoch.onset for epoch in closed] == [10.0, 12.95]
    assert {event.reason for event in refused} == {"BAD_blink marked from 12.500 to 12.900 s"}
    assert [event.marker.timestamp for event in refused] == [11.8, 12.6]
