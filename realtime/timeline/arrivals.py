"""How old the newest sample of each chunk is on arrival: the second witness beside the timestamps.

Transport only ever delays, so the least age is the same as long as the clock that timestamps is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.timeline.axis_settings import AxisSettings
    from realtime.timeline.sample_grid import Outgoing


class Arrivals:
    """Ages of the last chunks.

    Parameters
    ----------
    settings
        What the time axis is tuned by.
    most
        How many are kept at least.
    """

    def __init__(self, settings: AxisSettings, most: int = 10240) -> None:
        self._set = settings
        self._most = most
        self._index = np.empty(2 * most, np.int64)
        self._arrived = np.empty(2 * most)
        self._ages = np.empty(2 * most)
        self._raw = np.empty(2 * most)
        self._stop = 0

    def add(self, index: int, arrived: float, age: float, raw: float) -> None:
        """Take in a chunk whose last sample is at grid position `index`.

        Parameters
        ----------
        index
            Grid position of its last sample.
        arrived, age
            When it was here, and how long after its last timestamp, in seconds.
        raw
            The same where small offsets of the sender's clock are left in the timestamp.
        """
        if self._stop == 2 * self._most:
            for ring in (self._index, self._arrived, self._ages, self._raw):
                ring[: self._most] = ring[self._most :]
            self._stop = self._most
        self._index[self._stop], self._arrived[self._stop] = index, arrived
        self._ages[self._stop], self._raw[self._stop] = age, raw
        self._stop += 1

    def move(self, index: int, places: int) -> None:
        """Renumber the chunks that end at grid position `index` or later."""
        self._index[int(np.searchsorted(self._index[: self._stop], index)) : self._stop] += places

    def shift(self, index: int, seconds: float, *, small: bool) -> None:
        """Add to the ages of chunks.

        Parameters
        ----------
        index
            Grid position: those that end there or later.
        seconds
            What is added.
        small
            Whether that is for a small offset, which raw ages keep.
        """
        row = int(np.searchsorted(self._index[: self._stop], index))
        self._ages[row : self._stop] += seconds
        if not small:
            self._raw[row : self._stop] += seconds

    def least(self, start: int, stop: int) -> float | None:
        """Return the least raw age of the chunks that end at grid positions ``[start, stop)``; None where none does."""
        first, last = np.searchsorted(self._index[: self._stop], [start, stop]).tolist()
        return float(self._raw[first:last].min()) if last > first else None

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
        """Return by how much samples got older against timestamps and against a line, each with its standard error.

        Parameters
        ----------
        begun, quiet
            Grid positions: compared is what ended before `begun` with what ends at `quiet` or later.
        since, longest
            What ended before `since`, where anything came later, or more than `longest` samples before `begun`, is no
            measure.
        line
            Grid position, its time, and period.
        """
        ends = self._index[: self._stop]
        first, stop = np.searchsorted(ends, [max(since, begun - longest), begun]).tolist()
        if first >= stop:  # nothing came between what moved last and this
            first = int(np.searchsorted(ends, begun - longest))
        start = self._stop - len(self.after(quiet)[0])
        if first >= stop or start >= self._stop:
            return (0.0, math.inf), (0.0, math.inf)
        lags = self._arrived[: self._stop] - (line[1] + (ends - line[0]) * line[2])
        ages, backlog_s = self._ages[: self._stop], 2 * self._set.burst_s
        by_timestamp = _grown(ages[first:stop], ages[start:], backlog_s)
        return by_timestamp, _grown(lags[first:stop], lags[start:], backlog_s)

    def stepped(self, since: int) -> tuple[int, float, float] | None:
        """Return since when samples are older, or younger, for good: grid position, seconds, and their standard error.

        Delays that are exponential have each age on the side that got older tell by how much of it is above the floor
        of the other side.

        Parameters
        ----------
        since
            Grid position: chunks that end there or later tell.
        """
        row = int(np.searchsorted(self._index[: self._stop], since))
        ends, arrived, ages = (ring[row : self._stop] for ring in (self._index, self._arrived, self._ages))
        if len(ages) < 3:
            return None
        behind = np.arange(1, len(ages))
        grown = np.minimum.accumulate(ages[::-1])[::-1][1:] - np.minimum.accumulate(ages)[:-1]
        scatter = float(np.median(np.abs(np.diff(ages)))) + self._set.clocks_s
        nats = np.where(grown > 0, len(ages) - behind, behind) * np.abs(grown) / scatter
        best = int(np.argmax(nats))
        unsure = scatter / (best + 1) + scatter / (len(ages) - best - 1)
        young = arrived[best + 1] > arrived[-1] - self._set.quiet_s  # what waited may come at once
        least = self._set.sure * unsure + self._set.tolerable_s
        if young or nats[best] < self._set.certain or abs(grown[best]) < least:
            return None
        return int(ends[best]) + 1, float(grown[best]), unsure

    def older(self, index: NDArray[np.int64], stop: int, width: int) -> NDArray[np.float64]:
        """Return by how many seconds the samples at `index` were older on arrival than they are on average.

        Parameters
        ----------
        index
            Grid positions in order.
        stop
            Grid position: only chunks that end before it tell.
        width
            Samples among which the youngest tells.
        """
        first, last = np.searchsorted(self._index[: self._stop], [index[0], stop]).tolist()
        ends, ages = self._index[first:last], self._ages[first:last]
        if not len(ends):
            return np.zeros(len(index))
        begins = np.flatnonzero(np.diff((ends - ends[0]) // width, prepend=-1))
        least = np.minimum.reduceat(ages, begins)
        found = least - np.median(least)
        found[np.abs(found) > self._set.offset_s] = 0.0  # what waited says nothing of clocks
        chunk = np.minimum(np.searchsorted(ends, index), len(ends) - 1)
        found = found[np.searchsorted(begins, chunk, side="right") - 1]
        return np.asarray(found - found.mean(), np.float64)


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


class ClockOffset:
    """What the sender's clock is off by now, against its mean over the last minutes, by how old samples are.

    A clock offset that is measured anew, wrong each time, makes samples older on arrival by as much as their
    timestamps are early. So the least ages of cells of a second or so say at any time where timestamps lie that are
    right on average.

    Parameters
    ----------
    rate_hz
        Nominal sampling rate.
    settings
        What the time axis is tuned by.

    Attributes
    ----------
    early
        Seconds by which timestamps are earlier than on average.
    trust
        Share of the variance of least ages that they do not owe to transport: they change between two cells, offsets
        after several.
    """

    def __init__(self, rate_hz: float, settings: AxisSettings) -> None:
        cell_s = settings.lines_s[-1]
        self._set = settings
        self._largest = settings.offset_s
        self._width = max(1, round(cell_s * rate_hz))
        self._first, self._most = round(settings.line_s / cell_s), round(5 * settings.line_s / cell_s)
        self._ignored = round(4 * settings.hold_s / cell_s)
        self._start = 0
        self.early = self.trust = 0.0
        self._begin(0.0)

    @property
    def largest(self) -> float:
        """Largest change, in seconds, that is an offset measured anew: by how offsets scatter, where some were seen."""
        most, least = self._set.offset_s, self._set.tolerable_s
        # An offset lasts for some cells, and what it is off by is not told before the next one.
        alike, deviations = self._set.fewest, self._set.sure * math.sqrt(2)
        seen, beforehand = max(0, self._count - alike), 2 * alike
        total = beforehand * (most / deviations) ** 2 + seen * self._variance
        return min(most, max(least, deviations * math.sqrt(total / (beforehand + seen))))

    @property
    def young(self) -> bool:
        """Whether too few offsets were seen to tell how they scatter."""
        return self._count < 2 * self._first

    def _begin(self, least: float) -> None:
        """Forget all; samples are `least` seconds old."""
        self._usual = self._last = least
        self._count = self._strange = 0
        self._variance = 0.0
        self._changes: list[float] = []
        self.early = self.trust = 0.0

    def follow(self, arrivals: Arrivals, stop: int) -> None:
        """Take in the cells that end before grid position `stop`."""
        while self._start + self._width <= stop:
            least = arrivals.least(self._start, self._start + self._width)
            self._start += self._width
            if least is not None:
                self._take(least)

    def take_back(self, seconds: float, samples: int) -> None:
        """Reckon with a step that was taken off ages, by `seconds` and `samples` ago, and was an offset after all."""
        share = min(1.0, samples / self._width / max(1, self._count))
        self._last -= seconds
        self._usual -= share * seconds
        self._variance += share * (1 - share) * seconds**2
        self.early = self._last - self._usual

    def _take(self, least: float) -> None:
        """Take in the least age of a cell, in seconds."""
        off = least - self._usual
        # What waited says nothing of clocks, but for long, or at first, when what came before did.
        self._strange = self._strange + 1 if abs(off) > self._largest else 0
        if not self._count or self._strange > self._ignored or (off < -self._largest and self._count <= 3):
            self._begin(least)
            off = 0.0
        if self._strange:
            return
        if self._count:
            self._changes = [*self._changes[-15:], abs(least - self._last)]
        self._last = least
        self._count += 1
        weight = 1 / (self._count if self._count <= self._first else self._most)
        self._usual += weight * off
        self._variance += weight * (off * off - self._variance)
        self.early = least - self._usual
        if self._count > 3 and self._variance:
            self.trust = max(0.0, 1 - float(np.median(self._changes)) ** 2 / self._variance)


class Punctuality:
    """Report samples that come late, and timestamps of another clock than this machine's.

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
            Timestamp of its last sample, and when it was here.
        correction
            What timestamps are corrected by, in seconds.
        """
        if abs(arrived - last) > self._set.foreign_s and not correction:
            away = f"timestamps are {last - arrived:+.0f} s from the LSL clock"
            text = f"{away}: make the sender timestamp with local_clock()"
            out.report(index, "foreign-clock", last, text)
        age = arrived - (last + correction)
        self._fastest = min(self._fastest, age)
        if age > self._fastest + 5 * self._set.burst_s:
            late = f"{1e3 * (age - self._fastest):.0f} ms later than usual"
            out.report(index, "burst", last, f"samples arrive {late}: the sender or the network stalled")

    def forget(self) -> None:
        """Learn anew how old samples are: their clock stepped."""
        self._fastest = math.inf
