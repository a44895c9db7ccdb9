"""What ridge regression needs to know of a set of trials: their number, means and scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
