"""How many samples were lost, counted anew once timestamps long before and behind a hole can be compared.

Just behind a hole few timestamps say how far they moved. A line on either side, of one slope, says it the better the
longer the two are, and a clock that wanders bends both alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.timeline.jitter_model import correlation_time
from realtime.timeline.live_line import deviation
from realtime.timeline.timestamp_line import MOST, STEPS, TAU, location, pinball

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.timeline.arrivals import Arrivals
    from realtime.timeline.axis_settings import AxisSettings
    from realtime.timeline.live_line import LiveLine
    from realtime.timeline.timestamp_line import TimestampRing

CLEAR = 0.05
"""Share of a sample, beside half a one, by which a count must be off."""
WIDER = 1.3
"""Growth of the scatter about longer lines from which on they are not straight."""
LOOKS = 3
"""How often it is counted anew: the last time the likeliest count is taken, before that a clearly likelier one."""


@dataclass
class Counted:
    """A hole, or several within seconds, whose lost samples were counted.

    Attributes
    ----------
    since, at, begin
        Grid positions: from where on nothing else had moved before the hole, up to where, and from where on nothing
        moved behind it.
    carried_s
        Seconds by which timestamps moved there beside the samples that were counted, and were corrected for.
    more
        Samples lost beside those that were counted.
    looks
        How often it was looked at.
    scale_s
        Scatter of timestamps when it was first looked at: their mean pinball loss.
    """

    since: int
    at: int
    begin: int
    carried_s: float
    more: int = 0
    looks: int = 0
    scale_s: float = math.inf

    def look(self, track: TimestampRing, arrivals: Arrivals, line: LiveLine, stop: int, settings: AxisSettings) -> int:
        """Return how many more samples were lost than is known, and correct the timestamps before for it.

        Parameters
        ----------
        track, arrivals
            Timestamps, and how old samples were on arrival.
        line
            The line of the sample grid.
        stop
            Grid position of the sample that comes next.
        settings
            What the time axis is tuned by.
        """
        seconds = self.wait_s(settings)
        self.looks += 1
        length = round(seconds / line.slope)
        index, timestamps = track.since(max(self.since, self.at - length))
        rows = (index < self.at) | ((index >= self.begin) & (index < self.begin + length))
        index, residuals = index[rows], timestamps[rows] - line.at(index[rows])
        behind = index >= self.begin
        if min(np.count_nonzero(behind), np.count_nonzero(~behind)) < 2 * settings.fewest:
            return 0
        older = arrivals.older(index, stop, round(settings.lines_s[-1] / line.slope))
        # Offsets of the sender's clock that are measured anew move timestamps, and ages against them.
        found = [_jump(index - self.begin, each, behind, line, settings) for each in (residuals, residuals + older)]
        if self.looks == 1:
            self.scale_s = found[0][2]
        counts = {self._beside(jump, doubt, line.slope) for jump, doubt, _ in found}
        if found[0][2] > WIDER * self.scale_s or len(counts) > 1:
            return 0
        more = counts.pop()
        changed, self.more = more - self.more, more
        if changed:
            track.shift(0, self.begin, found[0][0])
            self.carried_s += found[0][0]
        return changed

    def _beside(self, jump: float, doubt: float, period: float) -> int:
        """Return how many samples were lost beside those that were counted first, where timestamps jump by `jump`."""
        samples = (jump + self.carried_s) / period
        more = round(samples) if abs(samples) > 0.5 + CLEAR else 0
        gain = (2 * samples * more - more**2) * (period / doubt) ** 2
        return more if self.looks == LOOKS or gain > 1 else 0

    def wait_s(self, settings: AxisSettings) -> float:
        """Return behind how many seconds of samples it is looked at next: ever longer lines, infinite for never."""
        return (*settings.lines_s[LOOKS:0:-1], math.inf)[self.looks]


def _jump(
    index: NDArray[np.int64],
    residuals: NDArray[np.float64],
    behind: NDArray[np.bool_],
    line: LiveLine,
    settings: AxisSettings,
) -> tuple[float, float, float]:
    """Return by how many seconds `residuals` jump, its standard error, and their mean pinball loss about two lines.

    Parameters
    ----------
    index
        Grid positions, from the hole on.
    residuals
        Distances of timestamps from `line`, in seconds.
    behind
        Which of them lie behind the hole.
    line
        Tells which are too far off to count, and how they scatter.
    settings
        What the time axis is tuned by.
    """
    near = np.ones(len(index), bool)
    for side in (behind, ~behind):
        near[side] = ~line.far(residuals[side] - location(residuals[side]))
    index, residuals, side = index[near].astype(np.float64), residuals[near], behind[near].astype(int)
    counts = np.bincount(side, minlength=2)
    if 2 * counts[1] < np.count_nonzero(behind) or 2 * counts[0] < np.count_nonzero(~behind):
        return 0.0, math.inf, math.inf
    scale = line.unit
    nearest = 0.05 * scale + 1e-7
    steepest = 2 * settings.rate_spread * line.slope  # the line may be off by as much, and is steep already
    slope, levels = 0.0, np.array([location(residuals[side == part]) for part in (0, 1)])
    for _ in range(STEPS):
        flat = residuals - slope * index - levels[side]
        weights = np.where(flat > 0, TAU, 1 - TAU) / (np.maximum(np.abs(flat), nearest) * scale)
        total = np.bincount(side, weights)
        middle, mean = (np.bincount(side, weights * part) / total for part in (index, residuals))
        away = weights * (index - middle[side])
        slope = float(away @ residuals / (away @ index + 1 / steepest**2))
        levels = mean - slope * middle
    flat = residuals - slope * index - levels[side]
    loss = max(float(pinball(flat).mean()), line.finest)
    middle = np.bincount(side, index) / counts
    lever = float(np.ptp(middle)) ** 2 / float(((index - middle[side]) ** 2).sum())
    alike = correlation_time(flat[-2 * MOST :], line.finest)
    return float(levels[1] - levels[0]), deviation(loss) * math.sqrt(alike * (1 / counts + 0.5 * lever).sum()), loss
