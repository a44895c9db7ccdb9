"""Class bundles where a run holds one class only, none at all, or more than two: a table and exit code 0."""

import json
import re

import numpy as np
import pytest

from tests.support.command import perceptogram

RATE_HZ = 128
CONFIG = """
markers: {classes: {"1": house, "2": face, "3": car}}
fit: {permutations: 0, group_by: recording, folds: 2}
filters: {lowpass_hz: 30.0}
"""


def run(file, codes, seed=0):
    """Write a muse-lsl CSV with a marker each second, and a bump at the electrode of its class."""
    n = RATE_HZ * (len(codes) + 8)
    samples, marker = np.random.default_rng(seed).normal(0, 4, (n, 3)), np.zeros(n, int)
    for second, code in enumerate(codes, start=4):
        marker[RATE_HZ * second] = code
        samples[RATE_HZ * second + 20 : RATE_HZ * second + 60, (code - 1) % 3] += 8
    cells = zip(np.arange(n) / RATE_HZ, samples, marker, strict=True)
    rows = [f"{stamp:.6f},{a:.2f},{b:.2f},{c:.2f},{code}" for stamp, (a, b, c), code in cells]
    file.write_text("\n".join(["timestamps,TP9,AF7,AF8,Marker0", *rows]) + "\n")
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    (folder / "lab.yaml").write_text(CONFIG)
    rng = np.random.default_rng(3)
    runs = [run(folder / f"{name}.csv", rng.permutation(np.arange(36) % 3) + 1, i) for i, name in enumerate("ab")]
    done = perceptogram("fit", *runs, "--config", folder / "lab.yaml", "--out", folder / "bundle", "--no-report")
    assert done.returncode == 0, done.stderr
    return folder


def replay(folder, recording, out):
    config = ("--bundle", folder / "bundle", "--config", folder / "lab.yaml")
    done = perceptogram("replay", recording, *config, "--out", out, "--no-render")
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split()), json.loads((out / "summary.json").read_text())


@pytest.mark.parametrize(("codes", "decoded"), [([1] * 12, 12), ([5] * 4, 0)])
def test_one_class_or_no_trial_has_no_auc(folder, tmp_path, codes, decoded):
    said, summary = replay(folder, run(tmp_path / "one.csv", codes), tmp_path / "o")
    assert "AUC n/a (chance 0.50, p n/a)" in said
    assert summary["n_trials"] == decoded
    assert summary["auc"] is summary["auc_interval"] is summary["baseline_auc"] is None
    assert summary["classes"] == ["house", "face", "car"]


def test_three_classes_are_scored_by_their_pairs_and_what_was_refused_is_told(folder, tmp_path):
    scores = json.loads((folder / "bundle" / "scores.json").read_text())
    assert scores["auc"] > 0.8
    assert scores["classes"] == ["house", "face", "car"]
    file = run(tmp_path / "three.csv", [1, 3, 2] * 12, seed=9)
    lines = file.read_text().splitlines()
    at = 1 + RATE_HZ * 4 + 30  # within the first trial's window
    lines[at] = re.sub(r",[-.\d]+,", ",nan,", lines[at], count=1)
    file.write_text("\n".join(lines) + "\n")
    said, summary = replay(folder, file, tmp_path / "o")
    assert "3 classes, mean of all pairs, single trials │ AUC" in said
    assert summary["auc"] > 0.8
    assert sum(summary["n_by_class"]) == summary["n_trials"] == 36 - summary["refused"] < 36
    assert abs(summary["baseline_auc"] - 0.5) < 0.3
    assert sum(summary["refused_reasons"].values()) == summary["refused"]
    assert all(f"; {count} {reason}" in said for reason, count in summary["refused_reasons"].items())
