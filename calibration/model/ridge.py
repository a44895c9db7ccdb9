"""Ridge regression for many targets, with alpha chosen by grouped cross-validation.

Minimises ``‖y − x w − b‖² + alpha ‖w‖²`` with the intercept `b` unpenalised, as scikit-learn's ``Ridge`` does.
Everything is computed in double precision, in the cheaper of two exact forms:

primal (trials ≥ features)
    The scatter of each fold is taken once; a training set is the total minus its fold, one eigendecomposition
    gives its whole alpha path, and the held-out error follows from the fold's own scatter without predicting.
    Where a fold has fewer trials than there are features, all folds share one decomposition, and each is taken out
    of its map by its block of the hat matrix.
dual (trials < features)
    One inverse an alpha gives the held-out residuals of every fold at once, ``e = P[f, f]⁻¹ (P y)[f]``
    (block deletion; Dubrule 1983, "Cross validation of kriging in a unique neighborhood").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from calibration.errors import RidgeError
from calibration.model.moments import BLOCK, AlphaPath, Moments, rows_of, solved, without
from realtime.processes.blas_threads import one_thread

Array = NDArray[np.float64]
Samples = NDArray[np.floating]

LARGE_DUAL, LARGE_PRIMAL = 1500, 512
"""Trials (where features are more) and features (where they are fewer) from which on all cores are the faster."""


@dataclass(frozen=True)
class RidgeFit:
    """A fitted map and how it was chosen.

    Attributes
    ----------
    weights, intercept
        float64 ``[features, targets]`` and ``[targets]``, fitted on all trials with `alpha`.
    alpha
        The alpha with the smallest held-out error.
    alphas, errors
        The alphas tried, and for each the held-out squared error as a fraction of the targets' variance
        (1 is no better than the mean), averaged over targets.
    held_out
        float64 ``[trials, targets]``: each trial predicted at `alpha` by a map that never saw its fold.
    """

    weights: Array
    intercept: Array
    alpha: float
    alphas: Array
    errors: Array
    held_out: Array


def fit_ridge(x: Samples, y: Samples, folds: NDArray[np.int64], alphas: Sequence[float] | Array) -> RidgeFit:
    """Return the ridge map from `x` to `y` whose alpha predicts held-out folds best.

    Parameters
    ----------
    x
        ``[trials, features]``, float32 or float64.
    y
        ``[trials, targets]``.
    folds
        ``[trials]``: each trial's fold, as `grouped_folds` deals them.
    alphas
        Penalties to try, all above zero.

    Raises
    ------
    RidgeError
        If shapes disagree, values are not finite, an alpha is not positive, or there are fewer than two folds.

    Examples
    --------
    >>> from calibration.model.folds import grouped_folds
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((200, 5))
    >>> y = x @ rng.standard_normal((5, 2)) + 0.1 * rng.standard_normal((200, 2))
    >>> found = fit_ridge(x, y, grouped_folds(np.arange(200), 5, seed=0), alphas=[0.1, 1e3, 1e5])
    >>> float(found.alpha), found.weights.shape
    (0.1, (5, 2))
    """
    path = np.asarray(alphas, dtype=np.float64)
    _check(x, y, folds, path)
    scale = inverse_deviation(y)
    solver = _fit_primal if len(x) >= x.shape[1] else _fit_dual
    with threads_for(*x.shape):
        weights, intercept, alpha, errors, held_out = solver(x, y, folds, path, scale)
    return RidgeFit(weights, intercept, alpha, path, errors / max(len(y) * int(np.count_nonzero(scale)), 1), held_out)


def held_out_path(
    x: Samples, y: Samples, folds: NDArray[np.int64], alphas: Sequence[float] | Array, rows: NDArray[np.int64]
) -> Iterator[tuple[float, Array]]:
    """Yield for each alpha the held-out error, as in `RidgeFit`, and the held-out predictions ``[rows, targets]``.

    Parameters
    ----------
    x, y, folds, alphas
        As for `fit_ridge`.
    rows
        The trials whose predictions are wanted.
    """
    path = np.asarray(alphas, dtype=np.float64)
    _check(x, y, folds, path)
    scale = inverse_deviation(y)
    size = max(len(y) * int(np.count_nonzero(scale)), 1)
    if len(x) < x.shape[1]:
        for _, residuals in _dual_path(x, y, folds, path):
            yield float(np.sum((residuals * scale) ** 2)) / size, y[rows] - residuals[rows]
        return
    by_fold = rows_of(folds)
    if max(map(len, by_fold)) < x.shape[1]:
        place = np.full(len(x), -1)
        place[rows] = np.arange(len(rows))
        whole = AlphaPath(Moments.of(x, y))
        along = whole.rotated(x)
        for alpha in path:
            error, predicted = 0.0, np.empty((len(rows), y.shape[1]))
            for fold, residuals in whole.deleted(along, y, by_fold, float(alpha)):
                error += float(np.sum((residuals * scale) ** 2))
                wanted = place[fold] >= 0
                predicted[place[fold][wanted]] = y[fold][wanted] - residuals[wanted]
            yield error / size, predicted
        return
    parts = [Moments.of(x[fold], y[fold]) for fold in by_fold]
    places = [np.flatnonzero(np.isin(rows, fold)) for fold in by_fold]
    total, errors, predictors = sum(parts[1:], parts[0]), np.zeros(len(path)), []
    for part, asked in zip(parts, places, strict=True):
        one = AlphaPath(total - part)
        errors += one.errors(part, path, scale)
        predictors.append(one.predictor(x[rows[asked]]))
        del one  # as large as the scatter itself: never two at a time
    for alpha, error in zip(path, errors / size, strict=True):
        predicted = np.empty((len(rows), y.shape[1]))
        for predict, asked in zip(predictors, places, strict=True):
            predicted[asked] = predict(float(alpha))
        yield float(error), predicted


def solve_ridge(x: Samples, y: Samples, alpha: float) -> tuple[Array, Array]:
    """Return weights ``[features, targets]`` and intercept ``[targets]`` of the ridge map at one alpha.

    Parameters
    ----------
    x, y, alpha
        ``[trials, features]``, ``[trials, targets]``, and the penalty; larger shrinks the weights further.
    """
    if len(x) >= x.shape[1]:
        return _solve(Moments.of(x, y), alpha)
    dual, _ = next(_dual_path(x, y, None, np.array([alpha])))
    return _primal_of(x, y, dual)


def influence(x: Samples, unseen: Samples, alpha: float) -> Array:
    """Return how much of each trial's targets a prediction by `solve_ridge` holds, ``[unseen, trials]``.

    Times targets ``[trials, targets]`` these are the predictions, up to one offset for all; of many targets they cost
    less than the map.

    Parameters
    ----------
    x, unseen, alpha
        ``[trials, features]``, ``[unseen, features]``, and the penalty.
    """
    if len(x) < x.shape[1]:
        found: Array = unseen @ x.T.astype(np.float64) @ _precision(*_kernel(x), alpha)
        return found
    moments = Moments.of(x, np.empty((len(x), 0)))
    along = linalg.cho_solve((_factor(moments.gram, alpha), True), unseen.T.astype(np.float64), check_finite=False)
    return np.concatenate([(x[at : at + BLOCK] - moments.mean_x) @ along for at in range(0, len(x), BLOCK)]).T


def held_out_along(
    x: Samples, y: Samples, folds: NDArray[np.int64], alpha: float, unseen: Samples, of_fold: NDArray[np.int64]
) -> Array:
    """Return predictions ``[unseen, targets]``, without the intercept, by the maps fitted on all folds but one.

    Parameters
    ----------
    x, y, folds, alpha
        ``[trials, features]``, ``[trials, targets]``, ``[trials]``, and the penalty; larger shrinks weights further.
    unseen, of_fold
        ``[unseen, features]``, and for each ``[unseen]`` the fold that its map never saw.
    """
    along = np.empty((len(unseen), y.shape[1]))
    if len(x) >= x.shape[1]:
        total, largest = Moments.of(x, y), int(np.unique(folds, return_counts=True)[1].max())
        if largest < x.shape[1]:
            return _along_deleted(total, x, y, folds, alpha, unseen, of_fold)
        for fold in np.unique(folds):
            weights, _ = _solve(total - Moments.of(x[folds == fold], y[folds == fold]), alpha)
            along[of_fold == fold] = unseen[of_fold == fold].astype(np.float64) @ weights
        return along
    # The weights themselves, many times larger than all else, are never made; a fold is taken out of one map.
    precision = _precision(*_kernel(x), alpha)
    dual = precision @ (y - y.mean(axis=0, dtype=np.float64))
    likeness = unseen @ x.T.astype(np.float64)
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        own = solved(precision[rows[:, None], rows], dual[rows])
        # The dual of centred targets sums to zero, so samples need not be centred here.
        along[of_fold == fold] = likeness[of_fold == fold] @ (dual - precision[:, rows] @ own)
    return along


def _along_deleted(
    total: Moments,
    x: Samples,
    y: Samples,
    folds: NDArray[np.int64],
    alpha: float,
    unseen: Samples,
    of_fold: NDArray[np.int64],
) -> Array:
    """Return what `held_out_along` does, each fold taken out of one map by its block of the hat matrix."""
    factor = _factor(total.gram, alpha)
    weights = linalg.cho_solve((factor, True), total.cross, check_finite=False)

    def halved(rows: Array) -> Array:
        """Return rows times the inverse of the root, ``[features, rows]``."""
        return np.asarray(linalg.solve_triangular(factor, rows.T, lower=True, check_finite=False))

    along = np.empty((len(unseen), y.shape[1]))
    for fold in np.unique(folds):
        own, test = x[folds == fold] - total.mean_x, unseen[of_fold == fold].astype(np.float64)
        half = halved(own)
        missed = y[folds == fold] - total.mean_y - own @ weights
        residuals = solved(without(half.T @ half, len(x)), missed)
        along[of_fold == fold] = test @ weights - halved(test).T @ (half @ residuals)
    return along


def inverse_deviation(y: Samples) -> Array:
    """Return one over the targets' standard deviations, 0 for a target that does not vary."""
    deviation = y.std(axis=0, dtype=np.float64)
    scale: Array = np.divide(1.0, deviation, out=np.zeros(y.shape[1]), where=deviation > 1e-12)
    return scale


