"""mne-lsl's player as the amplifier and its annotations as the markers: a session epochs every event of a real file."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter

import numpy as np
import pytest
import yaml

from realtime.recording.latency_log import read_percepts
from tests.support.command import perceptogram

pytestmark = pytest.mark.processes

FASTER = 4
LEAD_S = 12.0
"""The player begins at once; a session takes a while to find it, and for its filters to settle."""


def play_faster(source, target):
    """Write the first half of EEGLAB's sample so that it plays `FASTER`, behind a quiet lead; count its events."""
    import mne

    raw = mne.io.read_raw_eeglab(source, preload=True, verbose="error")
    raw.crop(tmax=raw.times[-1] / 2)
    raw.annotations.delete(raw.annotations.onset > raw.times[-1] - 2)  # whose windows would be cut off
    rate_hz = FASTER * raw.info["sfreq"]
    data = raw.get_data()
    lead = np.repeat(data[:, :1], round(LEAD_S * rate_hz), axis=1)
    fast = mne.io.RawArray(np.hstack([lead, data]), mne.create_info(raw.ch_names, rate_hz, "eeg"), verbose="error")
    fast.set_annotations(mne.Annotations(LEAD_S + raw.annotations.onset / FASTER, 0.0, raw.annotations.description))
    fast.save(target, verbose="error")
    return Counter(fast.annotations.description)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_session_epochs_every_event_that_a_peer_plays(shared_data, tmp_path):
    from mne_lsl.player import PlayerLSL

    name = f"peer-{uuid.uuid4().hex[:8]}"
    config = {
        "name": "peer",
        "stream": {"name": name, "timeout_s": 120},
        "markers": {"name": f"{name}-annotations", "type": "annotations", "classes": {"rt": "house", "square": "face"}},
        "window": {"start_s": 0.0, "stop_s": 0.15},
        "filters": {"highpass_hz": None, "lowpass_hz": 40.0},
        "artefacts": {"take_out": False},  # the lead is flat
        "fit": {"group_by": "recording", "permutations": 0},
    }
    (tmp_path / "peer.yaml").write_text(yaml.safe_dump(config))
    events = play_faster(shared_data / "eeglab" / "eeglab_data.set", tmp_path / "fast_raw.fif")
    command = [sys.executable, "-P", "-m", "perceptogram"]
    shared = ["--config", str(tmp_path / "peer.yaml")]
    done = perceptogram("fit", tmp_path / "fast_raw.fif", *shared, "--no-report", "--out", tmp_path / "bundle")
    assert done.returncode == 0, done.stderr

    run = [*command, "run", *shared, "--bundle", str(tmp_path / "bundle"), "--out", str(tmp_path / "out")]
    options = ["--headless", "--no-render", "--no-record"]
    over = threading.Event()
    player = PlayerLSL(tmp_path / "fast_raw.fif", chunk_size=16, n_repeat=1, name=name, source_id=name)
    session = subprocess.Popen(
        [*run, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    try:
        assert session.stdout is not None
        assert b"expected: " in session.stdout.readline(), "it has loaded, and looks for the stream"
        with player:
            assert any(b"decoding" in line for line in session.stdout)
            while player.running:
                over.wait(0.5)
            session.send_signal(signal.SIGINT)
            told, _ = session.communicate(timeout=60)
    finally:
        session.kill()
    assert session.returncode == 0, told
    records = read_percepts(tmp_path / "out" / "percepts.jsonl")
    decoded = Counter(record["label"] or record["picture"] for record in records if "neighbours" in record)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["refused"] == summary["lost_samples"] == 0
    assert decoded == {"face": events["square"], "house": events["rt"]}, "the classes that they stand for"
    assert min(decoded.values()) > 30
