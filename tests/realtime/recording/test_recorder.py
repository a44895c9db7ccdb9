import multiprocessing
import os
import resource
import shutil
import signal
import time
import uuid

import numpy as np
import pylsl
import pytest
import pyxdf

from realtime.recording.recorder import Recorder, RecorderError, Wanted
from realtime.recording.recorder_inlets import Inlets
from tests.support.lsl_amplifier import Amplifier

pytestmark = pytest.mark.processes


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


def until(done, within_s=90.0):
    give_up = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def numbers(stream):
    return np.round(stream["time_series"][:, 0]).astype(int)


def test_everything_wanted_is_recorded_with_timestamps_offsets_and_footers(amplifier, record, tmp_path):
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
    timestamp_of = dict(zip(numbers(eeg), eeg["time_stamps"], strict=True))
    marks = streams[f"{amplifier.name}-markers"]
    for timestamp, (text,) in zip(marks["time_stamps"], marks["time_series"], strict=True):
        if int(text) in timestamp_of:
            assert timestamp == pytest.approx(timestamp_of[int(text)], abs=1e-3)
    assert recorder.stop() == recorded


def told(recorder, kind, within_s=90.0):
    """Return the texts of the notices up to the first of one kind, waiting for it."""
    texts = []

    def there():
        notices = recorder.notices()
        texts.extend(notice.text for notice in notices)
        return any(notice.kind == kind for notice in notices)

    until(there, within_s)
    return texts


def grown(path, by=10_000):
    size = path.stat().st_size
    until(lambda: path.stat().st_size > size + by)


def nothing_is_missing(path, name):
    """Whether a recording holds every sample and every marker from its first to its last, once."""
    eeg, marks = (load(path)[title] for title in (name, f"{name}-markers"))
    counted = [int(text) for (text,) in marks["time_series"]]
    assert (np.diff(numbers(eeg)) == 1).all()
    assert (np.diff(counted) == np.diff(counted)[0]).all()
    assert eeg["footer"]["info"]["sample_count"] == [str(len(eeg["time_stamps"]))]
    assert numbers(eeg)[-1] - counted[-1] <= 50, "to the end"
    return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_hung_it_loses_nothing_and_another_goes_on_in_the_same_file(amplifier, record, tmp_path, number):
    recorder = record(Wanted(name=amplifier.name), Wanted(name=f"{amplifier.name}-markers"))
    until(lambda: recorder.notices() is not None and recorder.spared)
    for _ in range(2):
        grown(tmp_path / "run.xdf")
        dead = recorder.pid
        os.kill(dead, number)
        (lost, again) = told(recorder, "restarted")[-2:]
        assert ("died" if number == signal.SIGKILL else "hangs") in lost
        assert "goes on in" in again
        assert recorder.pid != dead
        until(lambda: recorder.notices() is not None and recorder.spared)
    grown(tmp_path / "run.xdf")
    recorded = recorder.stop()
    assert recorded.files == (tmp_path / "run.xdf",)
    assert nothing_is_missing(tmp_path / "run.xdf", amplifier.name)
    assert recorded.samples[amplifier.name] == len(load(tmp_path / "run.xdf")[amplifier.name]["time_stamps"])


def test_one_that_hangs_at_the_end_is_finished_by_another(amplifier, record, tmp_path, caplog):
    recorder = record(Wanted(name=amplifier.name), Wanted(name=f"{amplifier.name}-markers"))
    until(lambda: recorder.notices() is not None and recorder.spared)
    grown(tmp_path / "run.xdf")
    os.kill(recorder.pid, signal.SIGSTOP)
    assert recorder.stop().samples[amplifier.name] > 0
    assert nothing_is_missing(tmp_path / "run.xdf", amplifier.name)
    assert "the recorder hangs" in caplog.text


