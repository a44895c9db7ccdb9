"""A recording is opened once by whatever learns from it or looks at it, pre-stimulus windows included."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest

from calibration.evaluate import evaluate
from calibration.fit import fit_recordings
from calibration.maps.map_recordings import map_recordings
from configs.schema import Config, FilterSettings, FitSettings, MarkerSettings, StreamSettings, WindowSettings

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
RATE_HZ = 256
CONFIG = Config(
    stream=StreamSettings(unit="microvolts"),
    markers=MarkerSettings(classes={"1": "house", "2": "face"}),
    filters=FilterSettings(highpass_hz=1.0, lowpass_hz=20.0),
    window=WindowSettings(stop_s=0.5, baseline_s=(-0.1, 0.0)),
    fit=FitSettings(permutations=21),
)
_opened = []
_listens = False


def _note(event, arguments):
    if _listens and event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(".csv"):
        _opened.append(arguments[0])


sys.addaudithook(_note)  # it cannot be taken off again


@contextmanager
def openings():
    """Tell which CSV files the process opens."""
    global _listens
    _opened.clear()
    _listens = True
    try:
        yield _opened
    finally:
        _listens = False


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two recordings in which a face is followed by a wave and a house is not, in an order that foretells neither."""
    folder, paths = tmp_path_factory.mktemp("recordings"), []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        samples = 5 * rng.standard_normal((40 * RATE_HZ, len(CHANNELS)))
        wave = 8 * np.hanning(RATE_HZ // 4)[:, None]
        markers = np.zeros(len(samples), int)
        for second in range(5, 39):
            markers[second * RATE_HZ] = rng.integers(1, 3)
            if markers[second * RATE_HZ] == 2:
                samples[second * RATE_HZ + 20 : second * RATE_HZ + 20 + len(wave)] += wave
        lines = [
            f"{1000 + row / RATE_HZ:.6f}," + ",".join(f"{value:.3f}" for value in samples[row]) + f",{markers[row]}"
            for row in range(len(samples))
        ]
        paths.append(folder / f"run{seed}.csv")
        paths[-1].write_text("\n".join(["timestamps," + ",".join(CHANNELS) + ",Marker0", *lines]) + "\n")
    return paths


def test_fit_evaluate_and_maps_open_each_recording_once(recordings):
    wanted = sorted(map(str, recordings))
    with openings() as opened:
        bundle = fit_recordings(recordings, CONFIG).bundle
    assert sorted(opened) == wanted
    assert bundle.scores["auc"] > 0.8 > bundle.scores["baseline_auc"]
    with openings() as opened:
        scores = evaluate(bundle, recordings, CONFIG)
    assert sorted(opened) == wanted
    assert scores["auc"] > 0.8 > scores["baseline_auc"]
    with openings() as opened:
        mapped = map_recordings(bundle, recordings, CONFIG)
    assert sorted(opened) == wanted
    assert 0 < mapped.pre_stimulus_p["class"] <= 1


def test_onsets_by_light_come_from_the_same_reading(recordings, tmp_path):
    lit = []
    for path in recordings:
        head, *rows = path.read_text().splitlines()
        on = 0
        lines = [head.replace(",Marker0", ",Light,Marker0")]
        for row in rows:
            cells = row.split(",")
            on = RATE_HZ // 4 if cells[-1] != "0" else max(0, on - 1)
            lines.append(",".join([*cells[:-1], "100" if on else "0", cells[-1]]))
        lit.append(tmp_path / path.name)
        lit[-1].write_text("\n".join(lines) + "\n")
    by_light = CONFIG.markers.model_copy(update={"from_photodiode": "Light"})
    stream = CONFIG.stream.model_copy(update={"channels": CHANNELS})
    with openings() as opened:
        fitted = fit_recordings(lit, CONFIG.model_copy(update={"markers": by_light, "stream": stream}))
    assert sorted(opened) == sorted(map(str, lit))
    assert any("those of the light on channel Light" in line for line in fitted.trials.notices)
