"""The presenter as it runs: its own process, SDL's dummy driver, and a real LSL inlet that hears the markers."""

import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from configs.schema import PictureSettings, StimulusSettings
from stimuli.child import ChildError, ChildProcess
from stimuli.pictures import choose_pictures, open_pictures
from stimuli.presentation import read_shown
from stimuli.presenter import BEGIN, MODULE, PresenterJob, start_presenter
from stimuli.sequence import load_plan, plan, save_plan
from tests.support.presenter_ear import Ear

pytestmark = pytest.mark.processes

FRAME_S = 1 / 60


@pytest.fixture
def job(tmp_path, request):
    """Return a job of 16 small pictures in four sequences and two blocks, under a marker stream of its own."""
    stimulus = StimulusSettings(
        sequence_length=4, pause_s=0.05, targets_per_sequence=1.0, window_size=(96, 96), picture_size=64
    )
    names = choose_pictures(open_pictures(PictureSettings(), "test"), 16, seed=0)
    save_plan(plan(names, stimulus, blocks=2), tmp_path / "plan.jsonl")
    return PresenterJob(
        tmp_path / "plan.jsonl",
        tmp_path / "frames.jsonl",
        stimulus=stimulus,
        headless=True,
        hold=True,
        source_id=f"markers-{tmp_path.name}",
    )


@pytest.mark.realtime
def test_a_run_shows_the_plan_on_time_and_timestamps_each_marker_with_its_flip(job):
    presenter = start_presenter(job)
    ear = Ear(job.source_id)
    presenter.say(BEGIN)
    markers = ear.hear("run-end")
    summary = presenter.wait_for("finished", 10)
    assert presenter.wait(10) == 0
    presenter.stop()

    planned, shown = load_plan(job.plan), read_shown(job.log)
    assert [(one.trial, one.picture) for one in shown] == [(t.index, t.picture) for t in planned.trials]
    assert ear.type == "Markers"
    assert [marker.kind for marker in markers if marker.kind not in ("picture", "target")] == [
        "block-start", "block-end", "block-start", "block-end", "run-end",
    ]  # fmt: skip
    onsets = [marker for marker in markers if marker.kind in ("picture", "target")]
    assert [m.picture for m in onsets if m.kind == "picture"] == [t.picture for t in planned.trials if not t.is_target]
    # The marker's timestamp is the flip's, to the last bit: not the time of sending, and not rounded on the way.
    assert [(m.extra["trial"], m.timestamp) for m in onsets] == [(one.trial, one.onset) for one in shown]

    # How late the machine lets us be is not ours to promise; the bulk must be right, and what is late must say so.
    steps = [(b.onset - a.onset, b) for a, b in pairwise(shown) if a.sequence == b.sequence]
    errors = np.abs([step - planned.onset_to_onset_s for step, _ in steps])
    assert np.median(errors) < FRAME_S / 4
    assert np.median([abs(one.off - one.onset - planned.on_s) for one in shown]) < FRAME_S / 4
    assert all(one.flagged for one in shown if one.onset - one.due > FRAME_S)
    assert all(("dropped" in m.extra) == (one.onset - one.due >= FRAME_S) for m, one in zip(onsets, shown, strict=True))
    assert (summary["completed"], summary["shown"]) == (True, len(planned.trials))
    assert (summary["driver"], summary["vsync"]) == ("dummy", False)


def test_an_aborted_run_resumes_at_the_trial_where_it_stopped(job):
    presenter = start_presenter(job)
    ear = Ear(job.source_id)
    presenter.say(BEGIN)
    before = ear.hear("picture", count=6)
    presenter.stop()
    before += ear.hear("run-end")
    assert before[-1].extra["completed"] is False

    again = start_presenter(PresenterJob(**(vars(job) | {"resume": True})))
    ear = Ear(job.source_id)
    again.say(BEGIN)
    after = ear.hear("run-end")
    again.wait_for("finished", 10)
    again.stop()
    assert after[-1].extra["completed"] is True
    numbers = [m.extra["trial"] for m in before + after if m.kind in ("picture", "target")]
    assert numbers == [trial.index for trial in load_plan(job.plan).trials]
    assert [one.trial for one in read_shown(job.log)] == numbers


