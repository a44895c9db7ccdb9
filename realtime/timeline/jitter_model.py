"""How timestamps scatter about the line of an even sample grid, learned as they come.

Timestamps are late rather than early: scheduling, radio and chunking only ever delay them. An asymmetric Laplace
distribution describes both that and symmetric jitter with two scales. Its mode is where timestamps lie that nothing
delayed; its log-likelihood is piecewise linear, so weighing one sample of shift takes a few scalar operations a
timestamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMORY = 1024
"""Timestamps that the line is fitted to."""
REFIT = 32
"""Timestamps between fits, once there are many."""
KEPT = MEMORY + REFIT
"""Timestamps that are kept: a fit is made at most `REFIT` timestamps after it was asked for."""
RATE_SPREAD = 5e-4
"""Relative spread of true about nominal rates before any timestamp has come, as a scale of a Laplace distribution:
most are right, some are far off."""
FLOOR = 0.02
"""Smallest scale of jitter, in samples: clock offsets are not known better."""
SLOPE_STEPS = 4
"""Reweightings a fit: each starts from the last fit, which lies close."""
INERTIA = 0.25
"""Samples by which the line moves for a nat: where timestamps are spread evenly, no part of the spread is its edge."""
EXCESS = 6.0
"""Most that one timestamp may say for or against a shift, in nats: single late timestamps happen."""


@dataclass(frozen=True)
class Fit:
    """A line through the grid position and time `origin`, and how timestamps scatter about it, as in `JitterModel`."""

    origin: tuple[int, float]
    period: float
    early: float
    late: float
    correlation: float


class JitterModel:
    """The line that timestamps scatter about and the scales of their scatter.

    Attributes
    ----------
    period
        Seconds between samples.
    early, late
        Scales in seconds of the scatter before and after the line.
    correlation
        How many neighbouring timestamps say what one says: those that share a packet or a timer tick err alike.
    n
        Timestamps taken in.
    asked
        How many timestamps there were when the last fit was asked for, and the grid position of the last; None where
        none is under way, as once the timestamps that it was for have moved.
    """

    def __init__(self, nominal_period: float) -> None:
        self.nominal = nominal_period
        self.period = nominal_period
        self.early = self.late = 0.25 * nominal_period
        self.correlation = 1.0
        self.n = 0
        self._origin = (0, 0.0)
        self._index = np.empty(2 * KEPT, np.int64)
        self._timestamps = np.empty(2 * KEPT)
        self._start = self._stop = 0
        self._fresh = 0
        self.asked: tuple[int, int] | None = None

    @property
    def spread(self) -> float:
        """Mean distance between an early and a late timestamp."""
        return self.early + self.late

    def time(self, index: int) -> float:
        """Return the time of grid position `index`."""
        return self._origin[1] + (index - self._origin[0]) * self.period

    @property
    def line(self) -> tuple[int, float, float]:
        """A grid position, its time and the period."""
        return (*self._origin, self.period)

    def away(self, index: int, timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far from the line the timestamps of the grid positions from `index` on are, in seconds."""
        line = self._origin[1] + (np.arange(index, index + len(timestamps)) - self._origin[0]) * self.period
        return np.asarray(timestamps - line)

    def add(self, index: int, timestamp: float) -> None:
        """Take in the timestamp of grid position `index`."""
        if self.n == 0:
            self._origin = (index, timestamp)
        self._make_room(1)
        self._index[self._stop], self._timestamps[self._stop] = index, timestamp
        self._stop += 1
        self._fresh += 1
        self.n += 1

    def add_run(self, index: int, timestamps: NDArray[np.float64]) -> None:
        """Take in the timestamps of grid positions from `index` on, by which no fit would have changed."""
        kept = timestamps[-KEPT:]
        self._make_room(len(kept))
        rows = slice(self._stop, self._stop + len(kept))
        self._index[rows] = np.arange(len(timestamps) - len(kept), len(timestamps)) + index
        self._timestamps[rows] = kept
        self._stop = rows.stop
        self._fresh = (self._fresh + len(timestamps)) % REFIT  # the next fit is due when it would have been
        self.n += len(timestamps)

    def _make_room(self, count: int) -> None:
        """Let go of the oldest timestamps where the next `count`, at most `KEPT`, have no place."""
        if self._stop + count > len(self._timestamps):
            gone = self._stop - KEPT
            for ring in (self._index, self._timestamps):
                ring[:KEPT] = ring[gone : self._stop]
            self._start, self._stop = max(0, self._start - gone), KEPT

    def last(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return grid positions, and distances from the line, of the last `count` timestamps."""
        rows = slice(max(self._start, self._stop - min(count, MEMORY)), self._stop)
        return self._index[rows], self._residuals(rows)

    def move(self, index: int, places: int, seconds: float) -> None:
        """Renumber the timestamps from `index` on by `places`; shift those before it, and the line, by `seconds`.

        What is shifted was right on a clock, or in a phase, that is no more.

        Parameters
        ----------
        index
            Grid position.
        places
            Samples, by which those behind it are renumbered.
        seconds
            What is added to the times of those before it.
        """
        self.asked = None
        row = int(np.searchsorted(self._index[: self._stop], index))
        self._index[row : self._stop] += places
        self._timestamps[:row] += seconds
        self._origin = (self._origin[0], self._origin[1] + seconds)

    def bend(self, index: int, seconds: float, slope: float) -> None:
        """Let the line begin anew at position `index`, moved by `seconds`, with a period longer by `slope`.

        Parameters
        ----------
        index
            Grid position.
        seconds
            By how much the line moves there.
        slope
            By how many seconds a sample takes longer.
        """
        self.asked = None
        self._origin = (index, self.time(index) + seconds)
        self.period += slope
        self._start += int(np.searchsorted(self._index[self._start : self._stop], index))
        # What was learned about a line that was wrong would hold the next fit back.
        residuals = self._residuals(slice(self._start, self._stop))
        least = FLOOR * self.nominal
        self.early = min(self.early, max(least, 2 * float(np.maximum(0, -residuals).mean())))
        self.late = min(self.late, max(least, 2 * float(np.maximum(0, residuals).mean())))

    def refit_due(self) -> bool:
        """Return whether enough timestamps came since the last fit: an eighth of what is known, to begin with."""
        return self.asked is None and self._fresh >= min(REFIT, 1 + self.n // 8)

    def refit(self) -> None:
        """Fit the line and the scales to what is remembered, at once."""
        self.ask()
        self.take()

    def ask(self) -> None:
        """Have the line fitted, in `take`, to what is remembered now."""
        self.asked = (self.n, int(self._index[self._stop - 1]))

    def take(self) -> None:
        """Go on with the fit that was asked for."""
        if self.asked is not None:
            fit = self._fitted(self.n - self.asked[0])
            self._origin, self.period = fit.origin, fit.period
            self.early, self.late, self.correlation = fit.early, fit.late, fit.correlation
            self._fresh = self.n - self.asked[0]
        self.asked = None

    def _fitted(self, newer: int) -> Fit:
        """Return the line and the scales that fit what is remembered, but for the last `newer` timestamps."""
        stop = self._stop - newer
        rows = slice(max(self._start, stop - MEMORY), stop)
        index = self._index[rows]
        newest = int(index[-1])
        away = (index - newest).astype(np.float64)
        residuals = self._residuals(rows)
        slope = self._slope(away, residuals)
        flat = residuals - slope * away
        # A wrong slope, or a stall that tilts a straight fit, makes neighbours look alike; seldom do both.
        centred = away - away.mean()
        tilt = float(centred @ residuals / max(float(centred @ centred), 1e-30))
        floor = FLOOR * self.nominal
        correlation = correlation_time(flat, floor)
        if correlation > 1:
            correlation = min(correlation, correlation_time(residuals - tilt * away, floor))
        pulled = _without_stalls(flat, self.nominal * FLOOR)
        mode, early, late = asymmetric_laplace(pulled, len(flat) / correlation, INERTIA * self.nominal)
        if self.n - newer > MEMORY // 4:
            # A line that is known well does not leap; where timestamps spread evenly, the likeliest mode does.
            mode = max(-0.5 * self.nominal, min(0.5 * self.nominal, mode))
        # With few timestamps the scales are uncertain: a quarter of a sample counts as eight of them.
        prior = 8 * 0.25 * self.nominal / (8 + len(flat))
        weight = len(flat) / (8 + len(flat))
        early, late = prior + weight * early, prior + weight * late
        return Fit(
            (newest, self.time(newest) + mode),
            self.period + slope,
            max(floor, early, 0.1 * late),
            max(floor, late, 0.1 * early),
            correlation,
        )

    def evidence(self, residual: float, *, earlier: bool = False) -> float:
        """Return how much likelier, in nats, a timestamp is one sample after the line, or before it, than on it."""
        early, late = (self.late, self.early) if earlier else (self.early, self.late)
        distance = -residual if earlier else residual
        if distance <= 0:
            nats = -self.nominal / early
        elif distance >= self.nominal:
            nats = self.nominal / late
        else:
            nats = distance / late - (self.nominal - distance) / early
        return max(-EXCESS, min(EXCESS, nats)) / self.correlation

    def location(self, residuals: NDArray[np.float64]) -> float:
        """Return the likeliest distance of the line that timestamps at `residuals` scatter about."""
        return float(np.quantile(residuals, self.early / self.spread))

    def surprise(self, residuals: NDArray[np.float64], most: float = 2 * EXCESS) -> NDArray[np.float64]:
        """Return how unlikely each timestamp is, in nats above the likeliest, with a bound for outliers."""
        nats = np.minimum(np.where(residuals > 0, residuals / self.late, -residuals / self.early), most)
        return np.asarray(nats / self.correlation)

    def _residuals(self, rows: slice) -> NDArray[np.float64]:
        line = self._origin[1] + (self._index[rows] - self._origin[0]) * self.period
        return np.asarray(self._timestamps[rows] - line)

    def _slope(self, away: NDArray[np.float64], residuals: NDArray[np.float64]) -> float:
        """Return the likeliest correction to the period, by reweighted least squares drawn towards the nominal period.

        A timestamp counts the less the later it is, so the slope follows the edge of timestamps that nothing delayed.
        """
        spread = RATE_SPREAD * self.nominal
        nearest = 0.25 * min(self.early, self.late)
        slope = offset = 0.0
        for _ in range(SLOPE_STEPS):
            flat = residuals - slope * away - offset
            weights = 1 / (np.where(flat > 0, self.late, self.early) * np.maximum(np.abs(flat), nearest))
            total = weights.sum()
            middle, level = weights @ away / total, weights @ residuals / total
            x = weights * (away - middle)
            off = self.period + slope - self.nominal
            pull = self.correlation / (spread * max(abs(off), spread))
            slope = float((x @ residuals + pull * (self.nominal - self.period)) / (x @ away + pull))
            offset = float(level - slope * middle)
        return slope


class Evidence:
    """Cumulative sum of the evidence for a shift since it last was nothing (Page 1954), and of how many timestamps."""

    def __init__(self, most: float) -> None:
        self._most = most
        self.nats = 0.0
        self.count = 0

    def add(self, nats: float) -> None:
        """Take in what one timestamp says."""
        # The bound lets the sum fall again soon after a stall in which every timestamp was late.
        self.nats = min(self.nats + nats, self._most)
        self.count += 1
        if self.nats <= 0:
            self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.nats, self.count = 0.0, 0


def asymmetric_laplace(
    values: NDArray[np.float64], weight: float | None = None, inertia: float = np.inf
) -> tuple[float, float, float]:
    """Return mode, lower and upper scale of the likeliest asymmetric Laplace distribution of `values`.

    Parameters
    ----------
    values
        What is distributed so.
    weight
        As how many independent values they count: all of them, when left out.
    inertia
        A mode that lies so far from 0 is taken only where it is a nat likelier than 0.

    Notes
    -----
    For a given mode, the likeliest scales follow from the mean excess over and the mean shortfall under it; the
    likelihood falls with the sum of the roots of the two, so the mode is the value that makes this sum smallest
    (Kotz, Kozubowski and Podgórski 2001, The Laplace Distribution and Generalizations, section 3.5).
    """
    ordered = np.sort(values)
    n = len(ordered)
    below = np.arange(n)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    excess = np.sqrt(np.maximum(sums[-1] - sums[1:] - (n - 1 - below) * ordered, 0) / n)
    shortfall = np.sqrt(np.maximum(below * ordered - sums[:-1], 0) / n)
    total = excess + shortfall
    nats = 2 * (n if weight is None else weight) * np.log(np.maximum(total, 1e-12))
    best = int(np.argmin(nats + np.abs(ordered) / inertia))
    return float(ordered[best]), float(shortfall[best] * total[best]), float(excess[best] * total[best])


def correlation_time(values: NDArray[np.float64], floor: float = 0.0) -> float:
    """Return the integrated autocorrelation time of `values`: 1 where each is news, more where neighbours err alike.

    White noise of standard deviation `floor` is thought to lie over them, so that what is smaller does not count.
    The sum of the autocorrelations ends before the first pair of them that is not positive (Geyer 1992, Practical
    Markov Chain Monte Carlo, section 3.3).
    """
    n = len(values)
    if n < 16:
        return 1.0
    low, middle, high = _deciles(values)
    # Stalls and their backlogs are left out: they tell nothing of how timestamps err between them.
    usual = (values > middle - 6 * (high - middle)) & (values < middle + 6 * (middle - low))
    centred = np.where(usual, values - values[usual].mean(), 0.0) if usual.any() else np.zeros(n)
    power = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    lags = np.fft.irfft(power)[: n // 4]
    lags[0] += n * floor**2
    if lags[0] <= 0:
        return 1.0
    pairs = (lags[:-1:2] + lags[1::2])[: len(lags) // 2] / lags[0]
    ends = np.flatnonzero(pairs <= 0)
    total = pairs[: ends[0] if len(ends) else len(pairs)].sum()
    return float(max(1.0, 2 * total - 1))


def _without_stalls(values: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Return `values` with what lies far outside their bulk pulled in to its edge."""
    low, middle, high = _deciles(values)
    return np.clip(values, middle - 8 * (high - middle) - floor, middle + 8 * (middle - low) + floor)


def _deciles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the first, fifth and ninth decile of `values`, in a tenth of the time that `numpy.quantile` takes."""
    n = len(values)
    low, middle, high = np.interp(np.array([0.1, 0.5, 0.9]) * (n - 1), np.arange(n), np.sort(values)).tolist()
    return low, middle, high
