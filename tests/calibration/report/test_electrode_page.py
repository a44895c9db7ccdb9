import json

import numpy as np
import pytest

from calibration.data.targets import given_targets
from calibration.data.trials import Trials
from calibration.maps.attributes import Attribute, class_attribute
from calibration.report.electrode_page import write_electrode_page
from configs.schema import Config, FitSettings, MarkerSettings, WindowSettings
from realtime.sources.base import StreamSpec
from realtime.spaces import EmbeddingSpace
from tests.support.calibration_examples import make_trials

CONFIG = Config(window=WindowSettings(stop_s=0.4, baseline_s=(-0.2, 0.0)), fit=FitSettings(permutations=20))


@pytest.fixture
def drawn_pictures(monkeypatch):
    """A picture set that has the made-up names."""

    class Pictures:
        def image(self, name, size):
            return np.random.default_rng(int(name[-3:])).integers(0, 255, (size, size, 3)).astype(np.uint8)

    monkeypatch.setattr("calibration.report.electrode_page.open_pictures", lambda settings: Pictures())


@pytest.mark.slow
def test_a_page_with_every_figure_and_its_numbers(drawn_pictures, tmp_path):
    trials, targets = make_trials(signal=2.0)
    names = targets.gallery.names
    size = Attribute("size", "continuous", targets.gallery.embeddings[:, 11], names, ("small", "large"))
    told = []
    numbers = write_electrode_page(trials, targets, [size], CONFIG, tmp_path, lambda *step: told.append(step))
    assert numbers["n_units"] == 60
    assert numbers["unit"] == "pictures"
    row = numbers["electrodes"]["by_electrode"]["O1"]["size"]
    assert row["alone_interval"][0] <= row["alone_r"] <= row["alone_interval"][1]
    assert len(numbers["choice"]["curve"]) == 4
    assert numbers["hierarchy"]["decoding"].keys() == {"pixels", "texture", "semantic"}
    assert numbers["hierarchy"]["decoding"]["pixels"]["onset_ms"] is None
    assert numbers["hierarchy"]["perturbed"]["pairs_exchanged"] == 1
    json.dumps(numbers, allow_nan=False)
    figures = {path.stem for path in tmp_path.glob("*.svg")}
    assert figures == {path.stem for path in tmp_path.glob("*.png")}
    assert {"electrodes-choice", "electrodes-preference", "hierarchy-rsa", "hierarchy-saliency"} <= figures
    page = (tmp_path / "electrodes.html").read_text()
    assert page.count("<img") == len(figures)
    assert "Which 4 electrodes would do: " in page
    assert "The participant was simulated" not in page
    assert {step[0] for step in told} >= {"electrodes one by one", "choosing electrodes", "tampered EEG"}


def test_two_classes_and_channels_without_a_place(tmp_path):
    trials, _ = make_trials(n_pictures=2, repeats=60, n_recordings=3)
    names = np.where(trials.names == "picture-000", "house", "face")
    spec = StreamSpec("made", "EEG", "made", trials.rate_hz, ("O1", "Oz", "A-1", "A-2"))
    trials = Trials(**{**vars(trials), "names": names, "spec": spec, "simulated": True})
    table = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    targets = given_targets(("house", "face"), ("house", "face"), table, EmbeddingSpace("made", "up", 6))
    config = CONFIG.model_copy(update={"markers": MarkerSettings(classes={"1": "house", "2": "face"})})
    numbers = write_electrode_page(trials, targets, [class_attribute(("house", "face"))], config, tmp_path)
    assert numbers["unit"] == "trials"
    assert numbers["choice"]["score"] == "auc"
    assert numbers["hierarchy"]["similarity"] is None
    assert numbers["hierarchy"]["decoding"]["class"]["peak"] > 0
    page = (tmp_path / "electrodes.html").read_text()
    assert "no head maps: 2 of 4 electrodes have a place" in page
    assert "The participant was simulated" in page
    assert not (tmp_path / "electrodes-alone.png").exists()
