"""The numbers of the live time axis, each with its unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AxisSettings:
    """What the live time axis is tuned by: bounds of the project, or chosen on development seeds of random senders.

    Attributes
    ----------
    block_s
        Seconds of samples between two looks at the stamps.
    line_s
        Seconds that the line is fitted to: the longest over which stamps lie straight.
    rate_spread
        Standard deviation of true about nominal rates, as a share: crystals and a margin.
    steepest
        Largest change of rate to reckon with, as a share; what falls behind faster waits in a queue.
    rate_tolerance
        Share by which a nominal rate is off before it is reported: a millisecond a second.
    certain
        Nats at which a shift within the jitter is looked into.
    far
        Pinball loss, in units of its mean, of a stamp that is no jitter.
    least_shift_s
        Largest shift that is looked for; half a sample where that is less.
    quiet_s
        Seconds for which stamps must lie level before it is told what happened: the longest that do.
    start_s
        The same for the first line.
    fewest
        Stamps that a level is told from at least.
    hold_s
        Longest time for which samples are held.
    give_up_s
        Time after which the line is laid anew.
    clocks_s
        Error of the clocks, beside what is seen to scatter.
    unlikely
        Squared standard deviations by which a loss and a clock step at once must explain better than either.
    offset_s
        Largest change of a clock offset measured anew; a larger step ends the epochs over it.
    tolerable_s
        Error of an epoch's time that is none.
    burst_s, late_s
        Lateness of stamps, and of arrivals, that is worth a report.
    foreign_s
        Distance from the LSL clock at which stamps must be another clock's.
    """

    block_s: float = 0.05
    line_s: tuple[float, ...] = (20.0, 10.0, 5.0, 2.5)
    rate_spread: float = 5e-4
    steepest: float = 0.03
    rate_tolerance: float = 1e-3
    certain: float = 18.0
    far: float = 10.0
    least_shift_s: float = 2e-3
    quiet_s: tuple[float, ...] = (0.35, 0.7, 1.4, 2.8)
    start_s: tuple[float, ...] = (1.0, 2.0, 4.0)
    fewest: int = 4
    hold_s: float = 2.0
    give_up_s: float = 8.0
    clocks_s: float = 1e-4
    unlikely: float = 30.0
    offset_s: float = 8e-3
    tolerable_s: float = 4e-3
    burst_s: float = 0.05
    late_s: float = 0.25
    foreign_s: float = 60.0


DEFAULT = AxisSettings()
