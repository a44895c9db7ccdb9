"""A world in which the best decoder is known: pictures are Gaussian vectors, EEG a linear answer in Gaussian noise."""

from dataclasses import dataclass

import numpy as np


@dataclass
class LinearWorld:
    """Trials to learn from and to test on, whitened, and the share of test trials that the best decoder gets right."""

    features: np.ndarray
    pictures: np.ndarray
    targets: np.ndarray
    test_features: np.ndarray
    test_pictures: np.ndarray
    oracle_top1: float


def make_linear_world(seed, n_pictures=1500, repeats=3, n_test=200, answers=20, dims=64, features=96, signal=0.62):
    """A picture's answer has `answers` dimensions, of which the embedding tells some noisily and mixes in others.

    The oracle knows the map, the noise and how the embedding comes about: it takes the candidate whose embedding makes
    the trial most likely.
    """
    rng = np.random.default_rng(seed)
    seen = rng.standard_normal((answers, dims)) / np.sqrt(answers)
    answer = rng.standard_normal((answers, features)) / np.sqrt(answers) * np.linspace(1.3, 0.7, answers)[:, None]
    inner = rng.standard_normal((n_pictures + n_test, answers))
    blur = 0.3
    targets = inner @ seen + blur * rng.standard_normal((len(inner), dims))
    shown = np.concatenate([np.repeat(np.arange(n_pictures), repeats), np.arange(n_pictures, len(inner))])
    trials = signal * inner[shown] @ answer + rng.standard_normal((len(shown), features))

    precision = np.eye(answers) + seen @ seen.T / blur**2
    expected = signal * (targets @ seen.T / blur**2) @ np.linalg.inv(precision) @ answer
    covariance = np.eye(features) + signal**2 * answer.T @ np.linalg.inv(precision) @ answer
    test = shown >= n_pictures
    candidates = expected[n_pictures:]
    weighted = np.linalg.solve(covariance, candidates.T)
    likelihood = trials[test] @ weighted - 0.5 * np.einsum("cf,fc->c", candidates, weighted)
    oracle = float(np.mean(likelihood.argmax(axis=1) == np.arange(n_test)))
    return LinearWorld(
        trials[~test].astype(np.float32),
        shown[~test],
        targets.astype(np.float32),
        trials[test].astype(np.float32),
        shown[test],
        oracle,
    )