def threads_for(trials: int, features: int) -> AbstractContextManager[object]:
    """Hold the linear algebra of a map to one thread, unless it is large."""
    large = trials >= LARGE_DUAL if features > trials else features >= LARGE_PRIMAL
    return nullcontext() if large else one_thread()


def _check(x: Samples, y: Samples, folds: NDArray[np.int64], alphas: Array) -> None:
    if x.ndim != 2 or y.ndim != 2 or not len(x) == len(y) == len(folds):
        msg = f"x {x.shape}, y {y.shape} and folds {folds.shape} must be [n, features], [n, targets] and [n]"
        raise RidgeError(msg)
    if len(np.unique(folds)) < 2:
        msg = "cross-validation needs at least two folds"
        raise RidgeError(msg)
    if not len(alphas) or not np.all(np.isfinite(alphas) & (alphas > 0)):
        msg = f"alphas must be positive numbers, found {alphas.tolist()}"
        raise RidgeError(msg)
    for name, values in (("samples", x), ("targets", y)):
        if not np.isfinite(values.sum(dtype=np.float64)):
            msg = f"{name} must be finite; drop the trials that hold NaN or infinity"
            raise RidgeError(msg)


Solution = tuple[Array, Array, float, Array, Array]


def _fit_primal(x: Samples, y: Samples, folds: NDArray[np.int64], alphas: Array, scale: Array) -> Solution:
    rows = rows_of(folds)
    parts = [Moments.of(x[index], y[index]) for index in rows]
    total = sum(parts[1:], parts[0])
    paths = [AlphaPath(total - part) for part in parts]
    errors = np.sum([path.errors(part, alphas, scale) for path, part in zip(paths, parts, strict=True)], axis=0)
    alpha, held_out = float(alphas[np.argmin(errors)]), np.empty((len(x), y.shape[1]))
    for path, index in zip(paths, rows, strict=True):
        weights, intercept = path.solve(alpha)
        held_out[index] = x[index].astype(np.float64) @ weights + intercept
    weights, intercept = _solve(total, alpha)
    return weights, intercept, alpha, errors, held_out


