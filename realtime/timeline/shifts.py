"""Where timestamps left the line, and whether they shifted, bent away, or still move."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from realtime.timeline.timestamp_line import location, pinball

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
