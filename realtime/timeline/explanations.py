"""What explains that timestamps moved and samples got older: lost samples, a clock that stepped, both, or neither."""

from __future__ import annotations

import math
from dataclasses import dataclass

from realtime.timeline.axis_settings import AxisSettings


@dataclass(frozen=True)
class Moved:
    """By how much things moved, in seconds, and how far off that may be, as a standard deviation.

    Attributes
    ----------
    level, doubt
        Timestamps against the line.
    older, unsure
        Age of samples on arrival against their timestamps.
    lag, lag_unsure
        Arrivals against the line.
    """

    level: float
    doubt: float
    older: float
    unsure: float
    lag: float
    lag_unsure: float

    def agree(self, sure: float, clocks_s: float) -> bool:
        """Return whether arrivals against the line moved by what timestamps and ages did, within `sure` deviations.

        Where they did not, something moved once more among those that are compared.

        Parameters
        ----------
        sure
            How many standard deviations.
        clocks_s
            Error of clocks beside them, in seconds.
        """
        return abs(self.lag - self.level - self.older) <= sure * (self.lag_unsure + self.doubt + self.unsure + clocks_s)

    def told(self, sure: float, clocks_s: float) -> bool:
        """Return whether arrivals tell a clock that stepped, by as much as timestamps do, within `sure` deviations.

        Parameters
        ----------
        sure
            How many standard deviations.
        clocks_s
            Error of clocks beside them, in seconds.
        """
        unsure = sure * (self.unsure + clocks_s)
        return abs(self.older) > unsure and abs(self.level + self.older) < unsure + sure * self.doubt


@dataclass(frozen=True)
class Explanation:
    """Samples lost, seconds by which the clock stepped, and whether no other explanation comes near."""

    lost: int
    step: float
    clear: bool


def witnesses(level: float, doubt: float, by_timestamp: tuple[float, float], by_line: tuple[float, float]) -> Moved:
    """Return what timestamps and arrivals tell together.

    A sender's jitter delays a sample and its timestamp alike, or the timestamp alone: what scatters less is told.

    Parameters
    ----------
    level, doubt
        By how much timestamps moved against the line.
    by_timestamp, by_line
        By how much samples got older against their timestamps, and against the line, each with its standard error.
    """
    if not math.isfinite(by_timestamp[1]):
        return Moved(level, doubt, 0.0, 0.0, level, math.inf)
    both = math.hypot(by_line[1], doubt)
    older = (by_line[0] - level, both) if both < by_timestamp[1] else by_timestamp
    return Moved(level, doubt, *older, *by_line)


def explain(moved: Moved, period: float, settings: AxisSettings) -> Explanation:
    """Return the likeliest explanation.

    Parameters
    ----------
    moved
        What is to be explained.
    period
        Seconds between two samples.
    settings
        What the time axis is tuned by.
    """
    level, doubt, older = moved.level, moved.doubt, moved.older
    unsure = moved.unsure + settings.clocks_s
    # Where arrivals scatter less about the line than timestamps do, they count the better.
    gap, gap_doubt = (moved.lag, moved.lag_unsure) if moved.lag_unsure < doubt else (level, doubt)
    whole, mixed = max(0, round(gap / period)), max(0, round((level + older) / period))
    left = level + older - mixed * period
    step = -older if abs(left) > settings.sure * (unsure + doubt) else level - mixed * period
    if abs(older) <= settings.sure * unsure:
        step = 0.0  # what ages do not tell is no clock: the line was off
    phase = min(((gap - whole * period) / (gap_doubt + settings.clocks_s)) ** 2, 0.5 * settings.unlikely)
    none = (level / (doubt + settings.clocks_s)) ** 2
    # Squared distances in standard deviations; two faults at once are the less likely by far.
    costs = [
        (none, 0, 0.0),
        ((older / unsure) ** 2 + (phase if whole else none), whole, 0.0),
        (((level + older) / (unsure + doubt)) ** 2, 0, level if doubt < unsure else -older),
    ]
    if abs(level) > settings.tolerable_s:  # that they cancel each other is less likely than that samples still wait
        costs.append((settings.unlikely, mixed, step))
    costs.sort(key=lambda cost: cost[0])
    best, *others = costs
    if not best[1] and abs(best[2]) < settings.tolerable_s and (older / unsure) ** 2 < best[0]:
        best = (best[0], 0, 0.0)  # ages tell nothing rather than a clock: steps of a line that is off would add up
    far = [cost for cost in others if cost[1] != best[1] or abs(cost[2] - best[2]) > settings.tolerable_s]
    clear = not far or far[0][0] - best[0] > settings.margin
    # Faults are rare: where it is as likely that nothing happened, nothing is taken to have happened.
    nothing = not clear and none - best[0] <= settings.margin
    return Explanation(0, 0.0, False) if nothing else Explanation(best[1], best[2], clear)