def _solve(moments: Moments, alpha: float) -> tuple[Array, Array]:
    """Return weights and intercept at one alpha: a Cholesky solve, cheaper than a whole path."""
    factor = _factor(moments.gram, alpha)
    weights: Array = linalg.cho_solve((factor, True), moments.cross, check_finite=False)
    return weights, moments.mean_y - moments.mean_x @ weights


def _factor(gram: Array, alpha: float) -> Array:
    """Return the lower Cholesky factor of ``gram + alpha``."""
    matrix = gram.copy()
    matrix.flat[:: len(matrix) + 1] += alpha
    return np.asarray(linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False))


def _fit_dual(x: Samples, y: Samples, folds: NDArray[np.int64], alphas: Array, scale: Array) -> Solution:
    errors = np.empty(len(alphas))
    for number, (dual, residuals) in enumerate(_dual_path(x, y, folds, alphas)):
        errors[number] = np.sum((residuals * scale) ** 2)
        if number == np.argmin(errors[: number + 1]):
            alpha_best, dual_best, residuals_best = float(alphas[number]), dual, residuals
    weights, intercept = _primal_of(x, y, dual_best)
    return weights, intercept, alpha_best, errors, y - residuals_best


def _dual_path(x: Samples, y: Samples, folds: NDArray[np.int64] | None, alphas: Array) -> Iterator[tuple[Array, Array]]:
    """Yield for each alpha the dual ``[trials, targets]`` and the held-out residuals; no residuals without folds."""
    wanted = y - y.mean(axis=0, dtype=np.float64)
    kernel, constant = _kernel(x)
    rows = [] if folds is None else rows_of(folds)
    for alpha in alphas:
        precision = _precision(kernel, constant, float(alpha))
        dual = precision @ wanted
        residuals = np.empty_like(wanted)
        for index in rows:
            residuals[index] = solved(precision[index[:, None], index], dual[index])
        yield dual, residuals