def test_a_disk_that_fills_is_told_and_what_was_written_stays_whole_and_goes_on(amplifier, record, tmp_path):
    path = tmp_path / "run.xdf"
    recorder = record(Wanted(name=amplifier.name), Wanted(name=f"{amplifier.name}-markers"))
    grown(path)
    size = path.stat().st_size
    unlimited = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (size + 3000, unlimited[1]))
    assert f"nothing is recorded any more: cannot write {path} (File too large)" in told(recorder, "unwritten")
    assert len(load(path)[amplifier.name]["time_stamps"]) > 100, "whole meanwhile"
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, unlimited)
    assert told(recorder, "recorder")[-1] == f"recording goes on in {path}; nothing is missing"
    recorder.stop()
    assert nothing_is_missing(path, amplifier.name)


def test_a_disk_that_stays_full_is_told_at_the_end(amplifier, record, tmp_path, caplog):
    path = tmp_path / "run.xdf"
    recorder = record(Wanted(name=amplifier.name))
    grown(path)
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (path.stat().st_size, resource.RLIM_INFINITY))
    recorded = recorder.stop()
    assert "cannot write" in caplog.text or "the end of" in caplog.text
    assert recorded.samples[amplifier.name] == len(load(path)[amplifier.name]["time_stamps"])


def test_a_folder_that_is_deleted_is_put_back_with_all_that_was_recorded(amplifier, record, tmp_path):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "run.xdf"
    recorder = record(Wanted(name=amplifier.name), Wanted(name=f"{amplifier.name}-markers"), name="out/run.xdf")
    grown(path)
    shutil.rmtree(tmp_path / "out")
    assert told(recorder, "recorder")[-1] == f"{path} was deleted while it was written; it is put back, whole"
    grown(path)
    recorder.stop()
    assert nothing_is_missing(path, amplifier.name)


def test_another_session_s_stream_is_not_taken_for_the_one_that_ended(amplifier, record, tmp_path):
    (outlet,) = pylsl.resolve_byprop("name", amplifier.name, timeout=60)
    recorder = record(Wanted(amplifier.name, source_id="rec-id", uid=outlet.uid()))
    with Amplifier(amplifier.name, "rec-id", first=100_000):
        until(lambda: len(pylsl.resolve_byprop("name", amplifier.name, minimum=2, timeout=60)) == 2)
        grown(tmp_path / "run.xdf")
        amplifier.kill()
        assert f"stream {amplifier.name!r} ended; its recording stays" in told(recorder, "lost")
        assert until(lambda: recorder.notices() == [], 3.0) is None
        recorder.stop()
    assert numbers(load(tmp_path / "run.xdf")[amplifier.name])[-1] < 100_000


def test_two_streams_alike_are_both_recorded(amplifier, record, tmp_path):
    with Amplifier(amplifier.name, "rec-id", first=100_000):
        recorder = record(Wanted(name=amplifier.name))
        until(lambda: recorder.notices() is not None and (tmp_path / "run.xdf").stat().st_size > 40_000)
        recorder.stop()
    streams, _ = pyxdf.load_xdf(tmp_path / "run.xdf", dejitter_timestamps=False)
    first, second = sorted(numbers(stream)[0] for stream in streams)
    assert first < 100_000 <= second


def test_what_one_stream_sends_wrong_costs_no_other_a_sample(amplifier, record, tmp_path):
    broken = pylsl.StreamOutlet(pylsl.StreamInfo(f"{amplifier.name}\x01odd", "Notes\x02", 1, 0, "string", "broken"))
    recorder = record(Wanted(name=amplifier.name), Wanted(source_id="broken"))
    for text in ("before", b"gr\xfcn", "after"):
        broken.push_sample([text])
        grown(tmp_path / "run.xdf")
    assert any("is not UTF-8 and was recorded as 'gr\ufffdn'" in text for text in told(recorder, "unreadable"))
    recorder.stop()
    assert [file.name for file in tmp_path.iterdir()] == ["run.xdf"]
    streams = load(tmp_path / "run.xdf")
    assert (np.diff(numbers(streams[amplifier.name])) == 1).all()
    notes = streams[f"{amplifier.name}\ufffdodd"]["time_series"]
    assert [text for (text,) in notes] == ["before", "gr\ufffdn", "after"]


