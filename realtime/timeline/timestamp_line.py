"""The line of an even sample grid through timestamps that are jittered, and where they left it.

A line is a quantile regression over the last seconds; timestamps that left it shifted, bent away, or still move.
"""

from __future__ import annotations

import math
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


def change(residuals: NDArray[np.float64], level: float, unit: float) -> tuple[int, int, int]:
    """Return the row from which `residuals` lie about `level` rather than 0, and the first and last it may be.

    Parameters
    ----------
    residuals
        Distances of timestamps from the line, in seconds.
    level
        Where they lie in the end, in seconds.
    unit
        Pinball loss of a nat, in seconds.
    """
    bound = 50 * unit + abs(level)
    gain = np.clip(pinball(residuals) - pinball(residuals - level), -bound, bound)
    total = np.cumsum(gain[::-1])[::-1]
    best = int(np.argmax(total))
    near = np.flatnonzero(total > total[best] - 6 * unit)
    return best, int(near[0]), int(near[-1])


def bent(index: NDArray[np.int64], residuals: NDArray[np.float64], row: int, level: float, unit: float) -> float:
    """Return how much likelier, in nats, `residuals` lie on a line that bends than on one that shifts.

    Parameters
    ----------
    index, residuals
        Grid positions of timestamps, and their distances from the line before, in seconds.
    row, level
        From which one on, and by how many seconds, it shifts.
    unit
        Pinball loss of a nat, in seconds.
    """
    bound = 50 * unit
    shifted = np.minimum(pinball(np.concatenate([residuals[:row], residuals[row:] - level])), bound).sum()
    best = math.inf
    for start in np.unique(np.linspace(0, max(0, len(index) - 4), 12).astype(int)).tolist():
        away = np.maximum(0, index - index[start]).astype(np.float64)
        slope = float(away @ residuals / max(float(away @ away), 1.0))
        flat = residuals - slope * away
        best = min(best, float(np.minimum(pinball(flat), bound).sum()))
    return float(shifted - best) / unit


def breaks(residuals: NDArray[np.float64], alike: float, least: float, smallest: float) -> bool:
    """Return whether two levels, one after the other, fit `residuals` far better than one does.

    Parameters
    ----------
    residuals
        Distances of timestamps from the line, in seconds.
    alike
        How many of them err alike.
    least
        Noise that is smaller than this does not count, in seconds.
    smallest
        Two levels that are closer than this are one, in seconds.
    """
    count = len(residuals)
    whole = float(pinball(residuals - location(residuals)).sum()) + count * 0.2 * least
    for row in np.unique(np.linspace(2, count - 2, 9).astype(int)).tolist():
        if 2 <= row <= count - 2:
            parts = residuals[:row], residuals[row:]
            if abs(location(parts[0]) - location(parts[1])) < smallest:
                continue
            split = sum(float(pinball(part - location(part)).sum()) for part in parts) + count * 0.2 * least
            if count / alike * math.log(whole / split) > 8 + 0.5 * math.log(count):
                return True
    return False


def creeping(residuals: NDArray[np.float64], unit: float, least: float) -> tuple[float, float]:
    """Return for how many nats the last `residuals` lie off the line, and where they lie, in seconds.

    Parameters
    ----------
    residuals
        Distances of timestamps from the line, in seconds: of them the last 2, 4, 8, ... are looked at.
    unit
        Pinball loss of a nat, in seconds.
    least
        What lies no further off than this does not.
    """
    best, shift, count = 0.0, 0.0, 2
    loss = np.cumsum(pinball(residuals[::-1]))
    while count <= len(residuals):
        part = residuals[-count:]
        level = location(part)
        if abs(level) > least:
            nats = (loss[count - 1] - float(pinball(part - level).sum())) / unit
            if nats > best:
                best, shift = nats, level
        count *= 2
    return best, shift