def _kernel(x: Samples) -> tuple[Array, float]:
    """Return the products ``[trials, trials]`` of centred trials, with weight given to the constant, and that weight.

    The intercept takes the constant direction out of the inverse, where it would otherwise drown the others' digits.
    """
    mean_x, kernel = x.mean(axis=0, dtype=np.float64), np.zeros((len(x), len(x)))
    for start in range(0, x.shape[1], BLOCK):
        columns = x[:, start : start + BLOCK] - mean_x[start : start + BLOCK]
        kernel += columns @ columns.T
    constant = max(float(np.trace(kernel)) / len(x), 1e-300)
    return kernel + constant / len(x), constant


def _precision(kernel: Array, constant: float, alpha: float) -> Array:
    """Return what makes the dual of targets about their mean, ``[trials, trials]``."""
    return _inverse(kernel, alpha) - 1.0 / (len(kernel) * (alpha + constant))


def _primal_of(x: Samples, y: Samples, dual: Array) -> tuple[Array, Array]:
    """Return weights and intercept of a dual solution."""
    mean_x, mean_y = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
    weights = np.empty((x.shape[1], y.shape[1]))
    for start in range(0, x.shape[1], BLOCK):
        columns = x[:, start : start + BLOCK] - mean_x[start : start + BLOCK]
        weights[start : start + BLOCK] = columns.T @ dual
    return weights, mean_y - mean_x @ weights


def _inverse(kernel: Array, alpha: float) -> Array:
    """Return ``(kernel + alpha)⁻¹`` of a positive semi-definite kernel, both triangles filled."""
    matrix = kernel.copy()
    matrix.flat[:: len(matrix) + 1] += alpha
    factor, failed = linalg.lapack.dpotrf(matrix, lower=0, clean=1, overwrite_a=0)
    inverse, failed_too = linalg.lapack.dpotri(factor, lower=0) if not failed else (factor, failed)
    if failed or failed_too:
        msg = f"alpha {alpha:g} is too small for samples of this size: raise fit.alphas or scale the samples"
        raise RidgeError(msg)
    upper = np.triu(inverse)
    result: Array = upper + np.triu(inverse, 1).T
    return result
