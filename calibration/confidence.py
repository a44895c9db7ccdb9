"""How a margin becomes the probability that the nearest picture is the right one (Platt 1999)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.scores import averaged, retrieve
from realtime.evidence import ConfidenceModel
from realtime.gallery import Gallery

Array = NDArray[np.float64]
Index = NDArray[np.int64]

REPEATS = (1, 2, 4, 8)
_FEWEST = 20


def fit_confidence(
    predicted: NDArray[np.floating[Any]], own: Index, folds: Index, gallery: Gallery, seed: int
) -> ConfidenceModel | None:
    """Return the model fitted on held-out predictions, single and averaged over repeats of the same picture.

    Pictures shown once teach nothing about repeats: their weight is then 0, and averaging counts by the larger margin
    alone. The probability refers to as many pictures as a fold held.

    Returns
    -------
    None where fewer than twenty predictions stand behind it, or all are right or all wrong.
    """
    margins, right, repeats = [], [], []
    for count in REPEATS:
        mean, shown, fold = averaged(predicted, own, folds, count, seed)
        if len(mean) < _FEWEST:
            break
        found = retrieve(mean, shown, fold, gallery)
        margins.append(found.margin)
        right.append(found.rank == 0)
        repeats.append(np.full(len(mean), float(count)))
    if not margins:
        return None
    hit = np.concatenate(right)
    if hit.all() or not hit.any():
        return None
    logs = np.log(np.concatenate(repeats))
    ones, margin = np.ones(len(hit)), np.concatenate(margins)
    fit = fit_logistic(np.stack([ones, margin, logs], axis=1), hit)
    if fit[1] < 0:
        # A larger margin is never a reason to believe less: what the data say here is noise.
        fit = fit_logistic(np.stack([ones, np.zeros(len(hit)), logs], axis=1), hit)
    return ConfidenceModel(intercept=float(fit[0]), margin=float(fit[1]), log_repeats=float(fit[2]))


def fit_logistic(inputs: Array, hit: NDArray[np.bool_], penalty: float = 1e-3, steps: int = 50) -> Array:
    """Return the weights ``[inputs]`` of a logistic regression, by Newton's method.

    The targets are drawn in from 0 and 1 as Platt does, so that separable data keep finite weights.
    """
    n_right, n_wrong = int(hit.sum()), int((~hit).sum())
    wanted = np.where(hit, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))
    scale = np.maximum(np.abs(inputs).max(axis=0), 1e-12)
    scaled = inputs / scale
    weights = np.zeros(inputs.shape[1])
    for _ in range(steps):
        probability = 1 / (1 + np.exp(-np.clip(scaled @ weights, -60, 60)))
        slope = scaled.T @ (wanted - probability) - penalty * weights
        curve = (scaled * (probability * (1 - probability))[:, None]).T @ scaled + penalty * np.eye(len(weights))
        step = np.linalg.solve(curve, slope)
        # A full step may overshoot where the curve is flat.
        weights += step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    result: Array = weights / scale
    return result
