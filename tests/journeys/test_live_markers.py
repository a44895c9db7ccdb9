"""Markers that a live session cannot use: named for what they are while it runs, not afterwards."""

import sys
import threading
import time
import uuid
from subprocess import PIPE, Popen

import numpy as np
import pylsl
import pytest

from realtime.recording.xdf_writer import XdfWriter
from tests.support.command import perceptogram
from tests.support.lsl_amplifier import Amplifier

INFO = """<info><name>Amp</name><type>EEG</type><channel_count>2</channel_count><nominal_srate>250</nominal_srate>
<channel_format>float32</channel_format><desc><channels>
<channel><label>Fz</label><unit>microvolts</unit></channel><channel><label>Cz</label><unit>microvolts</unit></channel>
</channels></desc></info>"""
MARKERS = """<info><name>Stim</name><type>Markers</type><channel_count>1</channel_count>
<nominal_srate>0</nominal_srate><channel_format>string</channel_format></info>"""
FITTED = """
markers: {classes: {"1": cat, "2": house}}
fit: {permutations: 0, folds: 2, group_by: picture, alphas: [1000.0]}
"""


def command(*arguments):
    return [sys.executable, "-P", "-m", "perceptogram", *map(str, arguments)]


@pytest.fixture
def bundle(tmp_path):
    writer = XdfWriter(tmp_path / "run.xdf")
    n = 40 * 250
    writer.stream_header(1, INFO)
    samples = np.random.default_rng(0).normal(0, 10, (n, 2)).astype(np.float32)
    writer.numbers(1, 1000 + np.arange(n) / 250, samples)
    writer.stream_header(2, MARKERS)
    writer.texts(2, [1005.0 + number for number in range(30)], [[str(1 + number % 2)] for number in range(30)])
    writer.close()
    (tmp_path / "fit.yaml").write_text(FITTED)
    done = perceptogram("fit", "run.xdf", "--config", "fit.yaml", "--no-report", "--out", "bundle", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / "bundle"


def send(outlet, over):
    while not over.wait(0.2):
        outlet.push_sample(["face"], time.time())


def test_another_clock_and_labels_that_nobody_asked_for_are_told_while_the_session_runs(bundle, tmp_path):
    name = f"amp-{uuid.uuid4().hex[:8]}"
    settings = f"stream: {{name: {name}}}\nmarkers: {{name: {name}-stim}}\nartefacts: {{take_out: false}}\n"
    (tmp_path / "lab.yaml").write_text(settings)
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(f"{name}-stim", "Markers", 1, 0, "string", f"{name}-stim"))
    with Amplifier(name, "id", channels=("Fz", "Cz"), marker_s=None):
        run = command("run", "--config", tmp_path / "lab.yaml", "--bundle", bundle, "--out", tmp_path / "out")
        with Popen([*run, "--headless", "--no-render", "--no-record"], stderr=PIPE, text=True) as session:
            over = threading.Event()
            sending = threading.Thread(target=send, args=(outlet, over), daemon=True)
            sending.start()
            patience = threading.Timer(90, session.kill)
            patience.start()
            told = []
            for line in session.stderr:  # the first may come again before the second is due
                told.append(line)
                if "markers.classes" in line:
                    break
            patience.cancel()
            session.kill()
            over.set()
            sending.join()
    del outlet
    assert "s ahead of the LSL clock" in told[0]
    assert told[0].endswith("make the sender timestamp with local_clock()\n")
    assert told[-1].startswith("no marker is one of markers.classes (1, 2); there are 'face' (")
