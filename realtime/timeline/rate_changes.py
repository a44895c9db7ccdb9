"""Where the line that stamps lie on bends, because the sampling rate changed in mid-stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.timeline.jitter_model import JitterModel

PLACES = 16
"""Places tried for the bend."""
FEWEST = 8
"""Stamps that must lie behind it."""
STEPS = 4
"""Reweightings a fit."""


@dataclass(frozen=True)
class Bend:
    """A line that bends at one stamp.

    Attributes
    ----------
    row
        Number of the first stamp behind the bend.
    level
        Distance in seconds of the part before it from the line known so far.
    slope
        Change of the period in seconds.
    surprise
        How unlikely the stamps are about this line, in nats.
    worst_s
        Lateness of the stamp that lies furthest behind this line.
    """

    row: int
    level: float
    slope: float
    surprise: float
    worst_s: float


def find_bend(
    index: NDArray[np.int64], residuals: NDArray[np.float64], model: JitterModel, places: int = PLACES
) -> Bend:
    """Return the likeliest bend in the line through stamps that lie at `residuals` from the line of `model`.

    With one place, that is the first stamp, and the bend is a straight line.

    The fit is reweighted least squares for each of a few places of the bend at once: a stamp counts the less the
    further it is off. It begins with equal weights and, so that a stall does not lead it astray, from the level line.
    """
    rows = np.unique(np.linspace(0, max(0, len(index) - FEWEST), places).astype(int))
    level_first = 1 / np.maximum(np.abs(residuals - model.location(residuals)), 0.25 * model.early)
    first = np.repeat([np.ones(len(residuals)), level_first], len(rows), axis=0)
    rows = np.tile(rows, 2)
    behind = np.maximum(0, index - index[rows][:, None]).astype(np.float64)
    nearest = 0.25 * min(model.early, model.late)
    slope, level = np.zeros((len(rows), 1)), np.zeros((len(rows), 1))
    for step in range(STEPS + 1):
        flat = residuals - slope * behind - level
        scale = np.where(flat > 0, model.late, model.early)
        weights = 1 / (scale * np.maximum(np.abs(flat), nearest)) if step else first
        total = weights.sum(axis=1, keepdims=True)
        middle = (weights * behind).sum(axis=1, keepdims=True) / total
        mean = (weights * residuals).sum(axis=1, keepdims=True) / total
        away = weights * (behind - middle)
        slope = (away * residuals).sum(axis=1, keepdims=True) / (away * behind).sum(axis=1, keepdims=True)
        level = mean - slope * middle
    flat = residuals - slope * behind - level
    surprise = model.surprise(flat).sum(axis=1)
    best = int(np.argmin(surprise))
    return Bend(
        int(rows[best]), float(level[best, 0]), float(slope[best, 0]), float(surprise[best]), float(flat[best].max())
    )
