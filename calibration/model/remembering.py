"""What is kept of the trials of a fit for later ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.model.examples import Examples, Layout
from calibration.model.folding import subtract_baseline
from calibration.model.linear_model import Mapping
from calibration.model.moments import BLOCK
from calibration.model.scaling import AS_THEY_ARE
from configs.schema import Config
from realtime.decoding.memory import Memory

Array = NDArray[np.float64]

LARGE = 6000
"""Trials from which on, unless they are many times as many as features, they are turned some thousand at a time."""
_TOGETHER = 1024
"""Trials that are turned together there."""


def turned(
    x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Return `x` ``[rows, features]`` and `y` ``[rows, dims]`` about their means, in as few rows as say the same.

    ``xᵀx`` and ``xᵀy`` stay what they are; no row is a trial, unless there is but one. Where that would save less than
    half of very many rows, as many are returned, each a mixture of some thousand trials.
    """
    level, wanted = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
    if LARGE < len(x) < 2 * x.shape[1]:
        return _mixed(x, y, level, wanted)
    found = np.zeros((0, x.shape[1] + y.shape[1]))
    for start in range(0, len(x), BLOCK):
        block = np.hstack([x[start : start + BLOCK] - level, y[start : start + BLOCK] - wanted])
        found = np.asarray(np.linalg.qr(np.vstack([found, block]), mode="r"))
    rows = found[: x.shape[1]]
    return rows[:, : x.shape[1]], rows[:, x.shape[1] :]


def _mixed(
    x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]], level: Array, wanted: Array
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return trials about `level` and `wanted`, each block of them turned by a random orthogonal matrix."""
    rng, matrix = np.random.default_rng(0), np.zeros((0, 0))
    rows, targets = np.empty(x.shape, np.float32), np.empty(y.shape, np.float32)
    for block in np.array_split(rng.permutation(len(x)), -(-len(x) // _TOGETHER)):
        if len(matrix) != len(block):
            matrix = np.linalg.qr(rng.standard_normal((len(block), len(block))))[0]
        rows[block] = matrix @ (x[block] - level)
        targets[block] = matrix @ (y[block] - wanted)
    return rows, targets


def remember(
    examples: Examples, recordings: NDArray[np.int64], layout: Layout, mapping: Mapping, config: Config
) -> Memory:
    """Return what a later fit needs of the trials behind a map.

    Parameters
    ----------
    examples
        What the map was fitted on; trials that do not teach are left out.
    recordings
        ``[trials]``: the recording of each.
    layout
        Where window and baseline lie.
    mapping
        What was chosen for it.
    config
        Settings of the fit, and the baseline.
    """
    by_recording = np.bincount(recordings[examples.teaches], minlength=int(recordings.max()) + 1)
    taught = examples.taught()
    n_trials = len(taught)
    if config.fit.average_repeats:
        taught = taught.averaged()
    window = subtract_baseline(taught.samples, layout.baseline, layout.start)
    rows, targets = turned(window.reshape(len(window), -1), taught.targets)
    candidate = AS_THEY_ARE if mapping.choice is None else mapping.choice.candidate
    return Memory(
        window=rows.reshape(-1, *window.shape[1:]).astype(np.float32, copy=False),
        targets=targets.astype(np.float32, copy=False),
        mean_window=window.mean(axis=0, dtype=np.float64).astype(np.float32),
        mean_target=taught.targets.mean(axis=0, dtype=np.float64).astype(np.float32),
        n_trials=n_trials if not config.fit.average_repeats else len(taught),
        by_recording=tuple(by_recording.tolist()),
        alpha=mapping.alpha,
        step_s=candidate.step_s,
        smooth_s=candidate.smooth_s,
        windows=candidate.windows,
        baseline_s=config.window.baseline_s,
    )
