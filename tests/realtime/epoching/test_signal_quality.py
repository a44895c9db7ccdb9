import numpy as np
import pytest

from configs.schema import ArtefactSettings
from realtime.epoching.signal_quality import signal_quality


def test_flat_good_doubtful_and_bad():
    wave = np.sin(np.linspace(0, 20, 500))[:, None] * np.array([0.0, 40.0, 100.0, 200.0]) + 1000.0
    settings = ArtefactSettings(peak_to_peak_uv=200.0, flat_uv=0.1)
    quality = signal_quality(wave, ["flat", "good", "doubtful", "bad"], settings)
    assert quality == pytest.approx({"flat": 0.0, "good": 1.0, "doubtful": 0.5, "bad": 0.0}, abs=0.01)


def test_without_a_limit_only_flat_is_known():
    settings = ArtefactSettings(peak_to_peak_uv=None, flat_uv=0.1)
    quality = signal_quality(np.array([[0.0, 0.0], [0.0, 50.0]]), ["a", "b"], settings)
    assert quality == {"a": 0.0, "b": None}
