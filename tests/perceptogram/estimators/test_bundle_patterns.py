"""A bundle's maps come out in volts, at their electrodes and their moment."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.fit import fit_trials
from configs.schema import Config, FitSettings, WindowSettings
from perceptogram.estimators import bundle_patterns
from realtime.decoding.filtered_patterns import PatternAttribute, Patterns
from tests.support.calibration_examples import CHANNELS, DIMS, make_trials


def test_each_column_is_a_map_in_volts():
    trials, targets = make_trials(n_pictures=20)
    config = Config(window=WindowSettings(stop_s=0.4), fit=FitSettings(permutations=0, folds=2, choose="error"))
    bundle = fit_trials(trials, targets, config).bundle
    assert bundle_patterns(bundle) == {}
    told = {"limit_uv": 3.0, "r": 0.4, "p": 0.01}
    attributes = (
        PatternAttribute("class", "categorical", ("animal", "tool"), 2, 0.16, **told),
        PatternAttribute("hue", "circular", ("red", "green", "blue"), 2, 0.2, **told),
        PatternAttribute("brightness", "continuous", ("dark", "bright"), 1, 0.12, **told),
    )
    maps = np.arange(5 * len(CHANNELS), dtype=np.float32).reshape(5, -1)
    ones = np.ones(DIMS, np.float32)
    found = bundle_patterns(replace(bundle, patterns=Patterns(attributes, ones, ones, np.ones((DIMS, 5), "f4"), maps)))
    assert list(found) == ["class: animal", "class: tool", "hue: cosine", "hue: sine", "brightness: bright"]
    assert found["hue: sine"].times[0] == pytest.approx(0.2)
    assert found["brightness: bright"].ch_names == list(CHANNELS)
    for evoked, row in zip(found.values(), maps, strict=True):
        np.testing.assert_allclose(evoked.data[:, 0], row * 1e-6)
        assert evoked.get_montage() is not None
