"""Slow changes of what the map says, such as a drying electrode makes, followed and taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_SHIFT = 1.0
"""How far the mean may be moved, in standard deviations of the gallery, in each dimension."""
MOST_SCALE = 2.0
"""By what factor the size may be changed at most, either way."""


class DriftCorrection:
    """Brings the mean and the size of single-trial embeddings back to what they were at calibration.

    Both are followed by exponential averages and corrected within bounds. It takes the pictures of a session to be
    varied: where one picture is shown over and over, the correction slowly removes what makes it that picture.

    Parameters
    ----------
    mean, std
        ``[dims]``: of the pictures that the map was calibrated on, which is also its predictions' mean.
    length
        Usual length of a standardised embedding at calibration; None to leave the size alone.
    trials
        Memory of the averages, in trials.
    """

    def __init__(
        self, mean: NDArray[np.floating[Any]], std: NDArray[np.floating[Any]], length: float | None, trials: float
    ) -> None:
        self._mean = np.asarray(mean, dtype=np.float64)
        self._std = np.asarray(std, dtype=np.float64)
        self._inverse = np.divide(1.0, self._std, out=np.zeros_like(self._std), where=self._std > 0)
        self._length = length
        self._rate = 1.0 / trials
        self._shift = np.zeros(len(self._mean))
        self._log_scale = 0.0

    @property
    def shift(self) -> float:
        """How far the mean is moved at present: root mean square over dimensions, in standard deviations."""
        return float(np.sqrt(np.mean(self._bounded_shift**2)))

    @property
    def scale(self) -> float:
        """By what factor the size is changed at present."""
        bound = np.log(MOST_SCALE)
        return float(np.exp(np.clip(-self._log_scale, -bound, bound)))

    @property
    def _bounded_shift(self) -> NDArray[np.float64]:
        return np.clip(self._shift, -MOST_SHIFT, MOST_SHIFT)

    def correct(self, embedding: NDArray[np.float32], learn: bool = True) -> NDArray[np.float32]:
        """Return the corrected embedding ``[dims]`` and learn from it, if so told; the first trials change little."""
        standardised = (embedding - self._mean) * self._inverse
        moved = standardised - self._bounded_shift
        corrected = self._mean + moved * self.scale * self._std
        if not learn:
            return corrected.astype(np.float32)
        self._shift += self._rate * (standardised - self._shift)
        length = float(np.linalg.norm(moved))
        if self._length is not None and length > 0:
            self._log_scale += self._rate * (np.log(length / self._length) - self._log_scale)
        return corrected.astype(np.float32)