def test_a_pause_holds_the_next_picture_back_until_it_is_lifted(job):
    presenter = start_presenter(job)
    ear = Ear(job.source_id)
    presenter.say(BEGIN)
    ear.hear("picture", count=2)
    presenter.say("pause")
    paused = ear.hear("paused")[-1]
    presenter.wait_for("paused", 10)
    presenter.say("resume")
    rest = ear.hear("run-end")
    presenter.wait_for("finished", 10)
    presenter.stop()
    assert rest[0].kind == "resumed"
    shown = read_shown(job.log)
    assert not any(paused.timestamp < one.onset < rest[0].timestamp for one in shown)
    assert len(shown) == len(load_plan(job.plan).trials)


def test_nobody_listening_is_an_error_before_anything_is_shown(job):
    presenter = start_presenter(PresenterJob(**(vars(job) | {"hold": False, "listener_timeout_s": 0.2})))
    with pytest.raises(ChildError, match="nobody listens to marker stream"):
        presenter.wait_for("started", 10)
    assert presenter.wait(10) == 2
    presenter.stop()
    assert not job.log.exists()


def fault(job, **changes):
    with pytest.raises(ChildError) as caught:
        start_presenter(PresenterJob(**(vars(job) | changes)))
    return str(caught.value)


def test_what_cannot_be_shown_is_one_line_before_the_screen_opens(job, tmp_path):
    assert "cannot read plan" in fault(job, plan=tmp_path / "none.jsonl")
    strange = tmp_path / "strange.jsonl"
    save_plan(plan(["nobody"], job.stimulus), strange)
    assert "has no picture 'nobody'" in fault(job, plan=strange)
    job.log.write_text(json.dumps({"event": "screen"}) + "\n")
    assert "resume the run or give another log" in fault(job)


def test_a_picture_that_turns_out_corrupt_ends_the_run_with_its_name_and_keeps_what_was_shown(job, tmp_path):
    for k in range(12):
        (tmp_path / "set" / "thing").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (k, k, k)).save(tmp_path / "set" / "thing" / f"{k:02d}.png")
    pictures = PictureSettings(set="folder", folder=tmp_path / "set")
    planned = plan(open_pictures(pictures).names, job.stimulus)
    save_plan(planned, job.plan)
    bad = planned.sequences[2][0].picture
    (tmp_path / "set" / bad).write_bytes(b"no picture")
    presenter = start_presenter(PresenterJob(**(vars(job) | {"pictures": pictures})))
    ear = Ear(job.source_id)
    presenter.say(BEGIN)
    assert ear.hear("run-end")[-1].extra["completed"] is False
    assert f"{bad} cannot be read" in presenter.wait_for("error", 10)["text"]
    assert presenter.wait(10) == 2
    presenter.stop()
    assert len(read_shown(job.log)) == len(planned.sequences[0]) + len(planned.sequences[1])


def test_the_command_line_refuses_a_missing_plan_with_exit_code_2(tmp_path):
    presenter = ChildProcess(MODULE, [str(tmp_path / "none.jsonl"), "--headless"])
    assert "cannot read plan" in presenter.wait_for("error", 20)["text"]
    assert presenter.wait(10) == 2
    presenter.stop()


def test_a_line_cut_off_by_a_crash_is_left_out_of_the_log(tmp_path):
    line = {"event": "trial", "trial": 3, "picture": "a", "block": 0, "sequence": 1, "flagged": False, "dropped": 0}
    line |= dict.fromkeys(("due", "asked", "onset", "off"), 1.0)
    path = tmp_path / "frames.jsonl"
    path.write_text(json.dumps({"event": "screen"}) + "\n" + json.dumps(line) + '\n{"event":"trial","tri')
    assert [one.trial for one in read_shown(path)] == [3]
