"""What timestamps mean that left the line: where they left it, whether it bent or shifted, and by how many samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.timeline.jitter_model import EXCESS, JitterModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

CERTAIN = 18.0
"""Evidence in nats at which a shift is looked into: chance brings it about once in e^18 timestamps."""
SURE_COUNT = 6.0
"""Nats by which the number of lost samples must be likelier than one more or less: four hundred to one."""
NEARER = 1e-6
"""What an outlier's side says, in nats: next to nothing."""
WINDOW = 128
"""Most independent timestamps that a decision looks back on."""
CHUNK_S = 0.1
"""Longest chunk to reckon with: until the next one came, a late chunk looks like a loss."""
QUEUED = 0.25
"""Share of its due distance within which a timestamp follows another when both waited for the same thing."""
STEEPEST = 0.05
"""Largest change of rate to reckon with: timestamps that fall behind faster wait in a queue."""
PLACES = 16
"""Places tried for the bend."""
FEWEST = 8
"""Timestamps that must lie behind it."""
STEPS = 4
"""Reweightings a fit."""


def longest(model: JitterModel) -> int:
    """Return the most timestamps that a decision looks back on."""
    return round(WINDOW * model.correlation)


def bend_or_shift(
    model: JitterModel, index: NDArray[np.int64], residuals: NDArray[np.float64]
) -> tuple[Bend | None, bool]:
    """Return the bend, as a change of the sampling rate makes it, that explains `residuals`; and whether that is clear.

    Without a bend, and clear, they lie on a line that shifted, or are only late.

    Parameters
    ----------
    model
        The line known so far, and the jitter about it.
    index, residuals
        Grid positions of timestamps, and their distances from the line in seconds.
    """
    if len(index) < 2 * FEWEST:
        return None, True
    bend = find_bend(index, residuals, model)
    flat = float(model.surprise(residuals - model.location(residuals)).sum())
    stalled = bend.worst_s > 2 * EXCESS * model.late
    if stalled or abs(bend.slope) > STEEPEST * model.nominal or bend.surprise + SURE_COUNT > flat:
        return None, True
    shift = min(_shift_surprise(model, residuals, count) for count in (2, 4, FEWEST, 2 * FEWEST, 4 * FEWEST))
    if bend.surprise + SURE_COUNT < shift:
        return bend, True
    return None, shift + 0.5 * SURE_COUNT < bend.surprise or len(index) >= WINDOW * model.correlation


def _shift_surprise(model: JitterModel, residuals: NDArray[np.float64], count: int) -> float:
    """Return how unlikely `residuals` are about a line that shifts to where the last `count` of them lie."""
    start = shift_at(model, residuals, model.location(residuals[-count:]))
    parts = [part for part in (residuals[:start], residuals[start:]) if len(part)]
    return float(sum(model.surprise(part - model.location(part)).sum() for part in parts))


def shift_at(model: JitterModel, residuals: NDArray[np.float64], level: float) -> int:
    """Return the row from which `residuals` most likely lie about `level` rather than about the line.

    Parameters
    ----------
    model
        The jitter about the line.
    residuals
        Distances of timestamps from the line, in seconds.
    level
        Where they lie in the end, in seconds.
    """
    gain = model.surprise(residuals) - model.surprise(residuals - level)
    # An outlier to both, as timestamps in a stall just before a loss are, belongs to the one that it is less far from.
    side = np.sign(model.surprise(residuals, math.inf) - model.surprise(residuals - level, math.inf))
    gain = np.where(gain == 0, NEARER * side, gain)
    return int(np.argmax(np.cumsum(gain[::-1])[::-1]))


def lasts(model: JitterModel, index: NDArray[np.int64], residuals: NDArray[np.float64]) -> bool:
    """Return whether the lateness stays as it is, as after a loss, rather than falling as a backlog comes in.

    Parameters
    ----------
    model
        The jitter about the line.
    index, residuals
        Grid positions of timestamps, and their distances from the line in seconds.
    """
    n = len(residuals)
    # As many timestamps tell a loss from a backlog that comes in at 1.5 times the sampling rate.
    every = max(1.0, float(index[-1] - index[0]) / max(1, n - 1)) * model.nominal
    if n < max(3, math.ceil(CHUNK_S / every), math.ceil(2 * math.pow(9 * model.spread / every, 2 / 3))):
        return False
    half = n // 2
    fall = model.location(residuals[:half]) - model.location(residuals[half:])
    return abs(fall) <= max(model.nominal, 3 * model.spread / math.sqrt(half))


def shifted_by(
    model: JitterModel, index: NDArray[np.int64], residuals: NDArray[np.float64], level: float
) -> int | None:
    """Return by how many samples the line shifted to the `level` of `residuals`; None while that is not certain.

    Parameters
    ----------
    model
        The jitter about the line.
    index, residuals
        Grid positions of timestamps, and their distances from the line in seconds.
    level
        Where they lie in the end, in seconds.
    """
    places = round(level / model.nominal)
    queued = np.diff(residuals, prepend=residuals[0]) < (QUEUED - 1) * model.nominal * np.diff(index, prepend=index[0])
    news = residuals[~queued]
    costs = [float(model.surprise(news - k * model.nominal).sum()) for k in (0, places - 1, places, places + 1)]
    doubtful = min(costs[1], costs[3]) - costs[2] < SURE_COUNT and len(residuals) < longest(model) // 2
    return None if doubtful or costs[0] - costs[2] < CERTAIN else places


@dataclass(frozen=True)
class Bend:
    """A line that bends at one timestamp.

    Attributes
    ----------
    row
        Number of the first timestamp behind the bend.
    level
        Distance in seconds of the part before it from the line known so far.
    slope
        Change of the period in seconds.
    surprise
        How unlikely the timestamps are about this line, in nats.
    worst_s
        Lateness of the timestamp that lies furthest behind this line.
    """

    row: int
    level: float
    slope: float
    surprise: float
    worst_s: float


def find_bend(
    index: NDArray[np.int64], residuals: NDArray[np.float64], model: JitterModel, places: int = PLACES
) -> Bend:
    """Return the likeliest bend in the line through timestamps that lie at `residuals` from the line of `model`.

    With one place, that is the first timestamp, and the bend is a straight line.

    The fit is reweighted least squares for each of a few places of the bend at once: a timestamp counts the less the
    further it is off. It begins with equal weights and, so that a stall does not lead it astray, from the level line.

    Parameters
    ----------
    model
        The line known so far, and the jitter about it.
    index, residuals
        Grid positions of timestamps, and their distances from the line in seconds.
    places
        How many places of the bend are tried.
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
