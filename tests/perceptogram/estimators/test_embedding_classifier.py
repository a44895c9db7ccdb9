"""Labels by the linear map: a scikit-learn classifier, and a pipeline of MOABB on a made-up data set."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from configs.schema import Config, FitSettings
from perceptogram.estimators import EmbeddingClassifier

CONFIG = Config(fit=FitSettings(windows=(), alphas=(1.0, 100.0, 10_000.0)))


@parametrize_with_checks([EmbeddingClassifier()])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


def labelled(classes, n, seed=0):
    """Epochs in volts, each class with a wave on an electrode of its own, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.array([classes[trial % len(classes)] for trial in range(n)])
    epochs = rng.normal(0, 5e-6, (n, 6, 64))
    for place, name in enumerate(classes):
        epochs[labels == name, place, 20:40] += 4e-6
    return epochs, labels


@pytest.mark.parametrize("classes", [("face", "house"), ("left", "right", "up")])
def test_labels_never_seen_with_their_epochs_are_told_apart(classes):
    epochs, labels = labelled(classes, 90)
    estimator = EmbeddingClassifier(CONFIG, tmin=0.0, sfreq=64.0)
    scores = cross_val_score(estimator, epochs, labels, cv=3, scoring="accuracy")
    assert scores.mean() > 1.5 / len(classes)
    shuffled = np.random.default_rng(1).permutation(labels)
    assert abs(cross_val_score(estimator, epochs, shuffled, cv=3).mean() - 1 / len(classes)) < 0.2


def test_two_labels_have_one_column_whose_sign_is_the_label():
    epochs, labels = labelled(("a", "b"), 60)
    fitted = EmbeddingClassifier(CONFIG, tmin=0.0, sfreq=64.0).fit(epochs, labels)
    evidence = fitted.decision_function(epochs)
    assert evidence.shape == (60,)
    np.testing.assert_array_equal(fitted.predict(epochs), np.where(evidence > 0, "b", "a"))


MOABB = """
import mne, numpy as np
from moabb.datasets.base import BaseDataset
from moabb.evaluations import WithinSessionEvaluation
from moabb.paradigms import LeftRightImagery
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from configs.schema import Config, FitSettings
from perceptogram.estimators import EmbeddingClassifier


class MadeUp(BaseDataset):
    def __init__(self):
        super().__init__([1], 1, {"left_hand": 1, "right_hand": 2}, "MadeUp", [0, 1], "imagery", doi="")

    def _get_single_subject_data(self, subject):
        rng = np.random.default_rng(0)
        volts = rng.normal(0, 5e-6, (4, 60 * 256))
        trigger = np.zeros(volts.shape[1])
        for trial in range(56):
            onset = 256 + trial * 260
            kind = 1 + trial % 2
            trigger[onset] = kind
            volts[kind, onset + 40 : onset + 200] += 6e-6 * np.sin(2 * np.pi * 12 * np.arange(160) / 256)
        info = mne.create_info(["C3", "Cz", "C4", "Pz", "stim"], 256.0, ["eeg"] * 4 + ["stim"])
        return {"0": {"0": mne.io.RawArray(np.vstack([volts, trigger]), info, verbose="error")}}

    def data_path(self, subject, **_):
        raise NotImplementedError


volts = FunctionTransformer(lambda epochs: 1e-6 * epochs)
config = Config(fit=FitSettings(windows=(), alphas=(1.0, 100.0, 10_000.0)))
ours = make_pipeline(volts, EmbeddingClassifier(config, tmin=0.0, sfreq=128.0))
evaluation = WithinSessionEvaluation(
    paradigm=LeftRightImagery(resample=128.0), datasets=[MadeUp()], overwrite=True, hdf5_path="."
)
print(float(evaluation.process({"perceptogram": ours})["score"].iloc[0]))
"""


@pytest.mark.processes
def test_it_is_a_pipeline_of_moabb(tmp_path):
    """MOABB keeps what it is told in the home folder, hence one of its own."""
    pytest.importorskip("moabb", reason="the data set is MOABB's kind")
    environment = os.environ | {"HOME": str(tmp_path), "MNE_DATA": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-W", "ignore", "-c", MOABB]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) > 0.9
