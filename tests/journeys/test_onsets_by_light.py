"""Real recordings with a photodiode: whether their markers can be believed, and what is decoded where they cannot."""

import json

import numpy as np
import pytest

from benchmarks.photodiode_recordings import faces, flicker
from tests.support.command import perceptogram

CONFIG = """
markers: {{classes: {{"1": other, "2": target}}{light}}}
pictures: {{set: labels}}
filters: {{highpass_hz: 0.5, lowpass_hz: 20.0}}
artefacts: {{peak_to_peak_uv: null}}
fit: {{permutations: 0, choose: error}}
"""


@pytest.fixture(scope="module")
def runs(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    (folder / "marked.yaml").write_text(CONFIG.format(light=""))
    (folder / "lit.yaml").write_text(CONFIG.format(light=", from_photodiode: true"))
    return [faces(shared_data / "faces_photodiode", run, folder / f"run{run}.xdf") for run in range(1, 5)]


def test_markers_of_a_program_that_polls_are_told_to_be_unusable(runs, tmp_path):
    shared = ("--config", runs[0].parent / "marked.yaml")
    done = perceptogram("calibrate", "--check-timing", runs[0], *shared, "--out", tmp_path)
    assert done.returncode == 1, done.stderr
    found = json.loads((tmp_path / "timing.json").read_text())
    assert (found["channel"], found["n_markers"]) == ("A2", 99)  # of the first, there is no EEG before
    assert found["n_matched"] > 95
    assert found["sd_s"] == pytest.approx(0.140, abs=0.01)
    assert "the markers cannot be used: they scatter by 1" in done.stdout
    assert "markers.from_photodiode: true takes onsets from the light" in done.stdout
    begun = ("calibrate", *shared, "--timing", tmp_path / "timing.json", "--out", tmp_path / "anna", "--simulate")
    assert perceptogram(*begun).returncode == 2


@pytest.mark.slow
def test_a_target_is_told_apart_by_its_light_where_it_is_not_by_its_marker(runs, tmp_path):
    auc = {}
    for name in ("marked", "lit"):
        config = ("--config", runs[0].parent / f"{name}.yaml")
        done = perceptogram("fit", *runs, *config, "--out", tmp_path / name, "--no-report")
        assert done.returncode == 0, done.stderr
        auc[name] = json.loads((tmp_path / name / "scores.json").read_text())
    told = "onsets are those of the light on channel A2, a median"
    assert told in done.stderr
    assert auc["lit"]["n_by_class"][1] == 40
    assert auc["lit"]["auc"] >= 0.75
    assert abs(auc["lit"]["baseline_auc"] - 0.5) < 0.1
    assert abs(auc["marked"]["auc"] - 0.5) < 0.1


def test_a_live_stream_has_no_light_to_go_by(runs, tmp_path):
    (tmp_path / "one.yaml").write_text("markers: {from_photodiode: A2, offset_s: 0.1}\n")
    done = perceptogram("replay", runs[0], "--config", tmp_path / "one.yaml", "--out", tmp_path / "o")
    assert (done.returncode, "set one" in done.stderr) == (2, True)


def test_the_light_of_a_flicker_is_found_whatever_the_markers_delay(shared_data, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "lab.yaml").write_text("markers: {classes: {'8': a, '10': b, '12': c, '15': d}}\n")
    for delay_s, scatter_s, code in ((0.05, 0.002, 0), (0.264, 0.14, 1)):
        delays_s = delay_s + scatter_s * rng.standard_normal(80)
        file = flicker(shared_data / "vep4_photosensor", tmp_path / f"flicker{code}.xdf", delays_s)
        out = tmp_path / f"timing{code}"
        done = perceptogram("calibrate", "--check-timing", file, "--config", tmp_path / "lab.yaml", "--out", out)
        assert done.returncode == code, done.stderr
        found = json.loads((out / "timing.json").read_text())
        assert (found["channel"], found["edge"], found["n_matched"]) == ("A2", "rise", 80)
        assert found["offset_s"] == pytest.approx(float(np.median(delays_s)), abs=0.004)
        assert found["sd_s"] == pytest.approx(scatter_s, rel=0.3)
