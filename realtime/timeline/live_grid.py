"""What a live time axis takes to be so: the places of samples and the line of their times, and how to mend both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from realtime.timeline.arrivals import Arrivals, ClockOffset, Punctuality
from realtime.timeline.live_line import LiveLine
from realtime.timeline.recount import Counted
from realtime.timeline.sample_grid import Hole, Outgoing, Recount, Run
from realtime.timeline.timestamp_line import TimestampRing, change, creeping

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.sources.base import Chunk
    from realtime.timeline.axis_settings import AxisSettings


class LiveGrid:
    """Samples on the sample grid, the line through their timestamps, their arrivals, and what is handed on.

    Parameters
    ----------
    rate_hz
        Nominal sampling rate.
    settings
        What the time axis is tuned by.

    Attributes
    ----------
    line, track, arrivals, out
        The line, the last timestamps that are evidence, the last arrivals, and what is held and handed on.
    first, handed, next
        Grid positions: where the line begins, up to where samples were handed on, and the sample that comes next.
    lost
        Samples lost so far.
    offset, punctual
        What the sender's clock is off by now, and whether samples come late.
    correction, kept
        Seconds that are added to every timestamp, and how many of them for small offsets of the sender's clock.
    """

    def __init__(self, rate_hz: float, settings: AxisSettings) -> None:
        self._set = settings
        self._rate_hz = rate_hz
        self.line = LiveLine(1 / rate_hz, settings)
        self.track = TimestampRing(round(settings.line_s * rate_hz) + 256)
        self.arrivals = Arrivals(settings)
        self.offset = ClockOffset(rate_hz, settings)
        self.punctual = Punctuality(settings)
        self.out = Outgoing(rate_hz)
        self.first = self.handed = self.next = self.lost = 0
        self.correction = self.kept = 0.0
        self._doubtful: list[tuple[int, float]] = []
        self._counted: Counted | None = None
        self._carried = 0, 0.0

    def place(
        self, chunk: Chunk, start: int, stop: int, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Take in samples; return the grid positions and the corrected timestamps of those that are evidence.

        Parameters
        ----------
        chunk
            Samples as they came.
        start, stop
            Which of its rows are taken in.
        rows
            Which of them are evidence.
        """
        index = self.next + rows - start
        timestamps = chunk.timestamps[rows] + self.correction
        if not len(self.track) and len(rows):
            self.line.anchor, self.line.time = int(index[0]), float(timestamps[0])
        self.track.extend(index, timestamps)
        self.out.held.append(Run(chunk, start, stop, self.next, self.line.anchor, self.line.time, self.line.slope))
        self.next += stop - start
        return index, timestamps

    def hand_out(self, stop: int) -> None:
        """Hand on the samples before grid position `stop`."""
        self.out.split(stop)
        self.out.hand_out(stop)
        self.handed = max(self.handed, stop)

    def relax(self, samples: int) -> None:
        """Bring the line, and all that is laid on it, to where timestamps lie on average, as `samples` come.

        Offsets that are measured anew are none on average; what each is misjudged by would add up without end. Where
        ages on arrival tell them, the line is brought to the mean of the timestamps within seconds, elsewhere to the
        timestamps as they are within minutes. A clock that truly stepped by so little is followed late.
        """
        self.offset.follow(self.arrivals, self.next)
        self._decide()
        trust = self.offset.trust
        told = trust * (self.kept - self.offset.early) / self._set.before_s
        gone = samples * self.line.slope * (told + (1 - trust) * self.kept / (5 * self._set.line_s))
        self.kept -= gone
        self.correction -= gone
        self.line.time -= gone
        self.track.shift(0, self.next, -gone)
        self.arrivals.shift(0, gone, small=True)

    def set_clock_back(self, at: int, seconds: float) -> None:
        """Take `seconds` off the timestamps from grid position `at` on, and off those to come.

        Small ones are offsets measured anew, none on average. Larger ones are as well where offsets are seen to scatter
        as much, if only later.
        """
        if seconds:
            self._counted = None
        small = abs(seconds) <= (self._set.tolerable_s if self.offset.young else self.offset.largest)
        if not small and abs(seconds) <= self._set.offset_s:
            self._doubtful.append((at, seconds))
        self.track.shift(at, 1 << 62, -seconds)
        self.arrivals.shift(at, seconds, small=small)
        self.correction -= seconds
        if small:
            self.kept -= seconds
        self.punctual.forget()

    def _decide(self) -> None:
        """Take for offsets what was thought to be steps of the clock, where offsets scatter by as much."""
        if not self._doubtful or self.offset.young:
            return
        largest, oldest = self.offset.largest, self.next - round(5 * self._set.line_s / self.line.slope)
        recent = [(at, seconds) for at, seconds in self._doubtful if at > oldest]
        self._doubtful = [(at, seconds) for at, seconds in recent if abs(seconds) > largest]
        for at, seconds in recent:
            if abs(seconds) <= largest:
                self.kept -= seconds
                self.arrivals.shift(at, -seconds, small=False)
                self.arrivals.shift(at, seconds, small=True)
                self.offset.take_back(seconds, self.next - at)

    def hasten(self, seconds: float) -> None:
        """Take `seconds` off all timestamps, and those to come, and off the line: their samples waited for so long."""
        self.track.shift(0, self.next, -seconds)
        self.arrivals.shift(0, seconds, small=False)
        self.correction -= seconds
        self.line.time -= seconds

    def carry(self, at: int, seconds: float) -> int | None:
        """Move the line, and the timestamps before grid position `at`, by `seconds`.

        Where they moved to the same side a short while ago, another rate does it: nothing is moved, and the grid
        position is returned from which on a line is to be laid.
        """
        before, self._carried = self._carried, (at, seconds)
        if before[1] * seconds > 0 and at - before[0] < self._set.before_s * self._rate_hz:
            return before[0]
        if self._counted is not None and abs(at - self._counted.begin) < self._set.quiet_s * self._rate_hz:
            self._counted.carried_s += seconds
        else:
            self._counted = None
        self.track.shift(0, at, seconds)
        self.line.time += seconds
        self.out.split(at)
        for run in self.out.held:
            if run.index >= at:
                run.time += seconds
        return None

    def renumber(self, at: int, lost: int, phase: float, still: tuple[int, int, int]) -> None:
        """Mark that `lost` samples are missing before the sample that was numbered `at`.

        Parameters
        ----------
        at
            Grid position of the first sample behind the hole, as it was numbered.
        lost
            How many are missing.
        phase
            Seconds by which the line moves beside.
        still
            Grid positions as they were numbered: from where on nothing had moved, up to where, and from where on it is
            so again.
        """
        retroactive = at < self.handed
        before = self._counted
        self._counted = Counted(still[0], still[1], still[2] + lost, phase)
        if before is not None and before.at <= at < before.at + 2 * self._set.patience_s * self._rate_hz:
            self._counted = Counted(before.since, before.at, still[2] + lost, before.carried_s + phase)
        self.track.shift(0, at, phase)
        self.line.time += phase
        self.track.move(at, lost)
        self.arrivals.move(at, lost)
        self._doubtful = [(place + lost * (place >= at), seconds) for place, seconds in self._doubtful]
        if self.line.anchor >= at:
            self.line.anchor, self.line.time = self.line.anchor + lost, self.line.time + lost * self.line.slope
        self.out.split(at)
        self.out.hand_out(max(at, self.handed))
        for run in self.out.held:
            run.move(lost, phase)
        self.lost += lost
        self.next += lost
        self.handed = max(at, self.handed) + lost
        time = float(self.line.at(np.array([at + lost]))[0])
        self.out.items.append(Hole(at if retroactive else at + lost, lost, time, retroactive))

    def recount(self) -> bool:
        """Count the samples lost in the last hole anew, once it is due; return whether that made a difference."""
        hole = self._counted
        if hole is None or self.next - hole.begin < hole.wait_s(self._set) * self._rate_hz:
            return False
        more = hole.look(self.track, self.arrivals, self.line, self.next, self._set)
        if more:
            self.lost += more
            self.out.items.append(Recount(more, float(self.line.at(np.array([hole.begin]))[0])))
        return more != 0

    def crept(self, quiet: int, begun: int, until: int) -> int | None:
        """Return since when timestamps had moved by less than was noticed, as behind a lost sample; None if not.

        Parameters
        ----------
        quiet, begun, until
            Grid positions: only timestamps from `quiet` to `until` tell, those a moment before `begun` the sooner.
        """
        least, unit = max(0.45 / self._rate_hz, self.line.smallest), self.line.unit
        for share, since_s in ((6, self._set.patience_s / 3), (3, 2 * self._set.hold_s)):
            index, timestamps = self.track.since(max(quiet, begun - round(since_s * self._rate_hz)))
            index, timestamps = index[index < until], timestamps[index < until]
            residuals = timestamps - self.line.at(index)
            found, shift = creeping(residuals, unit, least)
            if found > self._set.certain / share:
                return int(index[change(residuals, shift, unit)[1]])
        return None

    def last_before(self, index: int) -> int:
        """Return the position behind the last timestamp before grid position `index`: what it stamped may not go on."""
        places, _ = self.track.since(index - round(self._set.hold_s * self._rate_hz))
        row = int(np.searchsorted(places, index))
        if self.line.doubt(1) * self._rate_hz > 1:
            # What jitter hides may have begun some timestamps before.
            row -= 2 * self._set.fewest
        return int(places[max(0, row - 1)]) + 1 if len(places) else index

    def break_off(self, at: int, timestamp: float, stop: int | None = None, cause: str = "clock stepped") -> None:
        """Mark that no window may touch the samples from `at` to `stop`, or the newest; they are handed out first.

        Parameters
        ----------
        at, stop
            Grid positions; where no `stop` is given, the newest sample's.
        timestamp
            Time of the break, by the LSL clock in seconds.
        cause
            What happened, for people.
        """
        self.hand_out(max(self.handed, self.next if stop is None else stop))
        self.out.items.append(Hole(max(self.first, at), 0, timestamp, True, cause))
