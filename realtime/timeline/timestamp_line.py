"""The line of an even sample grid through timestamps that are jittered: quantile regression over the last seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAU = 0.25
"""Share of the timestamps before the line: timestamps are late rather than early, and a quantile wanders less than a
mode."""
STEPS = 6
"""Reweightings a fit."""
MOST = 512
"""Timestamps that a fit takes, evenly chosen."""


class TimestampRing:
    """Timestamps that are evidence, with their grid positions: the last of them.

    Parameters
    ----------
    most
        How many are kept at least.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._index = np.empty(2 * most, np.int64)
        self._timestamps = np.empty(2 * most)
        self._start = self._stop = 0

    def __len__(self) -> int:
        return self._stop - self._start

    def clear(self) -> None:
        """Forget all."""
        self._start = self._stop = 0

    def extend(self, index: NDArray[np.int64], timestamps: NDArray[np.float64]) -> None:
        """Take in timestamps, not more than are kept."""
        if self._stop + len(index) > 2 * self._most:
            keep = slice(max(self._start, self._stop - self._most), self._stop)
            length = keep.stop - keep.start
            self._index[:length], self._timestamps[:length] = self._index[keep].copy(), self._timestamps[keep].copy()
            self._start, self._stop = 0, length
        rows = slice(self._stop, self._stop + len(index))
        self._index[rows], self._timestamps[rows] = index, timestamps
        self._stop = rows.stop

    def since(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return positions and timestamps from grid position `index` on."""
        places = self._index[self._start : self._stop]
        row = int(np.searchsorted(places, index))
        return places[row:], self._timestamps[self._start + row : self._stop]

    def move(self, index: int, places: int) -> None:
        """Renumber those from grid position `index` on."""
        row = self._start + int(np.searchsorted(self._index[self._start : self._stop], index))
        self._index[row : self._stop] += places

    def shift(self, first: int, stop: int, seconds: float) -> None:
        """Add `seconds` to the timestamps of grid positions ``[first, stop)``.

        Parameters
        ----------
        first, stop
            Grid positions: from and to.
        seconds
            What is added.
        """
        places = self._index[self._start : self._stop]
        rows = self._start + np.searchsorted(places, [first, stop])
        self._timestamps[rows[0] : rows[1]] += seconds


def pinball(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the loss of a quantile for each of `residuals`, in seconds."""
    return np.maximum(TAU * residuals, (TAU - 1) * residuals)


def location(residuals: NDArray[np.float64]) -> float:
    """Return the quantile that the line goes through."""
    place = int(TAU * len(residuals))
    return float(np.partition(residuals, place)[place])


def fit(
    index: NDArray[np.int64], residuals: NDArray[np.float64], scale: float, off: float, spread: float
) -> tuple[float, float]:
    """Return level at the last position and slope a sample of the line through `residuals`.

    Parameters
    ----------
    index, residuals
        Grid positions of timestamps, and their distances in seconds from the line known so far.
    scale
        Mean pinball loss of one in seconds, times how many err alike.
    off
        Seconds a sample by which the line known so far is steeper than is likely beforehand.
    spread
        Standard deviation of slopes beforehand, in seconds a sample.
    """
    stride = -(-len(index) // MOST)
    x = (index[::-1][::stride] - index[-1]).astype(np.float64)
    y = residuals[::-1][::stride]
    scale = scale / stride
    nearest = 0.05 * scale + 1e-7
    slope, level = 0.0, location(y)
    for _ in range(STEPS):
        flat = y - slope * x - level
        weights = np.where(flat > 0, TAU, 1 - TAU) / (np.maximum(np.abs(flat), nearest) * scale)
        total = weights.sum()
        middle, mean = weights @ x / total, weights @ y / total
        away = weights * (x - middle)
        slope = float((away @ y - off / spread**2) / (away @ x + 1 / spread**2))
        level = float(mean - slope * middle)
    return level, slope
