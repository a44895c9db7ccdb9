"""Calibrations of a simulated participant: killed and interrupted live, and five minutes faster than they pass."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from calibration.data.reading import Collector
from calibration.data.targets import make_targets
from calibration.fit import fit_trials
from calibration.report.calibration_report import write_report
from perceptogram.calibrate.block_scores import Blocks, StopRule
from perceptogram.calibrate.folder import CalibrationFolder
from realtime.sources.simulation.offline import OfflineParticipant
from stimuli.pictures import choose_pictures, open_pictures
from stimuli.sequence import load_plan
from tests.support.simulated import QUICK, SMALL, participant_for, quick_demo, session_config

pytestmark = pytest.mark.processes

COMMAND = [sys.executable, "-P", "-m", "perceptogram", "calibrate", "--headless", "--simulate"]
STARTING_S = 120.0
MINUTES = 5
EVERY_S = 0.2
BLOCK = 900
"""Chunks and markers of one minute."""


def break_off(arguments, folder, after, how):
    """Run a calibration until `after` trials were shown, break it off with the signal `how`, return its exit code."""
    run = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    give_up, ask = time.monotonic() + STARTING_S, threading.Event()
    while not folder.frames.exists() or len(folder.shown()) < after:
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < give_up
        ask.wait(0.2)
    os.kill(run.pid, how)
    run.communicate(timeout=60)
    return run.returncode


def opened(page):
    """Return what a browser makes of `page`; the page itself where there is no browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        return page.read_text()
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'profile'}"]
    return subprocess.run(
        [chromium, *options, "--dump-dom", page.as_uri()], check=True, capture_output=True, text=True, timeout=120
    ).stdout


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_calibration_that_was_killed_and_then_interrupted_loses_nothing(tmp_path):
    folder = CalibrationFolder(tmp_path / "anna")
    out = ["--config", str(quick_demo(tmp_path, **SMALL)), "--out", str(folder.path)]
    size = ["--pictures", "45", "--repeats", "1", "--blocks", "3", "--snr", "3", "--seed", "5"]
    assert break_off([*out, *size], folder, 12, signal.SIGKILL) == -signal.SIGKILL
    killed_at = len(folder.shown())
    assert break_off([*out, "--resume", "--snr", "3", "--seed", "5"], folder, killed_at + 10, signal.SIGINT) == 130
    again = [*COMMAND, *out, "--resume", "--snr", "3", "--seed", "5"]
    done = subprocess.run(again, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on: " in done.stdout

    shown, planned = folder.shown(), load_plan(folder.plan)
    assert sorted({one.trial for one in shown}) == [trial.index for trial in planned.trials], "nothing is left out"
    twice = len(shown) - len(planned.trials)
    assert twice <= 1, "but for the picture on the screen when the presenter died, nothing comes twice"
    assert len(folder.recordings()) == 3
    scores = json.loads((folder.bundle / "bundle.json").read_text())["scores"]
    pictures = sum(one.picture != "target" for one in shown)
    assert pictures - 2 <= scores["n_trials"] + scores["refused"] <= pictures
    assert scores["n_trials"] > 0.85 * pictures
    assert (folder.bundle / "report.html").exists()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_five_minutes_teach_more_and_more_until_the_rule_is_met_and_the_report_opens(tmp_path):
    config = session_config("five-minutes", fit=QUICK, **SMALL)
    stream = participant_for(config)
    who = replace(stream.participant, snr=0.18)
    known = open_pictures(config.pictures, "calibration")
    chosen = choose_pictures(known, 120, seed=0)
    names = list(itertools.islice(itertools.cycle(chosen), round(MINUTES * 60 / EVERY_S)))
    source = OfflineParticipant(known, names, EVERY_S, who, stream.name, stream.source_id)
    targets = make_targets(config, np.array(chosen))
    collector, blocks = Collector(config, source.spec), Blocks(targets, config)
    rule, standings = StopRule.parse("two_way>0.60"), []
    for number, item in enumerate(source.events()):
        list(collector.push(item))
        if number % BLOCK == BLOCK - 1:
            standings.append(blocks.add(collector.take()))
    curve = [point.score for point in standings[-1].curve]
    assert len(curve) >= 5
    assert np.polyfit(np.log([point.n for point in standings[-1].curve]), curve, 1)[0] > 0.01, curve
    assert curve[-1] > curve[0] + 0.03
    met = [rule.met(standing.scores) for standing in standings]
    assert not met[0]
    assert met[-1]
    assert standings[0].minutes_to(0.90, 300.0) is None, "one point is no curve"

    result = fit_trials(blocks.trials, targets, config)
    write_report(result, tmp_path / "report.html", config, known.image)
    page = opened(tmp_path / "report.html")
    for heading in ("Scores against chance", "Learning curve", "Where", "When"):
        assert heading in page
    assert "The participant was simulated" in page
