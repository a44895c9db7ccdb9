"""A calibration session: its folder, its decisions between blocks, and one from start to end."""

import io
import json
import math
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from rich.console import Console

from calibration.data.reading import Collector, read_trials
from calibration.scores.learning_curve import Point
from configs.errors import InputError
from configs.schema import Config, StimulusSettings, load_config
from perceptogram.calibrate.block_scores import Standing, StopRule
from perceptogram.calibrate.children import for_simulation
from perceptogram.calibrate.folder import CalibrationFolder, Size, begin, go_on, how_many, read_usable
from perceptogram.calibrate.run import Conduct, _Run, check, earlier_trials
from perceptogram.calibrate.stream_reader import Ear, block_quality
from perceptogram.calibrate.view import BlockReport, View, electrodes, rows
from realtime.sources.base import Chunk, Marker, Notice, StreamSpec
from stimuli.presentation import FrameLog, Shown
from tests.support.command import perceptogram
from tests.support.documented import write_recording
from tests.support.simulated import SMALL, quick_demo

RATE_HZ = 250.0
SPEC = StreamSpec("Amp", "EEG", "amp-1", RATE_HZ, ("O1", "Oz", "O2"))
STIMULUS = StimulusSettings(sequence_length=4, pause_s=0.2, targets_per_sequence=0.0)
CONFIG = Config.model_validate(
    {"filters": {"highpass_hz": 1.0, "rate_hz": 125.0}, "window": {"stop_s": 0.4}, "stimulus": STIMULUS}
)
GOOD = {"two_way": 0.8, "two_way_interval": [0.75, 0.85], "n_way": 10.0}


def in_a_process(*arguments, timeout_s):
    return subprocess.run(
        [sys.executable, "-P", "-m", "perceptogram", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    return CalibrationFolder(tmp_path / "anna")


def log(folder, trials):
    """Write a frame log in which `trials` have been shown."""
    with FrameLog(folder.frames) as frames:
        for trial in trials:
            when = {"due": 1.0, "asked": 1.0, "onset": 1.0, "off": 1.1, "dropped": 0}
            shown = Shown(trial.index, trial.picture, trial.block, trial.sequence, **when)
            frames.write("trial", **asdict(shown), flagged=False)


# --- what is shown


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size(minutes=1), (240, 1)),  # 0.2 s + a fourth of 0.2 s each
        (Size(pictures=30, minutes=1), (30, 8)),
        (Size(repeats=3, minutes=1), (80, 3)),
        (Size(pictures=30, repeats=2), (30, 2)),
        (Size(), (1000, 4)),
    ],
)
def test_the_time_is_filled_with_pictures_and_then_with_repeats(size, expected):
    assert how_many(1000, STIMULUS, size) == expected


def test_a_plan_lasts_as_long_as_asked(folder):
    planned = begin(folder, CONFIG, Size(minutes=2, blocks=3))
    assert planned.duration_s == pytest.approx(120, rel=0.02)
    assert {trial.block for trial in planned.trials} == {0, 1, 2}
    assert go_on(folder, Size()) == planned


def test_resumes_at_the_trial_where_it_stopped_and_records_beside_what_is_there(folder):
    planned = begin(folder, CONFIG, Size(pictures=12, repeats=2, blocks=2))
    assert folder.next_recording().name == "calibration.xdf"
    log(folder, planned.trials[:7])
    for name in ("calibration.xdf", "calibration_part2.xdf", "calibration_2.xdf", "calibration_10.xdf", "timing.xdf"):
        (folder.path / name).write_bytes(b"")
    assert [trial.index for trial in folder.left(planned).trials] == list(range(7, 24))
    assert [path.name for path in folder.recordings()] == [
        "calibration.xdf", "calibration_part2.xdf", "calibration_2.xdf", "calibration_10.xdf",
    ]  # fmt: skip
    assert folder.next_recording().name == "calibration_11.xdf"


def test_an_earlier_calibration_is_neither_overwritten_nor_taken_for_a_new_one(folder):
    with pytest.raises(InputError, match="leave out --resume"):
        go_on(folder, Size())
    begin(folder, CONFIG, Size(pictures=4, repeats=1))
    before = folder.plan.read_bytes()
    with pytest.raises(InputError, match="holds a calibration: go on with --resume"):
        begin(folder, CONFIG, Size(pictures=5, repeats=1))
    with pytest.raises(InputError, match="leave out --pictures"):
        go_on(folder, Size(pictures=5))
    assert folder.plan.read_bytes() == before


