"""The fault benchmark through its command: what it prints and what it writes."""

import json
import subprocess
import sys

import pytest

from benchmarks.faults import FAULTS
from benchmarks.random_faults import FAMILIES

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_quick_run_writes_every_part_of_a_whole_one(tmp_path):
    file, scores = tmp_path / "faults.json", tmp_path / "scores"
    command = [sys.executable, "-m", "perceptogram", "bench", "faults", "--quick", "--json", file, "--out", scores]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert [row["name"] for row in found["families"]] == list(FAMILIES)
    told = {"name", "streams", "accepted", "wrong", "refused_far", "false_alarms", "lost_exact"}
    assert all(told <= set(row) and row["streams"] == 1 for row in found["families"])
    assert [row["streams"] for row in found["operating_curve"]] == [len(FAMILIES)] * 5
    assert found["live"]["streams"] == 2
    assert (found["live_failed"], found["failed"], found["seeds"], found["whole"]) == ([], [], "report", True)
    assert found["faults"][0]["name"] == FAULTS[0]
    assert found["faults"][0]["wrongly_accepted"] == 0
    assert found["faults"][-1]["live"]
    assert len((scores / "family-scores.jsonl").read_text().splitlines()) == 5 * len(FAMILIES)
    assert len((scores / "live-scores.jsonl").read_text().splitlines()) == 2
    assert "Operating curve" in done.stdout
