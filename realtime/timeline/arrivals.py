"""How old the newest sample of each chunk is on arrival: the second witness beside the stamps.

Transport only ever delays, so the least age is the same as long as the clock that stamps is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.timeline.axis_settings import AxisSettings
    from realtime.timeline.outgoing import Outgoing


class Arrivals:
    """Ages of the last chunks.

    Parameters
    ----------
    settings
        What the time axis is tuned by.
    most
        How many are kept at least.
    """

    def __init__(self, settings: AxisSettings, most: int = 4096) -> None:
        self._set = settings
        self._most = most
        self._index = np.empty(2 * most, np.int64)
        self._arrived = np.empty(2 * most)
        self._ages = np.empty(2 * most)
        self._stop = 0

    def add(self, index: int, arrived: float, age: float) -> None:
        """Take in a chunk whose last sample is at grid position `index`.

        Parameters
        ----------
        index
            Grid position of its last sample.
        arrived, age
            When it was here, and how long after its last stamp, in seconds.
        """
        if self._stop == 2 * self._most:
            for ring in (self._index, self._arrived, self._ages):
                ring[: self._most] = ring[self._most :]
            self._stop = self._most
        self._index[self._stop], self._arrived[self._stop], self._ages[self._stop] = index, arrived, age
        self._stop += 1

    def move(self, index: int, places: int) -> None:
        """Renumber the chunks that end at grid position `index` or later."""
        self._index[int(np.searchsorted(self._index[: self._stop], index)) : self._stop] += places

    def shift(self, index: int, seconds: float) -> None:
        """Add `seconds` to the ages of chunks that end at grid position `index` or later."""
        self._ages[int(np.searchsorted(self._index[: self._stop], index)) : self._stop] += seconds

    def after(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return arrivals and ages of chunks that end at grid position `index` or later, not too old."""
        start = int(np.searchsorted(self._index[: self._stop], index))
        if start == self._stop:
            return self._arrived[:0], self._ages[:0]
        late = int(np.searchsorted(self._arrived[: self._stop], self._arrived[self._stop - 1] - self._set.start_s))
        start = max(start, min(late, self._stop - 8))
        return self._arrived[start : self._stop], self._ages[start : self._stop]

    def calm(self, since: int) -> bool:
        """Return whether chunks have come one after the other since grid position `since`, no backlog at once."""
        arrived, _ = self.after(since)
        return len(arrived) >= 3 and float(np.ptp(arrived)) >= 0.6 * self._set.quiet_s

    def grown(
        self, begun: int, quiet: int, since: int, longest: int, line: tuple[int, float, float]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return by how much samples got older against their stamps, and against a line; each with its standard error.

        Parameters
        ----------
        begun, quiet
            Grid positions: compared is what ended before `begun` with what ends at `quiet` or later.
        since, longest
            What ended before `since`, or more than `longest` samples before `begun`, is no measure.
        line
            Grid position, its time, and period.
        """
        ends = self._index[: self._stop]
        first, stop = np.searchsorted(ends, [max(since, begun - longest), begun]).tolist()
        start = self._stop - len(self.after(quiet)[0])
        if first >= stop or start >= self._stop:
            return (0.0, math.inf), (0.0, math.inf)
        lags = self._arrived[: self._stop] - (line[1] + (ends - line[0]) * line[2])
        ages, backlog_s = self._ages[: self._stop], 2 * self._set.burst_s
        by_stamp = _grown(ages[first:stop], ages[start:], backlog_s)
        return by_stamp, _grown(lags[first:stop], lags[start:], backlog_s)


def _grown(before: NDArray[np.float64], after: NDArray[np.float64], backlog_s: float) -> tuple[float, float]:
    """Return by how much the least of the ages grew, and how far off that is, without what waited for `backlog_s`."""
    before = before[before < before.min() + backlog_s]
    # The least of many is less than that of few: compared is the least of as many.
    count = min(len(after), max(1, len(before) // 4))
    usable = len(before) // count * count
    lows = before[-usable:].reshape(-1, count).min(axis=1)
    usual = float(np.median(lows))
    spread = float(np.abs(lows - usual).mean()) * 1.25
    few = (float(np.median(before)) - float(before.min())) / math.log(2) / count if len(lows) < 4 else 0.0
    return float(after.min()) - usual, max(spread, few)


class Punctuality:
    """Report samples that come late, and stamps of another clock than this machine's.

    Parameters
    ----------
    settings
        What is late, and how far off a clock is another one.
    """

    def __init__(self, settings: AxisSettings) -> None:
        self._set = settings
        self._fastest = math.inf

    def watch(self, out: Outgoing, index: int, last: float, arrived: float, correction: float) -> None:
        """Look at a chunk.

        Parameters
        ----------
        out
            What it is reported to.
        index
            Grid position of its first sample.
        last, arrived
            Stamp of its last sample, and when it was here.
        correction
            What stamps are corrected by, in seconds.
        """
        if abs(arrived - last) > self._set.foreign_s and not correction:
            text = f"stamps are {last - arrived:+.0f} s from the LSL clock: make the sender stamp with local_clock()"
            out.report(index, "foreign-clock", last, text)
        age = arrived - (last + correction)
        self._fastest = min(self._fastest, age)
        if age > self._fastest + 5 * self._set.burst_s:
            late = f"{1e3 * (age - self._fastest):.0f} ms later than usual"
            out.report(index, "burst", last, f"samples arrive {late}: the sender or the network stalled")

    def forget(self) -> None:
        """Learn anew how old samples are: their clock stepped."""
        self._fastest = math.inf
