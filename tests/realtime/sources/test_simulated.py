"""The simulated participant as it runs: a process with a real LSL stream, answering real LSL markers."""

import json
import os
import signal

import numpy as np
import pylsl
import pytest

from configs.schema import MarkerSettings, PictureSettings
from realtime.electrodes import CHANNELS_64
from realtime.sources.metadata import describe, parse_info
from realtime.sources.simulated import MODULE, SimulatedStream, start_simulated
from realtime.sources.simulation.background import BackgroundSettings
from realtime.sources.simulation.evoked import EvokedResponse, activations, components
from realtime.sources.simulation.features import picture_features
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.child import ChildError, ChildProcess
from stimuli.markers import Marker
from stimuli.pictures import open_pictures

pytestmark = pytest.mark.processes

SILENT = BackgroundSettings(pink_uv=0, alpha_uv=0, blink_uv=0, mains_uv=0, sensor_uv=0)
STEADY = SimulationSettings(background=SILENT, gain_spread=0, jitter_s=0)
PICTURES = open_pictures(PictureSettings(), "test")


@pytest.fixture
def stream(tmp_path):
    name = f"simulated-{tmp_path.name}"
    return SimulatedStream(STEADY, markers=MarkerSettings(source_id=f"markers-{name}"), name=name, source_id=name)


@pytest.fixture
def participant(stream):
    child = start_simulated(stream)
    yield child
    child.stop()


def markers_of(stream):
    info = pylsl.StreamInfo("test markers", "Markers", 1, 0, "string", stream.markers.source_id)
    return pylsl.StreamOutlet(info)


def listen(stream):
    (info,) = pylsl.resolve_byprop("source_id", stream.source_id, timeout=60)
    inlet = pylsl.StreamInlet(info)
    inlet.open_stream(timeout=60)
    return inlet


def record(inlet, until):
    """Return timestamps and samples up to a time on the LSL clock."""
    timestamps, samples = [], []
    while not timestamps or timestamps[-1] < until:
        sample, timestamp = inlet.pull_sample(timeout=60)
        assert sample is not None, "the simulated EEG has stopped"
        timestamps.append(timestamp)
        samples.append(sample)
    return np.array(timestamps), np.array(samples)


def show(outlet, name):
    """Send a picture's marker and return its onset."""
    onset = pylsl.local_clock()
    outlet.push_sample([Marker(onset, "picture", name).text()], onset)
    return onset


def test_the_stream_says_what_it_is_and_that_it_is_simulated(stream, participant):
    info = listen(stream).info(timeout=60)
    told = describe(parse_info(info.as_xml()))
    assert (told.name, told.type, told.rate_hz, told.format) == (stream.name, "EEG", 250.0, "float32")
    assert tuple(channel.label for channel in told.channels) == CHANNELS_64
    assert {(channel.type, channel.unit) for channel in told.channels} == {("EEG", "microvolts")}
    assert "simulated" in info.desc().child("acquisition").child_value("manufacturer")
    assert participant.latest("streaming")["simulated"] is True


def test_a_marker_is_answered_from_its_timestamp_on_with_the_pictures_own_response(stream, participant):
    inlet, outlet = listen(stream), markers_of(stream)
    participant.wait_for("hearing", 20)
    name = PICTURES.names[7]
    onset = show(outlet, name)
    timestamps, samples = record(inlet, onset + 0.7)
    assert np.diff(timestamps) == pytest.approx(
        1 / 250, abs=1e-6
    )  # timestamps are those of when samples are due, not sent
    quiet = timestamps < onset + 0.05
    assert not samples[quiet].any()

    # The same code, asked for these times, gives the same microvolts; LSL knows clock offsets to some 50 µs.
    truth = EvokedResponse(components(CHANNELS_64)).at(
        timestamps - onset, activations(picture_features(PICTURES, name), 0)
    )
    late = next(s["late"] for k in range(1, 99) if (s := participant.wait_for("status", 5, count=k))["pictures"])
    assert np.abs(truth).max() > 5
    if not late:  # a machine too busy to answer in 50 ms says so, and has lost the very beginning
        np.testing.assert_allclose(samples, truth, atol=0.05)
    np.testing.assert_allclose(samples[timestamps > onset + 0.2], truth[timestamps > onset + 0.2], atol=0.05)


def test_markers_are_heard_again_after_the_stimulus_program_restarts(stream, participant):
    inlet = listen(stream)
    for count in (1, 2):
        outlet = markers_of(stream)
        participant.wait_for("hearing", 20, count=count)
        onset = show(outlet, PICTURES.names[0])
        timestamps, samples = record(inlet, onset + 0.5)
        assert np.abs(samples[timestamps > onset + 0.1]).max() > 5
        del outlet


def test_an_unknown_picture_and_foreign_markers_get_no_answer_but_are_reported(stream, participant):
    inlet, outlet = listen(stream), markers_of(stream)
    participant.wait_for("hearing", 20)
    outlet.push_sample(["2"])
    onset = show(outlet, "nobody")
    assert "no picture 'nobody'" in participant.wait_for("unknown", 10)["text"]
    assert not record(inlet, onset + 0.5)[1].any()


def test_what_cannot_be_simulated_ends_with_exit_code_2_and_one_line(tmp_path):
    missing = SimulatedStream(pictures=PictureSettings(set="folder", folder=tmp_path / "none"))
    with pytest.raises(ChildError, match="cannot open picture folder"):
        start_simulated(missing)
    child = ChildProcess(MODULE, ["--job", json.dumps({"participant": {"snr": -1}})])
    assert "snr (-1)" in child.wait_for("error", 20)["text"]
    assert child.wait(10) == 2
    child.stop()


def test_it_ends_with_the_process_that_started_it(stream):
    child = start_simulated(stream)
    child._process.stdin.close()  # what happens when the parent dies, however it dies
    assert child.wait(10) == 0
    child.stop()


def test_a_killed_participant_is_seen_to_have_ended(stream):
    child = start_simulated(stream)
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(ChildError, match=r"ended before 'never': exit code -9"):
        child.wait_for("never", 20)
    child.stop()
