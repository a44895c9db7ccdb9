"""The documentation's example of what trigger codes mean, on a BrainVision recording as people have them."""

import re
from pathlib import Path

import numpy as np
import yaml

from calibration.data.reading import read_trials
from configs.schema import Config
from tests.support.recording_files import write_brainvision

PAGE = Path(__file__).parents[3] / "docs" / "calibration.md"


def test_brainvision_triggers_are_the_classes_that_the_documentation_says(tmp_path):
    examples = re.findall(r"```yaml\n(markers:\n.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    [example] = [one for one in examples if "Stimulus/S" in one]
    config = Config(**yaml.safe_load(example))
    codes = [1, 2, 2, 1, 2, 3]
    lines = [f"Stimulus,S{code:3d},{250 * (20 + 2 * place) + 1},1,0" for place, code in enumerate(codes)]
    noise = np.random.default_rng(0).normal(0, 10, (250 * 40, 1))
    trials = read_trials([write_brainvision(tmp_path / "run.vhdr", noise, lines)], config)
    assert trials.names.tolist() == ["house", "face", "face", "house", "face"]
    np.testing.assert_allclose(trials.onsets, [20, 22, 24, 26, 28])
