"""What happened before the first line was laid through the timestamps of a live stream, or before a new one was."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from realtime.timeline.explanations import Moved, explain, witnesses
from realtime.timeline.timestamp_line import MOST, location

if TYPE_CHECKING:
    from realtime.timeline.axis_settings import AxisSettings
    from realtime.timeline.live_grid import LiveGrid


def keep_clock(grid: LiveGrid, period: float, settings: AxisSettings) -> int | None:
    """Take back a step of the clock that ages tell, and timestamps do as well; return the grid position behind it.

    Parameters
    ----------
    grid
        Its line is not known yet: timestamps are compared with the nominal rate.
    period
        Seconds between two samples.
    settings
        What the time axis is tuned by.
    """
    told = grid.arrivals.stepped(grid.first)
    if told is None:
        return None
    at, older, unsure = told
    index, timestamps = grid.track.since(grid.first)
    row = int(np.searchsorted(index, at))
    if not 0 < row < len(index):
        return None
    residuals = timestamps - timestamps[0] - (index - index[0]) * grid.line.centre
    level, doubt = grid.line.moved(residuals[max(0, row - MOST) : row], residuals[row : row + MOST])
    doubt += settings.rate_spread * period * 0.5 * float(index[-1] - index[0])
    found = explain(Moved(level, doubt, older, unsure, level, math.inf), period, settings)
    if not found.step or abs(level) < settings.sure * doubt:
        return None
    grid.set_clock_back(at, found.step)
    return at


def look_back(grid: LiveGrid, since: int, period: float, settings: AxisSettings) -> int | None:
    """Find out what was lost before the line, and mend it; return where the line begins, None where all lies on it.

    Parameters
    ----------
    grid
        Its line has just been laid.
    since
        Grid position from which on it was laid through the timestamps.
    period
        Seconds between two samples.
    settings
        What the time axis is tuned by.
    """
    line = grid.line
    index, timestamps = grid.track.since(grid.first)
    residuals = timestamps - line.at(index)
    moved = np.flatnonzero(line.far(residuals))
    moved = moved[index[moved] < since]
    if not len(moved):
        return None
    early = residuals[: max(1, min(int(moved[-1]) + 1, settings.fewest * 2))]
    level, doubt = -location(early), line.doubt(len(early))
    row = int(moved[-1]) + 1
    at = int(index[row]) if row < len(index) else since
    longest = round(settings.before_s / period)
    found = explain(
        witnesses(level, doubt, *grid.arrivals.grown(at, at, 0, longest, (line.anchor, line.time, line.slope))),
        period,
        settings,
    )
    # The line was laid through timestamps whose samples are numbered later now, by a clock that is not kept.
    grid.set_clock_back(at, found.step)
    line.time -= found.step
    if found.lost:
        grid.renumber(at, found.lost, -found.lost * line.slope, (grid.first, at, at))
        at += found.lost
    return at
