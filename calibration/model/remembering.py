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


def turned(x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]) -> tuple[Array, Array]:
    """Return `x` ``[rows, features]`` and `y` ``[rows, dims]`` about their means, in as few rows as say the same.

    ``xᵀx`` and ``xᵀy`` stay what they are; no row is a trial, unless there is but one.
    """
    level, wanted = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
    found = np.zeros((0, x.shape[1] + y.shape[1]))
    for start in range(0, len(x), BLOCK):
        block = np.hstack([x[start : start + BLOCK] - level, y[start : start + BLOCK] - wanted])
        found = np.asarray(np.linalg.qr(np.vstack([found, block]), mode="r"))
    rows = found[: x.shape[1]]
    return rows[:, : x.shape[1]], rows[:, x.shape[1] :]


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
        window=rows.reshape(-1, *window.shape[1:]).astype(np.float32),
        targets=targets.astype(np.float32),
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
