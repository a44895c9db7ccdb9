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

_DOUBT = 0.5
"""Standard errors by which a penalty's score lies below the best for its share in the map to fall to a third."""


def map_of_sources(
    earlier: Sequence[Earlier], layout: Layout, settings: FitSettings, windows: NDArray[np.float32] | None = None
) -> LinearMap:
    """Return the map that pools what sources remember, each about its own mean.

    Epochs become features as in the source with most trials. Of several sources, each is predicted by the others, and
    maps of all penalties are averaged: the less of one, the lower the correlation with the targets. A single source
    keeps its own penalty.

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
    alphas, shares, spread = _tried(scaling, features, level, counted, settings)
    ridge = PriorRidge(scaling, features, level[None], counted)
    weights = sum(ridge.weights(alpha) * share for alpha, share in zip(alphas, shares, strict=True))
    wanted = level, ridge.target_statistics()[1]
    return scaling.chain(weights, level, (level, spread), wanted).fold()


def _tried(
    scaling: Scaling, features: NDArray[np.float32], level: Array, counted: Sequence[Earlier], settings: FitSettings
) -> tuple[list[float], Array, Array]:
    """Return penalties, by what the weights of each are multiplied ``[alphas, dims]``, and the spread of predictions.

    The spread ``[dims]`` is the standard deviation that is expected of the average of the maps, each brought to
    predictions of spread 1.
    """
    alone = len(counted) == 1
    alphas = [counted[0].memory.alpha] if alone else sorted(settings.alphas)
    found, n = np.zeros(len(alphas)), sum(each.memory.n_trials for each in counted)
    products = np.zeros((len(alphas), len(alphas), len(level)))
    for place, each in enumerate(counted):
        others = counted if alone else (*counted[:place], *counted[place + 1 :])
        ridge = PriorRidge(scaling, features, level[None], others)
        rows, wanted = scaling.rows_of(each), each.memory.targets.astype(np.float64)
        inverse = 1.0 / np.sqrt(np.maximum(np.sum(wanted**2, axis=0), 1e-30))
        predicted = np.stack([rows @ ridge.weights(alpha) for alpha in alphas])
        products += np.einsum("ard,brd->abd", predicted, predicted)
        size = np.linalg.norm(predicted * inverse, axis=(1, 2)) * np.sqrt(len(level))
        found += np.einsum("ard,rd->a", predicted, wanted * inverse**2) / np.maximum(size, 1e-30) / len(counted)
    # A correlation over so many trials of nothing has a standard error of 1 / √n: less is left open, and averaged.
    shares = np.exp((found - found.max()) * np.sqrt(n) / _DOUBT)
    deviations = np.sqrt(np.einsum("aad->ad", products) / n)
    gains = np.divide(shares[:, None] / shares.sum(), deviations, out=np.zeros_like(deviations), where=deviations > 0)
    spread: Array = np.sqrt(np.einsum("ad,abd,bd->d", gains, products, gains) / n)
    return alphas, gains, spread