def test_a_plan_that_cannot_be_made_leaves_nothing(folder):
    for size, says in ((Size(pictures=5000), "the set has 1000"), (Size(3, 3, None, 2.0), "twice: give two")):
        with pytest.raises(InputError, match=says):
            begin(folder, CONFIG, size)
    assert not folder.path.exists()


def test_recordings_that_hold_nothing_are_left_out_with_a_line(folder, caplog):
    folder.path.mkdir()
    assert earlier_trials(folder, CONFIG) is None
    (folder.path / "calibration.xdf").write_bytes(b"XDF:")
    assert earlier_trials(folder, CONFIG) is None
    assert "left out" in caplog.text


def test_a_recording_is_read_again_only_where_another_holds_nothing(folder):
    config = load_config("demo")
    for name in ("calibration.xdf", "calibration_2.xdf"):
        write_recording(folder.path / name, 1, "SimulatedEEG", "PerceptogramMarkers")
    asked = []

    def read(paths):
        asked.append([path.name for path in paths])
        return read_trials(paths, config)

    both = read_usable(folder.recordings(), config, read)
    assert asked == [["calibration.xdf", "calibration_2.xdf"]]
    (folder.path / "calibration_3.xdf").write_bytes(b"XDF:")
    again = read_usable(folder.recordings(), config, read)
    assert asked[1:] == [["calibration.xdf", "calibration_2.xdf", "calibration_3.xdf"], asked[0]]
    assert np.array_equal(again.samples, both.samples)
    assert len(both) > 80


# --- what the experimenter sees


def report(**changes):
    points = (Point(100, 0.58, 0.54, 0.62), Point(200, 0.62, 0.59, 0.65))
    found = {"two_way": 0.62, "two_way_interval": [0.59, 0.65]}
    standing = Standing(200, found, points)
    return BlockReport(2, 5, **({"standing": standing, "quality": {"O1": 0.9, "Oz": 0.2}} | COUNTS | changes))


COUNTS = {"refused": 3, "flagged": 4, "dropped": 5, "lost_samples": 6}


def test_a_block_is_told_with_interval_curve_outlook_electrodes_and_timing():
    told = rows(report(), 0.70, trials_a_minute=240.0)
    assert told["2-way identification"] == "0.62 [0.59, 0.65], chance 0.50"
    assert told["learning curve"] == "0.58 (100) → 0.62 (200)"
    assert told["to reach 0.70"].startswith("about ")
    assert rows(report(), 0.58, 240.0)["to reach 0.58"] == "reached"
    assert "3 refused, 4 flagged" in told["trials"]
    assert told["electrodes"] == "1 of 2 good; look at Oz 0.2"
    assert told["timing"] == "5 frames dropped, 6 samples lost"


@pytest.mark.parametrize(("goal", "met"), [(0.58, True), (0.59, False), (0.60, False), (0.65, False)])
def test_a_goal_is_reached_where_the_rule_is_met(goal, met):
    standing = report().standing
    assert StopRule("two_way", goal).met(standing.scores) == met
    told = rows(report(), goal, 240.0)[f"to reach {goal:.2f}"]
    assert (told == "reached") == met
    assert ("its interval begins at 0.59" in told) == (goal in (0.59, 0.60))


def test_what_cannot_be_told_is_not_promised():
    told = rows(report(standing=Standing(9, {}, ()), quality={}), 0.70, 240.0)
    assert told["2-way identification"].startswith("n/a")
    assert told["to reach 0.70"].startswith("n/a")
    assert electrodes({"O1": None}) == "n/a"


# --- the stream


def stream(seconds=12.0, first=4.0, step=0.5, hole=None):
    """Chunks of 20 ms, and a picture's marker every half second."""
    rng = np.random.default_rng(0)
    timestamps = 100 + np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    samples = rng.normal(0, 10, (len(timestamps), 3)).astype(np.float32)
    onsets = np.arange(100 + first, 100 + seconds - 1, step)
    markers = [Marker(float(t), "picture", f"p{k % 4}", {"trial": k, "block": 0}) for k, t in enumerate(onsets)]
    items = []
    for k in range(0, len(timestamps), 5):
        if hole is not None and hole[0] <= timestamps[k] - 100 < hole[1]:
            continue
        items += [marker for marker in markers if timestamps[k] <= marker.timestamp < timestamps[k] + 5 / RATE_HZ]
        items.append(Chunk(timestamps[k : k + 5], samples[k : k + 5]))
    return items, markers


