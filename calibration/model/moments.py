"""What ridge regression needs to know of a set of trials: their number, means and scatter, and what follows from them.

One eigendecomposition of the scatter gives every ridge solution, and the solutions without some of the trials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from calibration.errors import RidgeError

Array = NDArray[np.float64]
Samples = NDArray[np.floating]

BLOCK = 4096
"""Rows that are brought to double precision at a time."""


@dataclass(frozen=True)
class Moments:
    """What ridge regression needs to know of a set of trials; sets add and subtract.

    Scatter is kept about the set's own mean, so that merging and removing lose no digits to a common offset.

    Attributes
    ----------
    n
        Number of trials.
    mean_x, mean_y
        float64 ``[features]`` and ``[targets]``.
    gram, cross, power
        Centred ``xᵀx [features, features]``, ``xᵀy [features, targets]`` and the sums of ``y²`` ``[targets]``.
    """

    n: int
    mean_x: Array
    mean_y: Array
    gram: Array
    cross: Array
    power: Array

    @classmethod
    def of(cls, x: Samples, y: Samples) -> Moments:
        """Return the moments of trials `x` ``[n, features]`` with targets `y` ``[n, targets]``."""
        mean_x, mean_y = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
        gram = np.zeros((x.shape[1], x.shape[1]))
        cross = np.zeros((x.shape[1], y.shape[1]))
        power = np.zeros(y.shape[1])
        for start in range(0, len(x), BLOCK):
            rows, wanted = x[start : start + BLOCK] - mean_x, y[start : start + BLOCK] - mean_y
            gram += rows.T @ rows
            cross += rows.T @ wanted
            power += np.einsum("nd,nd->d", wanted, wanted)
        return cls(len(x), mean_x, mean_y, gram, cross, power)

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        share = other.n / n
        mean_x = self.mean_x + share * (other.mean_x - self.mean_x)
        mean_y = self.mean_y + share * (other.mean_y - self.mean_y)
        return self._shifted(other, n, mean_x, mean_y, sign=1)

    def __sub__(self, other: Moments) -> Moments:
        n = self.n - other.n
        if n < 1:
            msg = f"cannot remove {other.n} of {self.n} trials: none is left to fit"
            raise RidgeError(msg)
        share = other.n / n
        mean_x = self.mean_x + share * (self.mean_x - other.mean_x)
        mean_y = self.mean_y + share * (self.mean_y - other.mean_y)
        return self._shifted(other, n, mean_x, mean_y, sign=-1)

    def _shifted(self, other: Moments, n: int, mean_x: Array, mean_y: Array, sign: int) -> Moments:
        """Merge (`sign` 1) or remove (−1) `other`; both means are known, one rank-one term joins the scatters."""
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        weight = self.n * other.n / n
        return Moments(
            n,
            mean_x,
            mean_y,
            self.gram + sign * (other.gram + weight * np.outer(dx, dx)),
            self.cross + sign * (other.cross + weight * np.outer(dx, dy)),
            self.power + sign * (other.power + weight * dy * dy),
        )


class AlphaPath:
    """Every ridge solution of one training set, from one eigendecomposition of its scatter.

    Parameters
    ----------
    train
        Moments of the training trials.
    """

    def __init__(self, train: Moments) -> None:
        self._mean_x, self._mean_y = train.mean_x, train.mean_y
        values, self._vectors = np.linalg.eigh(train.gram)
        self._values = np.maximum(values, 0.0)
        self._cross = self._vectors.T @ train.cross

    def solve(self, alpha: float) -> tuple[Array, Array]:
        """Return weights ``[features, targets]`` and intercept ``[targets]`` at `alpha`."""
        weights = self._vectors @ (self._cross / (self._values + alpha)[:, None])
        return weights, self._mean_y - self._mean_x @ weights

    @property
    def largest(self) -> float:
        """The largest eigenvalue of the scatter; far above it, the penalty only scales the map."""
        return float(self._values[-1])

    def rotated(self, x: Samples) -> Array:
        """Return trials ``[n, features]`` in the coordinates of the decomposition, for `predict`."""
        along: Array = (x - self._mean_x) @ self._vectors
        return along

    def predict(self, along: Array, alpha: float | Array) -> Array:
        """Return predictions ``[n, targets]`` of `rotated` trials, at one alpha or at one a target ``[targets]``."""
        predicted: Array = self.deviations(along, alpha) + self._mean_y
        return predicted

    def predictor(self, x: Samples) -> Callable[[float], Array]:
        """Return what predicts trials, ``[n, targets]`` at an alpha, and does not hold the decomposition."""
        along, values, cross, mean_y = self.rotated(x), self._values[:, None], self._cross, self._mean_y
        return lambda alpha: along @ (cross / (values + alpha)) + mean_y

    def deviations(self, along: Array, alpha: float | Array) -> Array:
        """Return what `predict` does, about the mean target of the training trials."""
        deviations: Array = along @ (self._cross / (self._values[:, None] + alpha))
        return deviations

    def deleted(
        self, along: Array, y: Samples, rows: Sequence[NDArray[np.int64]], alpha: float
    ) -> Iterator[tuple[NDArray[np.int64], Array]]:
        """Yield each fold's trials, and their residuals ``[fold, targets]`` without them.

        The map is fitted once: a fold's trials are taken out of it by the block of the hat matrix that is theirs.

        Parameters
        ----------
        along, y
            All training trials, `rotated`, and their targets ``[n, targets]``.
        rows
            The trials of each fold.
        alpha
            The penalty.
        """
        gain = 1.0 / (self._values + alpha)
        weights, root = self._cross * gain[:, None], np.sqrt(gain)
        for fold in rows:
            own = along[fold]
            residuals = y[fold] - self._mean_y - own @ weights
            own *= root
            yield fold, solved(without(own @ own.T, len(along)), residuals)

    def held_out(
        self, along: Array, y: Samples, folds: NDArray[np.int64], alpha: float
    ) -> Iterator[tuple[NDArray[np.int64], Array, Array]]:
        """Yield what `deleted` does, and with it the rotated weights of the map without those trials.

        Parameters
        ----------
        along, y, alpha
            As for `deleted`.
        folds
            ``[n]``: which are left out together.
        """
        gain = (1.0 / (self._values + alpha))[:, None]
        weights = self._cross * gain
        for rows, residuals in self.deleted(along, y, rows_of(folds), alpha):
            yield rows, residuals, weights - gain * (along[rows].T @ residuals)

    def errors(self, test: Moments, alphas: Array, scale: Array) -> Array:
        """Return for each alpha ``[alphas]`` the squared error on trials that the solutions never saw.

        With q = 1 / (values + alpha) the error is ``power − 2 lᵀq + qᵀ Q q``: once `l` and `Q` are known, an alpha
        costs no more than its quadratic form.

        Parameters
        ----------
        test, alphas, scale
            Moments of those trials; ``[alphas]``; ``[targets]``, by whose square each target's error is weighted.
        """
        dx, dy = test.mean_x - self._mean_x, test.mean_y - self._mean_y
        power = np.sum((test.power + test.n * dy * dy) * scale**2)
        cross = self._vectors.T @ ((test.cross + test.n * np.outer(dx, dy)) * scale)
        wanted = self._cross * scale
        linear = np.einsum("pd,pd->p", cross, wanted)
        quadratic = self._vectors.T @ (test.gram + test.n * np.outer(dx, dx)) @ self._vectors
        quadratic *= wanted @ wanted.T
        inverse = 1.0 / (self._values + alphas[:, None])
        result: Array = (
            power - 2 * inverse @ linear + np.einsum("ap,pq,aq->a", inverse, quadratic, inverse, optimize=True)
        )
        return result


def rows_of(folds: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the places of each fold's trials, fold by fold."""
    return [np.flatnonzero(folds == fold) for fold in np.unique(folds)]


def without(hat: Array, n: int) -> Array:
    """Return what the residuals of some of `n` trials are multiplied with when they are left out, inverted.

    Parameters
    ----------
    hat
        ``[some, some]``: their block of the hat matrix, but for the intercept; used up.
    n
        How many trials there are.
    """
    np.negative(hat, out=hat)
    hat -= 1.0 / n
    hat.flat[:: len(hat) + 1] += 1.0
    return hat


def solved(matrix: Array, wanted: Array) -> Array:
    """Return ``matrix⁻¹ wanted`` of a positive definite matrix; of many small ones, far quicker than `linalg.solve`."""
    _, found, failed = linalg.lapack.dposv(matrix, wanted)
    if failed:
        raise RidgeError("an alpha is too small for samples of this size: raise fit.alphas or scale the samples")
    return np.asarray(found)
