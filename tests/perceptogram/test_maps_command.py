"""``perceptogram maps`` on any cap: figures and pages, or one clear line that says what cannot be drawn."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from calibration.fit import fit_recordings
from configs.schema import load_config
from perceptogram.__main__ import app
from realtime.electrodes import CHANNELS_64
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.simulation.participant import SimulationSettings, simulate_recording
from stimuli.pictures import choose_pictures, open_pictures
from tests.support.simulated import QUICK

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVERY_S, LEAD_IN_S = 0.4, 4.0
FOUR = ("TP9", "AF7", "AF8", "TP10")
MEASURED = {"class", "hue", "texture", "brightness", "contrast"}


def write_recording(path, channels, labels, n_pictures, repeats):
    """Write what a simulated participant's amplifier would send; `labels` is what it calls its `channels`."""
    pictures = open_pictures(load_config("demo").pictures, "calibration")
    names = choose_pictures(pictures, n_pictures, seed=0)
    rng = np.random.default_rng(0)
    order = [str(name) for _ in range(repeats) for name in rng.permutation(names)]
    onsets = [(name, LEAD_IN_S + EVERY_S * place) for place, name in enumerate(order)]
    settings = SimulationSettings(channels=channels, snr=2.0)
    timestamps, samples, markers = simulate_recording(pictures, onsets, settings)
    described = "".join(f"<channel><label>{label}</label><unit>microvolts</unit></channel>" for label in labels)
    writer = XdfWriter(path)
    writer.stream_header(
        1,
        f"<info><name>cap</name><type>EEG</type><channel_count>{len(labels)}</channel_count>"
        f"<nominal_srate>{settings.rate_hz:g}</nominal_srate><channel_format>float32</channel_format>"
        f"<source_id>cap</source_id><desc><channels>{described}</channels></desc></info>",
    )
    writer.stream_header(
        2,
        "<info><name>shown</name><type>Markers</type><channel_count>1</channel_count>"
        "<nominal_srate>0</nominal_srate><channel_format>string</channel_format></info>",
    )
    for stream in (1, 2):
        writer.clock_offset(stream, timestamps[0], 0.0)
    writer.numbers(1, timestamps, samples)
    writer.texts(2, [marker.timestamp for marker in markers], [[marker.text()] for marker in markers])
    writer.close()


def calibrated(folder, channels, labels=None, stop_s=0.36, **fit):
    """Return the words that map a simulated calibration with a cap of these channels."""
    content = load_config("demo").model_dump(mode="json", exclude_unset=True)
    content |= {"name": "cap", "stream": {"name": "cap"}, "markers": {"name": "shown"}}
    content |= {"window": {"start_s": 0.0, "stop_s": stop_s}, "fit": QUICK | {"alphas": [100.0, 10000.0]} | fit}
    (folder / "cap.yaml").write_text(yaml.safe_dump(content))
    write_recording(folder / "cap.xdf", channels, labels or channels, n_pictures=40, repeats=2)
    fit_recordings([folder / "cap.xdf"], load_config(folder / "cap.yaml")).bundle.save(folder / "bundle")
    words = (
        "maps",
        folder / "bundle",
        folder / "cap.xdf",
        "--config",
        folder / "cap.yaml",
        "--json",
        folder / "n.json",
    )
    return [*map(str, words), "--permutations", "21"]


def mapped(folder, words):
    """Return what the command says, its numbers, its figures' names, and its pages by name."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    out = folder / "bundle" / "maps"
    pages = {path.name: path.read_text() for path in out.glob("*.html")}
    figures = {path.stem for path in out.glob("*.svg")}
    assert figures == {path.stem for path in out.glob("*.png")}
    return done, json.loads((folder / "n.json").read_text()), figures, pages


def needs_nothing_but_itself(page):
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)', page))
    return not re.search(r"https?:|<script|<link|url\(|@import", page)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    folder = tmp_path_factory.mktemp("four")
    return folder, *mapped(folder, calibrated(folder, FOUR))


@pytest.mark.slow
def test_four_electrodes(four):
    _, done, numbers, figures, pages = four
    assert numbers.keys() >= MEASURED
    assert done.stderr == ""
    assert pages.keys() == {"maps.html", "electrodes.html"}
    assert all(needs_nothing_but_itself(page) and "The participant was simulated" in page for page in pages.values())
    assert {f"{name}-{kind}" for name in MEASURED for kind in ("heads", "views", "courses")} <= figures
    for row in numbers.values():
        assert 0 < row["cluster_p"] <= 1
        assert (row["peak_channels"] is None) == (row["cluster_p"] >= 0.05)
        assert set(row["peak_channels"] or ()) <= set(FOUR)


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_a_browser_shows_them(four, tmp_path):
    for name in ("maps", "electrodes"):
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--window-size=1200,2400", f"--user-data-dir={tmp_path / 'profile'}"]
        command += [f"--screenshot={tmp_path / name}.png", (four[0] / "bundle" / "maps" / f"{name}.html").as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        shot = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)
        inked = np.any(shot < 245, axis=2)
        assert np.all(inked.reshape(8, -1, inked.shape[1]).any(axis=(1, 2)))
        assert not inked[:, :40].any()
        assert not inked[:, -40:].any()


@pytest.mark.slow
def test_names_that_have_no_place(tmp_path):
    labels = ("TP9", "AF7", "EXG1", "A-31")
    done, numbers, figures, pages = mapped(tmp_path, calibrated(tmp_path, FOUR, labels, choose="identification"))
    told = "no head maps: 2 of 4 electrodes have a place in the 10-05 system and 3 are needed"
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith(told)
    assert all(told in page for page in pages.values())
    assert numbers.keys() >= MEASURED
    assert "hue-courses" in figures
    assert not any(name.endswith(("heads", "winner", "views")) for name in figures)


@pytest.mark.slow
def test_a_full_cap(tmp_path):
    labels = ("EXG1", *CHANNELS_64[1:-1], "A-31")
    done, numbers, figures, pages = mapped(tmp_path, calibrated(tmp_path, CHANNELS_64, labels, stop_s=0.24))
    assert done.stderr.strip() == (
        "not on the head maps: EXG1, A-31 (no such name in the 10-05 system); they are in the time courses and numbers"
    )
    assert numbers.keys() >= MEASURED
    assert any(row["peak_channels"] for row in numbers.values())
    assert {f"{name}-heads" for name in MEASURED} <= figures
    assert all(needs_nothing_but_itself(page) for page in pages.values())
