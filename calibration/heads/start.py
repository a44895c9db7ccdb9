"""Where contrastive training begins: the ridge map, in the directions in which it is certain.

Were all Gaussian, ridge's prediction ``p`` of a target ``t`` would tell pictures apart best by ``p R⁻¹ t``, with ``R``
the covariance of what it misses. So both sides are turned by the root of ``R⁻¹``, and the directions kept that then
vary most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.heads.contrastive import FIRST_SCALE, Index, Problem, Samples, Solution
from calibration.model.moments import BLOCK
from calibration.model.ridge import solve_ridge, threads_for
from calibration.model.whitening import whitening_matrix

Array = NDArray[np.float64]

LARGE = 6000
"""Trials and features from which on the ridge map is approached step by step: its exact solution takes gigabytes."""
SHRINKAGE = 0.5
"""Share of white noise in the covariance of what ridge misses, which trials that it learned from show too small."""
_ENOUGH, _MOST_STEPS = 1e-3, 100
"""Relative residual at which the approach ends, and its most steps."""


def ridge_start(problem: Problem, rows: Index, alpha: float, dims: int) -> tuple[Solution, Samples]:
    """Return the start, whose output has root mean square 1, and the ridge map's weights ``[features, target dims]``.

    Parameters
    ----------
    problem
        Trials and targets; layers count alike.
    rows
        The trials that are learned from.
    alpha
        Penalty of the ridge map.
    dims
        Size of the output at most; fewer where the targets have fewer.
    """
    wanted = problem.targets.mean(axis=0)[problem.pictures[rows]]
    mean = _mean(problem.features, rows)
    if min(len(rows), problem.features.shape[1]) < LARGE:
        features = problem.features[rows]
        with threads_for(*features.shape):
            weights = solve_ridge(features, wanted, alpha)[0].astype(np.float32)
    else:
        weights = _approached(problem.features, rows, mean, wanted - wanted.mean(axis=0), alpha)
    predicted = _times(problem.features, rows, mean, weights)
    root = _certainty(wanted - wanted.mean(axis=0) - predicted)
    along = predicted.astype(np.float64) @ root
    _, vectors = np.linalg.eigh(along.T @ along)
    main = root @ vectors[:, ::-1][:, :dims]
    turned = weights @ main / max(float(np.sqrt(np.mean((predicted @ main) ** 2))), 1e-30)
    layers = len(problem.targets)
    start = Solution(
        mean.astype(np.float32),
        turned.astype(np.float32),
        main.astype(np.float32),
        np.full(layers, 1 / layers, dtype=np.float32),
        FIRST_SCALE,
    )
    return start, weights


def _certainty(missed: NDArray[np.floating]) -> Array:
    """Return the root ``[targets, targets]`` of the inverse covariance of what the map misses, shrunk."""
    covariance = missed.T.astype(np.float64) @ missed / len(missed)
    white = max(float(np.trace(covariance)) / len(covariance), 1e-30) * np.eye(len(covariance))
    return whitening_matrix((1 - SHRINKAGE) * covariance + SHRINKAGE * white)


def _approached(x: Samples, rows: Index, mean: Array, y: Samples, alpha: float) -> Samples:
    """Return the ridge weights ``[features, targets]`` by conjugate gradients (Hestenes and Stiefel, 1952).

    Parameters
    ----------
    x, rows, mean
        All features, which rows count, and their mean.
    y
        ``[rows, targets]`` about their mean.
    alpha
        Penalty.
    """

    def times_transposed(right: Samples) -> Samples:
        total = -np.outer(mean, right.sum(axis=0)).astype(np.float32)
        for start in range(0, len(rows), BLOCK):
            total += x[rows[start : start + BLOCK]].T @ right[start : start + BLOCK]
        return total

    residual = times_transposed(y)
    weights, direction = np.zeros_like(residual), residual.copy()
    power = first = np.maximum(np.sum(residual**2, axis=0), 1e-30)
    for _ in range(_MOST_STEPS):
        ahead = times_transposed(_times(x, rows, mean, direction)) + np.float32(alpha) * direction
        step = power / np.maximum(np.sum(direction * ahead, axis=0), 1e-30)
        weights += step * direction
        residual -= step * ahead
        left = np.sum(residual**2, axis=0)
        if np.all(left < _ENOUGH**2 * first):
            break
        direction = residual + left / power * direction
        power = np.maximum(left, 1e-30)
    return weights


def _times(x: Samples, rows: Index, mean: Array, weights: Samples) -> Samples:
    """Return rows about their mean times weights, ``[rows, targets]``, a block at a time."""
    level = mean.astype(np.float32) @ weights
    blocks = [x[rows[start : start + BLOCK]] @ weights - level for start in range(0, len(rows), BLOCK)]
    return np.concatenate(blocks)


def _mean(x: Samples, rows: Index) -> Array:
    total = np.zeros(x.shape[1])
    for start in range(0, len(rows), BLOCK):
        total += x[rows[start : start + BLOCK]].sum(axis=0, dtype=np.float64)
    mean: Array = total / len(rows)
    return mean