def test_looking_for_streams_asks_none_for_its_metadata_twice(amplifier, monkeypatch):
    asked = []
    as_xml = pylsl.StreamInfo.as_xml
    monkeypatch.setattr(pylsl.StreamInfo, "as_xml", lambda info: asked.append(info.uid()) or as_xml(info))
    inlets = Inlets()
    until(lambda: inlets.turn([Wanted(name=amplifier.name)]) and inlets.tracks)
    for _ in range(50):
        inlets.turn([Wanted(name=amplifier.name)])
    assert len(asked) == 1, "liblsl never frees the text"


def test_what_came_just_before_a_stream_died_is_kept():
    """No turn comes between the samples and the death; what liblsl has not handed out by then, it never does."""
    name = f"dies-{uuid.uuid4().hex[:8]}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "EEG", 2, 100.0, "float32", name))
    inlets, wanted = Inlets(), [Wanted(name=name)]
    until(lambda: inlets.turn(wanted) and inlets.tracks)
    (track,) = inlets.tracks
    ear = pylsl.StreamInlet(pylsl.resolve_byprop("name", name, timeout=60)[0])
    ear.open_stream(60)
    for number in range(40):
        outlet.push_sample([number, 0.0])
    assert len(ear.pull_chunk(timeout=60, max_samples=40)[1]) == 40
    time.sleep(0.2)
    until(lambda: track.inlet.samples_available() == 0)
    del outlet
    said = []
    until(lambda: said.extend(inlets.turn(wanted)) or said)
    assert said[0].text == f"stream {name!r} ended; its recording stays"
    np.testing.assert_array_equal(np.concatenate([part.values[:, 0] for part in track.waiting]), np.arange(40))


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


def say_and_die(name, go, waits_s):
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Notes", 1, 0, "string", name))
    go.wait()
    time.sleep(waits_s)
    outlet.push_sample(["the end"])
    time.sleep(0.03)  # liblsl sends from a thread of its own
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_program_sent_last_before_it_died_is_recorded(record, tmp_path):
    """Wherever between two turns of the recorder that was."""
    names = [f"last-{uuid.uuid4().hex[:8]}-{number}" for number in range(8)]
    context = multiprocessing.get_context("spawn")
    go = context.Event()
    programs = [
        context.Process(target=say_and_die, args=(name, go, 0.03 * k), daemon=True) for k, name in enumerate(names)
    ]
    for program in programs:
        program.start()
    recorder = record(*(Wanted(name=name) for name in names))
    go.set()
    ended = set()

    def all_ended():
        ended.update(notice.text for notice in recorder.notices() if "ended" in notice.text)
        return len(ended) == len(names)

    until(all_ended, 30.0)
    recorder.stop()
    assert {name: stream["time_series"] for name, stream in load(tmp_path / "run.xdf").items()} == {
        name: [["the end"]] for name in names
    }


def test_a_stream_that_may_follow_holds_up_no_start(amplifier, tmp_path):
    later = Wanted(uid="nobody's")
    recorder = Recorder(tmp_path / "run.xdf", [Wanted(name=amplifier.name), later])
    recorder.start(timeout_s=10.0, may_follow=[later])
    assert recorder.missing == (later,)
    assert recorder.stop().samples
    strict = Recorder(tmp_path / "other.xdf", [Wanted(name=amplifier.name), later])
    with pytest.raises(RecorderError, match=r"nothing to record agrees with .*uid"):
        strict.start(timeout_s=1.0)


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


def test_a_session_that_does_not_listen_holds_up_no_recorder_whatever_it_has_to_say(amplifier, record, tmp_path):
    recorder = record(Wanted(name=amplifier.name), Wanted(name=f"{amplifier.name}-markers"))
    recorder.add(Wanted(type="Flood"))
    many = [  # each is told when it comes and when it goes: more than the pipe holds
        pylsl.StreamOutlet(pylsl.StreamInfo("x" * 10_000, "Flood", 1, 0, "string", f"{amplifier.name}-{number}"))
        for number in range(25)
    ]
    assert all(outlet.wait_for_consumers(10.0) for outlet in many)
    many.clear()
    grown(tmp_path / "run.xdf")
    recorder.stop()
    assert nothing_is_missing(tmp_path / "run.xdf", amplifier.name)
