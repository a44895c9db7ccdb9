"""Made-up trials with a known answer, for the tests of this folder."""

import numpy as np

from calibration.data.targets import given_targets
from calibration.data.trials import Trials
from calibration.model.examples import Examples, Layout
from realtime.decoding.gallery import Gallery
from realtime.sources.base import StreamSpec
from realtime.spaces import EmbeddingSpace

RATE_HZ = 50.0
CHANNELS = ("O1", "Oz", "O2", "Pz")
DIMS = 12


def make_trials(n_pictures=60, repeats=3, signal=1.0, seed=0, n_recordings=2, start_s=-0.2, stop_s=0.4):
    """Trials in which each picture's embedding reaches the channels by a fixed map, in correlated noise."""
    rng = np.random.default_rng(seed)
    names = np.array([f"picture-{i:03d}" for i in range(n_pictures)])
    embeddings = (rng.standard_normal((n_pictures, DIMS)) * np.linspace(0.5, 2, DIMS) + 3).astype(np.float32)
    shown = rng.permutation(np.tile(np.arange(n_pictures), repeats))
    n_times = round((stop_s - start_s) * RATE_HZ)
    times_s = start_s + np.arange(n_times) / RATE_HZ
    pattern = rng.standard_normal((DIMS, n_times, len(CHANNELS))) * (times_s >= 0)[:, None]
    mixing = 10 * (np.eye(len(CHANNELS)) + 0.5)
    noise = rng.standard_normal((len(shown), n_times, len(CHANNELS))) @ mixing
    samples = noise + signal * np.einsum("nd,dtc->ntc", embeddings[shown] - 3, pattern) + 20
    trials = Trials(
        samples=samples.astype(np.float32),
        names=names[shown],
        onsets=np.arange(len(shown)) * 1.0,
        recordings=np.arange(len(shown)) * n_recordings // len(shown),
        times_s=times_s,
        rate_hz=RATE_HZ,
        spec=StreamSpec("made", "EEG", "made", RATE_HZ, CHANNELS),
        flags=((),) * len(shown),
    )
    labels = [f"concept-{i // 3}" for i in range(n_pictures)]
    return trials, given_targets(names.tolist(), labels, embeddings, EmbeddingSpace("made", "up", DIMS))


def as_examples(trials, targets, groups=None):
    groups = trials.names if groups is None else groups
    everything = np.ones(len(trials), dtype=bool)
    return Examples(trials.samples, targets.of(trials.names), groups, trials.names, everything)


def layout_of(trials, baseline_s=(-0.2, 0.0)):
    return Layout.of(trials.times_s, 0.0, baseline_s)


def make_gallery(n=30, dims=8, per_label=2, seed=0):
    embeddings = np.random.default_rng(seed).standard_normal((n, dims)).astype(np.float32)
    names = tuple(f"p{i}" for i in range(n))
    labels = tuple(f"l{i // per_label}" for i in range(n))
    return Gallery(names, labels, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0))