def collect(collector, items):
    return [trouble for item in items for trouble in collector.push(item)]


def test_epochs_are_handed_out_once_in_order_with_what_was_shown():
    items, markers = stream()
    collector = Collector(CONFIG, SPEC)
    half = len(items) // 2
    collect(collector, items[:half])
    first = collector.take()
    collect(collector, items[half:])
    second = collector.take()
    assert [*first.names, *second.names] == [marker.picture for marker in markers]
    assert first.samples.shape[1:] == (len(collector.pipeline.times_s), 3)
    assert first.onsets[-1] < second.onsets[0]
    assert len(collector.take()) == 0
    assert set(block_quality(second, CONFIG)) == {"O1", "Oz", "O2"}


def test_trials_with_lost_samples_are_refused_and_not_handed_out():
    items, markers = stream(hole=(6.1, 6.3))
    collector = Collector(CONFIG, SPEC)
    collect(collector, items)
    taken = collector.take()
    assert len(collector.refused) > 0
    assert len(taken) + len(collector.refused) == len(markers)
    assert not {refusal.onset for refusal in collector.refused} & set(taken.onsets)


class ListSource:
    spec = SPEC

    def __init__(self, items, error=None):
        self.items, self.error, self.closed = items, error, False

    def events(self):
        yield from self.items
        if self.error:
            raise self.error

    def close(self):
        self.closed = True


def hear_all(ear, heard):
    while True:
        for item in ear.hear(5.0):
            heard.append(item)


def test_what_breaks_the_source_is_raised_after_what_it_sent():
    source = ListSource(["a", "b"], InputError("cable out"))
    ear, heard = Ear(source), []
    with pytest.raises(InputError, match="cable out"):
        hear_all(ear, heard)
    ear.close()
    assert heard == ["a", "b"]
    assert source.closed


# --- between blocks


class Presenter:
    """Hears words; it has ended when it was told to stop, or said so itself."""

    running = True

    def __init__(self):
        self.words, self.ended = [], False

    def say(self, word):
        self.words.append(word)
        self.ended = self.ended or word == "stop"

    def latest(self, event):
        return {"completed": False} if event == "finished" and self.ended else None


class Recorder:
    def troubles(self):
        return []


class ScoredBlocks:
    """Gives each block the next of the scores."""

    def __init__(self, *scores):
        self.scores, self.sizes = list(scores), []

    def add(self, trials):
        self.sizes.append(len(trials))
        return Standing(sum(self.sizes), self.scores.pop(0), ())


class Script:
    """An ear that hears a list, a few items at a time, and then interrupts or falls silent."""

    def __init__(self, items, then=None):
        self.items, self.then = list(items), then

    def hear(self, _timeout_s):
        now, self.items = self.items[:10], self.items[10:]
        if not now and self.then is not None:
            error, self.then = self.then, None
            raise error
        yield from now


def session(folder, *scores, rule="two_way>0.70", headless=True, items=None, then=None):
    planned = begin(folder, CONFIG, Size(pictures=24, repeats=1, blocks=2))
    if items is None:
        items, markers = stream()
        items.insert(next(k for k, item in enumerate(items) if item is markers[5]) + 1, block_end(markers[5], 0))
    console = Console(file=io.StringIO(), width=200)
    presenter, blocks = Presenter(), ScoredBlocks(*scores)
    run = _Run(
        CONFIG, planned, planned, Conduct(headless, StopRule.parse(rule) if rule else None),
        View(console, 0.7, 240.0), blocks, presenter, Recorder(), Script(items, then or KeyboardInterrupt()),
        Collector(CONFIG, SPEC),
    )  # fmt: skip
    return run, presenter, blocks, console


def block_end(last, block):
    return Marker(last.timestamp + 0.3, "block-end", extra={"block": block})


def test_the_rule_ends_the_session_at_the_end_of_a_block(folder, monkeypatch):
    monkeypatch.setattr("perceptogram.calibrate.run.PATIENCE_S", 0.0)
    run, presenter, blocks, console = session(folder, GOOD)
    run.to_the_end()
    assert run.rule_met
    assert presenter.words == ["begin", "pause", "stop"]
    # Windows of the block's last pictures were complete when it was scored.
    assert blocks.sizes[0] >= 6
    assert "two_way>0.7 is met" in console.file.getvalue()


