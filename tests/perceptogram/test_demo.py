"""The whole loop, as a newcomer runs it: every process is real, and the control is at chance."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from realtime.decoding.bundle import load_bundle
from tests.support.command import perceptogram

pytestmark = pytest.mark.processes

LEFT_BEHIND = {
    "bundle",
    "calibration.xdf",
    "contact_sheet.png",
    "demo.gif",
    "display.png",
    "percepts.jsonl",
    "pictures",
    "recording.xdf",
    "summary.json",
}


def run_demo(out, *arguments):
    command = [sys.executable, "-P", "-m", "perceptogram", "demo", "--headless", "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=560, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "summary.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_decodes_pictures_that_were_never_seen(tmp_path):
    summary = run_demo(tmp_path / "demo", "--seed", "7", "--minutes", "0.7", "--snr", "3")
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= LEFT_BEHIND
    assert (tmp_path / "demo" / "demo.gif").stat().st_size <= 3_000_000
    assert summary["simulated"] is True
    assert summary["lost_samples"] == 0
    assert summary["two_way"] > 0.75
    assert summary["two_way_p"] < 0.01
    assert 0.3 < summary["baseline_two_way"] < 0.7
    assert summary["n_test_trials"] >= 0.95 * summary["n_way"] * summary["repeats"]
    lines = [json.loads(line) for line in (tmp_path / "demo" / "percepts.jsonl").read_text().splitlines()]
    percepts = [line for line in lines if "neighbours" in line]
    assert len(percepts) == summary["n_test_trials"]
    for percept in percepts:
        stages = percept["ledger"]
        assert stages["onset"] < stages["last_sample"] < stages["embedding"]
    painted = [percept for percept in percepts if percept["file"]]
    # Every picture where the machine keeps up; a newer request takes the place of one that waits.
    assert len({percept["picture"] for percept in painted}) >= 0.2 * len({percept["picture"] for percept in percepts})
    with Image.open(tmp_path / "demo" / painted[0]["file"]) as picture:
        assert picture.width > picture.height  # shown beside reconstructed
    assert load_bundle(tmp_path / "demo" / "bundle").simulated

    # The recording, replayed through the same map, says what was said live.
    options = ("--bundle", "demo/bundle", "--config", "demo", "--no-render", "--out", "again")
    done = perceptogram("replay", "demo/recording.xdf", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert again["single_trial"]["two_way"] == pytest.approx(summary["single_trial"]["two_way"], abs=0.03)
