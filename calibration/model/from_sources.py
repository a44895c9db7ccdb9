"""A map before the first new trial: that of all sources together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.model.earlier import Earlier, aligned, pooled
from calibration.model.examples import Layout
from calibration.model.folding import LinearMap
from calibration.model.prior import PriorRidge, candidate_of
from calibration.model.scaling import Scaling, scale
from configs.schema import FitSettings

Array = NDArray[np.float64]


def map_of_sources(
    earlier: Sequence[Earlier], layout: Layout, settings: FitSettings, windows: NDArray[np.float32] | None = None
) -> LinearMap:
    """Return the map that pools what sources remember, each about its own mean.

    Epochs become features as in the source with most trials. Of several sources, the penalty is the one with which the
    others predict each best, by the correlation with its targets; a single source keeps its own.

    Parameters
    ----------
    earlier
        At least one.
    layout
        Where window and baseline lie.
    settings
        The penalties to choose from, and whether channels are whitened where samples are used as they are.
    windows
        ``[n, times, channels]`` of whom the map is for, as the sources remember theirs, whatever was shown: sources are
        aligned to them (`calibration.model.earlier.aligned`).
    """
    counted = tuple(each.worth_of(np.inf) for each in earlier)
    counted = counted if windows is None else aligned(counted, windows)
    largest = max(counted, key=lambda each: each.worth)
    # One trial at the level of the features, where nothing varies: it tells nothing, and counts as one of thousands.
    flat = np.zeros((1, len(layout.baseline), largest.memory.window.shape[2]), dtype=np.float32)
    scaling, features = scale(flat, layout, settings.whiten, candidate_of(largest), counted)
    level = pooled(
        np.zeros(counted[0].memory.targets.shape[1]),
        0,
        [(each, each.memory.mean_target.astype(np.float64)) for each in counted],
    )
    alpha, spread = _tried(scaling, features, level, counted, settings)
    ridge = PriorRidge(scaling, features, level[None], counted)
    wanted = level, ridge.target_statistics()[1]
    return scaling.chain(ridge.weights(alpha), level, (level, spread), wanted).fold()


def _tried(
    scaling: Scaling, features: NDArray[np.float32], level: Array, counted: Sequence[Earlier], settings: FitSettings
) -> tuple[float, Array]:
    """Return the penalty, and the standard deviation ``[dims]`` of predictions with it."""
    alone = len(counted) == 1
    alphas = [counted[0].memory.alpha] if alone else sorted(settings.alphas, reverse=True)
    found = np.zeros(len(alphas))
    squares = np.zeros((len(alphas), len(level)))
    for place, each in enumerate(counted):
        others = counted if alone else (*counted[:place], *counted[place + 1 :])
        ridge = PriorRidge(scaling, features, level[None], others)
        rows, wanted = scaling.rows_of(each), each.memory.targets.astype(np.float64)
        scale_of = np.sqrt(np.maximum(np.sum(wanted**2, axis=0), 1e-30))
        for number, alpha in enumerate(alphas):
            predicted = rows @ ridge.weights(alpha)
            squares[number] += np.sum(predicted**2, axis=0)
            size = np.linalg.norm(predicted / scale_of)
            found[number] += np.sum(predicted * wanted / scale_of**2) / max(size * np.sqrt(len(level)), 1e-30)
    best = int(np.argmax(found))
    spread: Array = np.sqrt(squares[best] / sum(each.memory.n_trials for each in counted))
    return float(alphas[best]), spread
