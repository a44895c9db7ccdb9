import multiprocessing
import os
import signal
import time
import uuid

import numpy as np
import pylsl
import pytest
import pyxdf
from lsl_amplifier import Amplifier

from realtime.recorder import Recorder, RecorderError, Wanted


@pytest.fixture
def amplifier():
    with Amplifier(f"amp-{uuid.uuid4().hex[:8]}", "rec-id") as amplifier:
        yield amplifier


@pytest.fixture
def record(tmp_path):
    recorders = []

    def start(*wanted, name="run.xdf"):
        recorders.append(Recorder(tmp_path / name, wanted))
        recorders[-1].start()
        return recorders[-1]

    yield start
    for recorder in recorders:
        recorder.stop()


def load(path):
    streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False)
    return {stream["info"]["name"][0]: stream for stream in streams}


def until(done, within_s=15.0):
    give_up = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def numbers(stream):
    return np.round(stream["time_series"][:, 0]).astype(int)


def test_everything_wanted_is_recorded_with_stamps_offsets_and_footers(amplifier, record, tmp_path):
    recorder = record(Wanted(name=amplifier.name), Wanted(name=f"{amplifier.name}-markers"))
    until(lambda: (tmp_path / "run.xdf").stat().st_size > 20_000)
    recorded = recorder.stop()
    streams = load(tmp_path / "run.xdf")
    assert set(streams) == {amplifier.name, f"{amplifier.name}-markers"}
    eeg = streams[amplifier.name]
    assert (np.diff(numbers(eeg)) == 1).all()
    assert recorded.samples[amplifier.name] == len(eeg["time_stamps"])
    assert eeg["footer"]["info"]["sample_count"] == [str(len(eeg["time_stamps"]))]
    assert len(eeg["clock_times"]) >= 2
    labels = [channel["label"][0] for channel in eeg["info"]["desc"][0]["channels"][0]["channel"]]
    assert tuple(labels) == amplifier.channels
    stamp_of = dict(zip(numbers(eeg), eeg["time_stamps"], strict=True))
    marks = streams[f"{amplifier.name}-markers"]
    for stamp, (text,) in zip(marks["time_stamps"], marks["time_series"], strict=True):
        if int(text) in stamp_of:
            assert stamp == pytest.approx(stamp_of[int(text)], abs=1e-3)
    assert recorder.stop() == recorded


def test_killed_it_loses_at_most_a_second_and_another_goes_on(amplifier, record, tmp_path):
    recorder = record(Wanted(name=amplifier.name))
    until(lambda: (tmp_path / "run.xdf").stat().st_size > 20_000)
    os.kill(recorder.pid, signal.SIGKILL)
    killed = pylsl.local_clock()
    notices = []
    until(lambda: notices.extend(recorder.notices()) or len(notices) > 2)
    assert [notice.kind for notice in notices if notice.kind != "recording"] == ["lost", "restarted"]
    assert notices[0].stamp - killed < 1.0 or notices[1].stamp - killed < 1.0
    until(lambda: not recorder.missing and (tmp_path / "run_part2.xdf").stat().st_size > 10_000)
    recorded = recorder.stop()
    assert [file.name for file in recorded.files] == ["run.xdf", "run_part2.xdf"]
    first, second = (load(file)[amplifier.name] for file in recorded.files)
    assert killed - first["time_stamps"][-1] < 1.0
    assert (np.diff(numbers(first)) == 1).all()
    assert (np.diff(numbers(second)) == 1).all()
    assert numbers(second)[0] > numbers(first)[-1]


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_session_that_dies_or_forgets_to_stop_leaves_a_finished_file(amplifier, tmp_path, is_killed):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    arguments = (started, tmp_path / "run.xdf", amplifier.name, is_killed)
    session = context.Process(target=_record_and_forget, args=arguments)
    session.start()
    assert started.wait(30)
    if is_killed:
        session.kill()
    session.join()
    until(lambda: b"</clock_offsets></info>" in (tmp_path / "run.xdf").read_bytes())
    stream = load(tmp_path / "run.xdf")[amplifier.name]
    assert stream["footer"]["info"]["sample_count"] == [str(len(stream["time_stamps"]))]


def _record_and_forget(started, path, name, wait):
    recorder = Recorder(path, [Wanted(name=name)])
    recorder.start()
    started.set()
    if wait:
        signal.pause()


def test_a_stream_may_be_added_and_appear_later(amplifier, record, tmp_path):
    recorder = record(Wanted(name=amplifier.name))
    recorder.add(Wanted(source_id="percepts"))
    assert recorder.missing == (Wanted(source_id="percepts"),)
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo("percepts", "Percepts", 1, 0, "string", "percepts"))
    until(lambda: recorder.notices() and not recorder.missing)
    outlet.push_sample(["a cat"], 123.0)
    until(lambda: b"a cat" in (tmp_path / "run.xdf").read_bytes())
    assert recorder.stop().samples["percepts"] == 1


def test_an_amplifier_that_comes_back_goes_on_in_the_same_stream(amplifier, record, tmp_path):
    recorder = record(Wanted(name=amplifier.name))
    until(lambda: (tmp_path / "run.xdf").stat().st_size > 10_000)
    amplifier.kill()
    amplifier.first = 100_000
    amplifier.start()
    size = (tmp_path / "run.xdf").stat().st_size
    until(lambda: (tmp_path / "run.xdf").stat().st_size > size + 10_000)
    recorder.stop()
    counted = numbers(load(tmp_path / "run.xdf")[amplifier.name])
    assert counted[-1] > 100_000
    assert (np.diff(counted) > 1).sum() == 1


def test_what_is_missing_is_told_and_nothing_is_overwritten(tmp_path):
    recorder = Recorder(tmp_path / "run.xdf", [Wanted(name="absent")])
    with pytest.raises(RecorderError, match="nothing to record agrees with name 'absent'"):
        recorder.start(timeout_s=0.5)
    assert not (tmp_path / "run.xdf").exists(), "nothing was recorded, so the name is free"
    (tmp_path / "run.xdf").write_bytes(b"precious")
    with pytest.raises(RecorderError, match="a recording is never overwritten"):
        Recorder(tmp_path / "run.xdf", [Wanted()])
    with pytest.raises(RecorderError, match="there is no folder"):
        Recorder(tmp_path / "absent" / "run.xdf", [Wanted()])