def test_without_its_rule_met_a_session_nobody_attends_goes_on_by_itself(folder, monkeypatch):
    monkeypatch.setattr("perceptogram.calibrate.run.PATIENCE_S", 0.0)
    lucky = GOOD | {"two_way_interval": [0.65, 0.9]}
    run, presenter, _, _ = session(folder, lucky)
    run.to_the_end()
    assert not run.rule_met
    assert presenter.words == ["begin", "pause", "resume", "stop"]  # the last is our Ctrl-C


def test_a_participant_decides_how_long_to_rest(folder, monkeypatch):
    monkeypatch.setattr("perceptogram.calibrate.run.PATIENCE_S", 0.0)
    run, presenter, _, _ = session(folder, {}, headless=False)
    run.to_the_end()
    assert presenter.words == ["begin", "stop"]


def test_nothing_is_shown_while_no_eeg_comes(folder, monkeypatch):
    monkeypatch.setattr("perceptogram.calibrate.run.PATIENCE_S", 0.0)
    items, _ = stream()
    items.insert(400, Notice(108.0, "stalled", "EEG stream 'Amp' has sent nothing for 0.5 s"))
    items.insert(420, Notice(108.5, "resumed", "EEG stream 'Amp' sends again"))
    run, presenter, _, console = session(folder, items=items)
    run.to_the_end()
    assert presenter.words == ["begin", "pause", "resume", "stop"]
    assert "sends again" in console.file.getvalue()


def test_what_breaks_the_stream_is_not_swallowed(folder):
    run, *_ = session(folder, {}, then=InputError("the amplifier is gone"))
    with pytest.raises(InputError, match="amplifier is gone"):
        run.to_the_end()


def test_settings_that_make_no_sense_here_are_refused():
    foreign = CONFIG.model_copy(update={"markers": CONFIG.markers.model_copy(update={"classes": {"1": "house"}})})
    with pytest.raises(InputError, match="another program"):
        check(foreign, None)
    with pytest.raises(InputError, match="auc is for two classes"):
        check(CONFIG, StopRule.parse("auc>0.7"))
    check(CONFIG, StopRule.parse("two_way>=0.7"))
    assert for_simulation(CONFIG).simulated
    assert replace(Conduct(), headless=True).attended is False


# --- from start to end


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--resume",), "no calibration in"),
        (("--stop-when", "luck>1"), "two_way>0.70"),
        (("--stop-when", "auc>0.7"), "auc is for two classes"),
        (("--channel", "Photo"), "go with --check-timing"),
        (("--timing", "none.json"), "cannot read timing none.json"),
        (("--check-timing", "none.xdf"), "there is no recording none.xdf"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = perceptogram("calibrate", "--config", "demo", "--out", "anna", *arguments)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert says in done.stderr
    assert not (tmp_path / "anna").exists()


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_simulated_participant_is_calibrated_until_the_rule_is_met_and_a_finished_session_is_only_fitted(tmp_path):
    out = tmp_path / "anna"
    done = in_a_process(
        "calibrate", "--config", quick_demo(tmp_path, **SMALL), "--out", out, "--minutes", 0.6, "--blocks", 2,
        "--stop-when", "two_way>0.55", "--headless", "--simulate", "--seed", 3, "--snr", 2, timeout_s=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "after block 1 of 2" in done.stdout
    bundle = json.loads((out / "bundle" / "bundle.json").read_text())
    page = (out / "bundle" / "report.html").read_text()
    shown = CalibrationFolder(out).shown()
    assert bundle["simulated"] is True
    assert "simulated" in page
    assert bundle["fit"]["session"]["ended_by_rule"] == ("is met" in done.stdout)
    assert bundle["fit"]["session"]["shown"] == len(shown)
    assert bundle["scores"]["two_way"] > 0.55
    assert math.isfinite(bundle["scores"]["baseline_two_way"])
    # Nothing shown is missing from the recording.
    pictures = sum(one.picture != "target" for one in shown)
    assert bundle["scores"]["n_trials"] + bundle["scores"]["refused"] == pictures
    assert bundle["scores"]["n_trials"] > 0.9 * pictures
