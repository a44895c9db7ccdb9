"""A person's second day starts from the first one's bundle, by the command, and what does not fit is refused."""

import json

import numpy as np
import pytest

from perceptogram.commands.run import expected
from realtime.decoding.bundle import load_bundle
from tests.support.command import perceptogram
from tests.support.muse_files import bumps

CONFIG = """
markers: {classes: {"1": rest, "2": left hand, "3": right hand}}
pictures: {set: labels}
fit: {permutations: 0, folds: 3, alphas: [10, 1000], windows: [], smooth_s: [0.02]}
filters: {lowpass_hz: 30.0}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("days")
    (folder / "lab.yaml").write_text(CONFIG)
    rng = np.random.default_rng(3)
    for seed, (name, count) in enumerate((("monday", 60), ("tuesday", 30))):
        bumps(folder / f"{name}.csv", rng.permutation(np.arange(count) % 3) + 1, seed)
    done = fit(folder, "monday", "--participant", "p07")
    assert done.returncode == 0, done.stderr
    assert "the bundle remembers 60 trials" in " ".join(done.stdout.split())
    return folder


def fit(folder, name, *options, config="lab.yaml", recording=None):
    given = (folder / f"{recording or name}.csv", "--config", folder / config, "--out", folder / name, "--no-report")
    return perceptogram("fit", *given, *options)


def test_the_second_day_tells_what_the_first_contributed_and_decodes_as_one_map(folder):
    done = fit(folder, "tuesday", "--from", folder / "monday", "--report")
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "its 60 trials count as" in told
    record = json.loads((folder / "tuesday" / "bundle.json").read_text())
    (source,) = record["fit"]["prior"]["sources"]
    assert source["n_trials"] == 60
    assert (source["participant"], source["score"]) == ("p07", load_bundle(folder / "monday").scores["auc"])
    assert source["created"] == load_bundle(folder / "monday").provenance["created"]
    page = (folder / "tuesday" / "report.html").read_text()
    assert "<h2>Earlier days</h2>" in page
    assert f"{folder / 'monday'}" in page
    assert 0 < source["worth_trials"] <= 60
    assert record["fit"]["prior"]["n_new_trials"] == record["memory"]["n_trials"] == 30
    assert record["scores"]["auc"] > 0.9
    out = folder / "replayed"
    shared = ("--bundle", folder / "tuesday", "--config", folder / "lab.yaml", "--out", out, "--no-render")
    done = perceptogram("replay", folder / "monday.csv", *shared)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "summary.json").read_text())["auc"] > 0.9


def test_without_memory_a_bundle_decodes_and_is_no_source(folder):
    done = fit(folder, "forgetful", "--no-memory", recording="monday")
    assert done.returncode == 0, done.stderr
    assert not (folder / "forgetful" / "memory.safetensors").exists()
    again, remembering = load_bundle(folder / "forgetful"), load_bundle(folder / "monday")
    np.testing.assert_array_equal(again.weights, remembering.weights)
    assert (again.participant, remembering.participant) == (None, "p07")
    done = fit(folder, "refused", "--from", folder / "forgetful", recording="tuesday")
    assert (done.returncode, "remembers nothing" in " ".join(done.stderr.split())) == (2, True)


def test_another_filter_is_refused_with_what_differs(folder):
    (folder / "other.yaml").write_text(CONFIG.replace("30.0", "20.0"))
    done = fit(folder, "refused", "--from", folder / "monday", config="other.yaml", recording="tuesday")
    assert done.returncode == 2
    assert "its filter lowpass_hz is 30.0, here it is 20.0" in " ".join(done.stderr.split())
    assert not (folder / "refused").exists()


def test_a_session_says_what_to_expect_of_an_old_bundle_and_of_when(folder):
    bundle = load_bundle(folder / "monday")
    told = expected(bundle)
    assert told.startswith(f"expected: auc {bundle.scores['auc']:.2f} [")
    assert told.endswith(f"on {bundle.provenance['created'][:10]}")


def test_participants_are_listed_with_their_days_and_what_each_took_over(folder, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bundle.json").write_text("{")
    (tmp_path / "bad" / "decoder.safetensors").write_bytes(b"")
    drawn = ("--json", tmp_path / "days.json", "--png", tmp_path / "days.png")
    done = perceptogram("participants", folder, tmp_path, *drawn)
    assert done.returncode == 0, done.stderr
    listed = json.loads((tmp_path / "days.json").read_text())
    (monday,) = [each for each in listed if each["folder"].endswith("monday")]
    assert (monday["participant"], monday["n_trials"], monday["sources"]) == ("p07", 60, {})
    assert 0.5 < monday["interval"][0] <= monday["score"] <= monday["interval"][1]
    assert not [each for each in listed if each["folder"].endswith("bad")]
    assert (tmp_path / "days.png").read_bytes().startswith(b"\x89PNG")
    assert "p07" in done.stdout
    done = perceptogram("participants", tmp_path / "nowhere")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
