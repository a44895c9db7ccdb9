"""How far the clock of a page is from the LSL clock, from pings that the page answered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

KEPT = 60
"""Pings that count: at two a second those of half a minute, in which two good clocks drift apart by a millisecond."""
FEWEST = 10
"""Pings before which nothing is said of the clock."""


@dataclass(frozen=True)
class ClockFit:
    """What is known of a page's clock.

    Attributes
    ----------
    offset_s
        Seconds to add to the page's clock for the LSL clock.
    round_trip_s
        Shortest way there and back; the offset is wrong by half of that at most.
    jitter_s
        How far the offset of a single ping is from it, in 19 of 20 cases at most.
    """

    offset_s: float
    round_trip_s: float
    jitter_s: float

    @property
    def error_s(self) -> float:
        """The most by which the offset can be wrong."""
        return self.round_trip_s / 2


class PageClock:
    """The newest pings of one page; the one with the shortest round trip tells the offset (as in NTP and LSL)."""

    def __init__(self) -> None:
        self._pings: deque[tuple[float, float]] = deque(maxlen=KEPT)  # round trip, offset

    def add(self, sent_s: float, page_s: float, received_s: float) -> None:
        """Take in a ping.

        Parameters
        ----------
        sent_s, received_s
            When it was sent and its answer received, on the LSL clock.
        page_s
            What the page's clock said between the two.
        """
        self._pings.append((received_s - sent_s, (sent_s + received_s) / 2 - page_s))

    @property
    def alignment(self) -> ClockFit | None:
        """What the pings say; None before there are `FEWEST`."""
        if len(self._pings) < FEWEST:
            return None
        round_trip_s, offset_s = min(self._pings)
        apart_s = np.abs(np.array([offset for _, offset in self._pings]) - offset_s)
        return ClockFit(offset_s, round_trip_s, float(np.quantile(apart_s, 0.95)))
