"""A session that aligns itself to its calibration, live over LSL and replayed: the same windows, the same numbers."""

import json

import numpy as np
import pytest

from realtime.decoding.bundle import load_bundle
from tests.support.command import perceptogram
from tests.support.muse_files import bumps

CONFIG = """
markers: {classes: {"1": rest, "2": left hand, "3": right hand}}
pictures: {set: labels}
fit: {permutations: 0, folds: 3, alphas: [10, 1000], windows: [], smooth_s: [0.02]}
filters: {highpass_hz: 1.0, lowpass_hz: 30.0, rate_hz: 64}
"""
FIRST, LATER = 10, 4


def another_cap(file, out):
    """Copy a recording, every electrode with another size."""
    head, *rows = file.read_text().splitlines()
    told = [[float(cell) for cell in row.split(",")] for row in rows]
    cells = [
        f"{timestamp:.6f},{1.6 * a:.2f},{0.7 * b:.2f},{1.2 * c:.2f},{int(code)}" for timestamp, a, b, c, code in told
    ]
    out.write_text("\n".join([head, *cells]) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned")
    (folder / "lab.yaml").write_text(CONFIG)
    (folder / "aligned.yaml").write_text(CONFIG + f"evidence: {{adapt: both, adapt_windows: {FIRST}}}\n")
    rng = np.random.default_rng(3)
    for seed, (name, count) in enumerate((("monday", 60), ("session", FIRST + LATER))):
        bumps(folder / f"{name}.csv", rng.permutation(np.arange(count) % 3) + 1, seed)
    another_cap(folder / "session.csv", folder / "other.csv")
    given = ("--config", folder / "lab.yaml", "--out", folder / "bundle", "--no-report")
    done = perceptogram("fit", folder / "monday.csv", *given)
    assert done.returncode == 0, done.stderr
    return folder


def percepts(folder, name, config, *options):
    given = ("--bundle", folder / "bundle", "--config", folder / config, "--out", folder / name, "--no-render")
    done = perceptogram("replay", folder / "other.csv", *given, *options)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / name / "percepts.jsonl").read_text().splitlines()]
    return [line for line in lines if "neighbours" in line]


def similarities(line):
    return [each["similarity"] for each in sorted(line["neighbours"], key=lambda each: each["name"])]


@pytest.mark.realtime
def test_live_and_replayed_the_same_windows_are_aligned_and_say_the_same(folder):
    replayed, plain = percepts(folder, "replayed", "aligned.yaml"), percepts(folder, "plain", "lab.yaml")
    live = percepts(folder, "live", "aligned.yaml", "--lsl", "--speed", "1")
    assert len(live) == len(replayed) == len(plain) == FIRST + LATER
    moved = []
    for number, (one, other, unaligned) in enumerate(zip(live, replayed, plain, strict=True)):
        assert ("drift" in one) == ("drift" in other) == (number >= FIRST)
        # Live the filters may begin some samples later; by the first window they have forgotten it.
        np.testing.assert_allclose(similarities(one), similarities(other), atol=1e-4)
        if number < FIRST:
            assert similarities(other) == similarities(unaligned)
        else:
            assert one["drift"] == pytest.approx(other["drift"], abs=1e-4)
            moved.append(np.abs(np.subtract(similarities(other), similarities(unaligned))).max())
    assert max(moved) > 0.02
    assert json.loads((folder / "replayed" / "summary.json").read_text())["drift"]["eeg"] < 1


def test_a_fit_keeps_how_the_eeg_varied(folder):
    covariance = load_bundle(folder / "bundle").window_covariance
    assert covariance.shape == (3, 3)
    assert np.linalg.eigvalsh(covariance).min() > 0
