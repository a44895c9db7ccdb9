"""Class bundles where a run holds one class only, none at all, or more than two: a table and exit code 0."""

import json
import re

import numpy as np
import pytest

from tests.support.command import perceptogram
from tests.support.muse_files import LEAD_S, RATE_HZ, bumps

CONFIG = """
markers: {classes: {"1": house, "2": face, "3": car}}
fit: {permutations: 0, group_by: recording, folds: 2}
filters: {lowpass_hz: 30.0}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    (folder / "lab.yaml").write_text(CONFIG)
    rng = np.random.default_rng(3)
    runs = [bumps(folder / f"{name}.csv", rng.permutation(np.arange(36) % 3) + 1, i) for i, name in enumerate("ab")]
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
    said, summary = replay(folder, bumps(tmp_path / "one.csv", codes), tmp_path / "o")
    assert "AUC n/a (chance 0.50, p n/a)" in said
    assert summary["n_trials"] == decoded
    assert summary["auc"] is summary["auc_interval"] is summary["baseline_auc"] is None
    assert summary["classes"] == ["house", "face", "car"]


def test_three_classes_are_scored_by_their_pairs_and_what_was_refused_is_told(folder, tmp_path):
    scores = json.loads((folder / "bundle" / "scores.json").read_text())
    assert scores["auc"] > 0.8
    assert scores["classes"] == ["house", "face", "car"]
    file = bumps(tmp_path / "three.csv", [1, 3, 2] * 12, seed=9)
    lines = file.read_text().splitlines()
    at = 1 + RATE_HZ * LEAD_S + 30  # within the first trial's window
    lines[at] = re.sub(r",[-.\d]+,", ",nan,", lines[at], count=1)
    file.write_text("\n".join(lines) + "\n")
    said, summary = replay(folder, file, tmp_path / "o")
    assert "3 classes, mean of all pairs, single trials │ AUC" in said
    assert summary["auc"] > 0.8
    assert sum(summary["n_by_class"]) == summary["n_trials"] == 36 - summary["refused"] < 36
    assert abs(summary["baseline_auc"] - 0.5) < 0.3
    assert sum(summary["refused_reasons"].values()) == summary["refused"]
    assert all(f"; {count} {reason}" in said for reason, count in summary["refused_reasons"].items())
