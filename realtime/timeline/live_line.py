"""The line that the timestamps of a live stream lie on, and how they scatter about it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from realtime.timeline.jitter_model import correlation_time
from realtime.timeline.observations import AT_ONCE
from realtime.timeline.timestamp_line import MOST, TAU, TimestampRing, breaks, fit, location, pinball

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from realtime.timeline.arrivals import Arrivals
    from realtime.timeline.axis_settings import AxisSettings

MOST_ALIKE = 128.0
"""Timestamps that err alike, at most, as far as a fit is concerned."""
BENT = 2.0
"""Standard deviations by which the outer quarters of a line may lie off the inner ones: it errs by more at its end."""


class LiveLine:
    """Times of grid positions: `time` at position `anchor`, and `slope` seconds a sample.

    Parameters
    ----------
    period
        Seconds between two samples by the nominal rate.
    settings
        What the time axis is tuned by.

    Attributes
    ----------
    centre
        Seconds a sample that slopes are likely to lie about.
    scale
        Mean pinball loss of a timestamp, in seconds.
    alike
        How many timestamps err alike.
    queue_s
        Seconds by which timestamps are late because samples wait for each other.
    smallest
        Shift in seconds that is none: coarse ticks beat with the samples.
    finest
        Least mean pinball loss that is believed, in seconds.
    """

    def __init__(self, period: float, settings: AxisSettings) -> None:
        self._set = settings
        self._period = self.centre = self.slope = period
        self.anchor, self.time, self.queue_s = 0, 0.0, 0.0
        self.scale, self.alike = 0.1 * period, 1.0
        self.finest = max(2e-5, 2e-3 * period)
        self._least = min(0.75 * period, 2 * settings.tolerable_s)
        self.smallest = min(0.25 * period, settings.tolerable_s / 20)

    @property
    def unit(self) -> float:
        """Pinball loss of a nat, in seconds."""
        return self.scale * self.alike

    def at(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the times of grid positions."""
        return np.asarray(self.time + (index - self.anchor) * self.slope)

    def recentre(self) -> None:
        """Take the nominal rate for likely again, or the rate that is seen where the nominal one is none."""
        known = abs(self.slope / self._period - 1) < 2 * self._set.rate_tolerance
        self.centre = self._period if known else self.slope

    def far(self, residuals: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which timestamps lie so far from the line that they are no jitter."""
        return (pinball(residuals) > self._set.far * self.scale) & (np.abs(residuals) > self._least)

    def doubt(self, count: int) -> float:
        """Return how far off the level of so many timestamps may be: a standard deviation and a little, in seconds."""
        return deviation(self.scale) * math.sqrt(self.alike / max(1, count))

    def moved(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, float]:
        """Return by how much timestamps moved, and how far off that may be, where the line is not known yet.

        Parameters
        ----------
        before, after
            Distances of timestamps from a line of the nominal rate, in seconds.
        """
        levels = location(before), location(after)
        scatter = np.concatenate([pinball(before - levels[0]), pinball(after - levels[1])]).mean()
        doubt = deviation(max(float(scatter), self.finest)) * math.sqrt(1 / len(before) + 1 / len(after))
        return levels[1] - levels[0], doubt

    def straight(
        self, index: NDArray[np.int64], residuals: NDArray[np.float64], spread: float
    ) -> tuple[float, float, float, float] | None:
        """Return level at the last position, slope, scale and how many timestamps err alike; None for no line.

        Parameters
        ----------
        index, residuals
            Grid positions of timestamps, and their distances in seconds from this line.
        spread
            Standard deviation of slopes beforehand, as a share.
        """
        rough = max(float(pinball(residuals - location(residuals)).mean()), self.finest)
        level, slope = fit(index, residuals, rough, self.slope - self.centre, spread * self._period)
        flat = residuals - level - slope * (index - index[-1])
        scale = max(float(pinball(flat).mean()), self.finest)
        alike = correlation_time(flat, self.finest)
        return None if breaks(flat, min(alike, 8.0), self.finest, self.smallest) else (level, slope, scale, alike)

    def begin(
        self, index: NDArray[np.int64], timestamps: NDArray[np.float64], samples: int, calm: Callable[[int], bool]
    ) -> int | None:
        """Lay the first line through the last seconds; return where it begins, None as long as something moves.

        Parameters
        ----------
        index, timestamps
            Grid positions and timestamps so far.
        samples
            How many samples have come.
        calm
            Whether chunks came one after the other since a grid position.
        """
        residuals = timestamps - timestamps[-1] - (index - index[-1]) * self.centre
        level = location(residuals)
        self.anchor, self.time, self.slope = int(index[-1]), float(timestamps[-1]) + level, self.centre
        for seconds in self._set.starts_s:
            longest = seconds / self._period
            rows = index > index[-1] - longest
            if np.count_nonzero(rows) < 2 * self._set.fewest or samples < longest:
                continue
            found = self.straight(index[rows], residuals[rows], self._set.rate_spread)
            if found is None and seconds == self._set.starts_s[-1]:
                # An offset that is measured anew within a second looks like another rate.
                found = self.straight(index[rows], residuals[rows], self._set.steepest)
            if (
                found is not None
                and self._likely(found, int(np.count_nonzero(rows)), last=seconds == self._set.starts_s[-1])
                and calm(int(index[rows][0]))
                and not self._frayed(index[rows], residuals[rows], found)
            ):
                level, slope, self.scale, self.alike = found
                self.time, self.slope = float(timestamps[-1]) + level, self.centre + slope
                self.queue_s = self._queue(index[rows], timestamps[rows])
                return int(index[rows][0])
        return None

    def _likely(self, found: tuple[float, float, float, float], count: int, *, last: bool) -> bool:
        """Return whether a first line is believed, as `straight` found it through `count` timestamps.

        Packets that beat with the timer that sends them look like another rate for a while, so one that is far off is
        believed only by the `last` line. A few timestamps that scatter widely, and err alike, are a stall.
        """
        _, slope, scale, alike = found
        if not last and abs((self.centre + slope) / self._period - 1) > self._set.rate_tolerance:
            return False
        return count / alike > 2 * self._set.fewest or deviation(scale) * math.sqrt(alike / count) < self._set.offset_s

    def _queue(self, index: NDArray[np.int64], timestamps: NDArray[np.float64]) -> float:
        """Return by how many seconds timestamps are late because samples wait for the one before."""
        steps = np.diff(timestamps)
        waited = (np.diff(index) == 1) & (steps >= 0) & (steps < AT_ONCE * self._period)
        if np.count_nonzero(steps < 0) >= np.count_nonzero(waited):
            return 0.0  # no queue: its samples do not overtake each other
        residuals = timestamps - self.at(index)
        return max(0.0, location(residuals) - location(residuals[~np.append(waited, False)]))

    def _frayed(
        self, index: NDArray[np.int64], residuals: NDArray[np.float64], found: tuple[float, float, float, float]
    ) -> bool:
        """Return whether the first or the last of `residuals` does not belong to the line `found` through them all.

        A few timestamps from before a step, or from behind it, make a scale by which they are not far.
        """
        flat = residuals - found[0] - found[1] * (index - index[-1])
        loss = pinball(flat)
        far = loss > self._set.far * max(2 * float(np.median(loss)), self.finest)
        return bool((far & (np.abs(flat) > self._least))[[0, -1]].any())

    def _fit(
        self, index: NDArray[np.int64], residuals: NDArray[np.float64], scale: float
    ) -> tuple[float, float, NDArray[np.float64]]:
        """Return level at the last position and slope of the line through `residuals`, and what is left of them."""
        level, slope = fit(index, residuals, scale, self.slope - self.centre, self._set.rate_spread * self._period)
        return level, slope, residuals - level - slope * (index - index[-1])

    def _likelier(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        """Return by how many nats the residuals `one` scatter less than the `other`, by how many of `one` err alike."""
        scales = [float(pinball(flat).mean()) + self.finest for flat in (one, other)]
        if scales[0] >= scales[1]:  # most often: how many err alike does not matter then
            return 0.0
        return len(one) / correlation_time(one[-2 * MOST :], self.finest) * math.log(scales[1] / scales[0])

    def _straight(self, flat: NDArray[np.float64], offsets_s: float) -> bool:
        """Return whether what is left of timestamps, `flat`, lies level but for chance: its quarters, and its end.

        How they scatter, and how many err alike, is told about each quarter's own line: about one through a bend nearly
        all err alike.
        """
        length = len(flat) // 4
        quarters = flat[-4 * length :].reshape(4, length)
        away = np.arange(length) - 0.5 * (length - 1)
        slopes = quarters @ away / (away @ away)
        inner = quarters - quarters.mean(axis=1, keepdims=True) - slopes[:, None] * away
        inner -= location(inner.ravel())
        scatter = deviation(max(float(pinball(inner).mean()), self.finest))
        alike = correlation_time(inner.ravel()[-2 * MOST :], self.finest)
        least = 0.25 * self.smallest

        def unsure(count: int) -> float:
            return math.hypot(scatter * math.sqrt(alike / count), offsets_s)

        end = flat[-max(8, length // 4) :]
        if abs(location(end)) > max(self._set.sure * unsure(len(end)), least):
            return False
        levels = [location(quarter) for quarter in quarters]
        # As far off as a level, but not by chance: jitter has no sign, what is laid through a bend has.
        bend = 0.5 * abs(levels[0] + levels[3] - levels[1] - levels[2])
        most = max(map(abs, levels))
        return most < max(self._set.sure * unsure(length), least) and bend < max(BENT * unsure(length), least)

    def refit(self, track: TimestampRing, arrivals: Arrivals, since: int, stop: int) -> int:
        """Lay the line through the last timestamps anew; return the first grid position that was fitted.

        Parameters
        ----------
        track, arrivals
            The timestamps, and how old samples were on arrival.
        since, stop
            Grid positions: none before `since` counts, and `stop` is the next to come.
        """
        # A line that is wrong has timestamps err alike: were they to count for no more than that, it would stay wrong.
        scale = self.scale * min(self.alike, MOST_ALIKE)
        for seconds in self._set.lines_s:
            index, timestamps = track.since(max(since, stop - round(seconds / self._period)))
            if len(index) < 2:
                return since
            residuals = timestamps - self.at(index)
            near = ~self.far(residuals)
            if np.count_nonzero(near) > len(near) // 2:  # what waited in a stall would pull a line that ends with it
                index, residuals = index[near], residuals[near]
            level, slope, flat = self._fit(index, residuals, scale)
            # Offsets of the sender's clock that are measured anew bend a line through timestamps, not one through
            # arrivals; where timestamps lie on a line as well, they are the better witness.
            older = arrivals.older(index, stop, round(self._set.lines_s[-1] / self._period))
            by_arrival = self._fit(index, residuals + older, scale)
            if self._likelier(by_arrival[2], flat) > self._set.certain / 3:
                level, slope, flat = by_arrival
            straight = len(flat) < 32 or self._straight(flat, float(older.std()))
            if straight:
                break
        self.time = float(self.at(index[-1:])[0]) + level
        self.anchor, self.slope = int(index[-1]), self.slope + slope
        self.recentre()
        usual = flat[~self.far(flat)]
        if len(usual) >= 16 and straight:
            weight = len(usual) / (len(usual) + 8)
            self.scale = max(self.finest, (1 - weight) * self.scale + weight * float(pinball(usual).mean()))
            self.alike = correlation_time(usual[-2 * MOST :], self.finest)
        return int(index[0])


def deviation(scale: float) -> float:
    """Return the standard deviation of a timestamp's level, and a little, by its mean pinball loss, in seconds."""
    return 2 / math.sqrt(TAU * (1 - TAU)) * scale
