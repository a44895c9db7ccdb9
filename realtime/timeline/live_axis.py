"""The time axis of a live stream, of which timestamps and times of arrival both tell.

Timestamps that stay on a line say that nothing happened. Where they leave it, samples are held until the timestamps
lie on a line again; what then differs says what happened, whatever it was like in between. Lost samples move the line
of the timestamps, a clock that steps moves it and the age of the samples on arrival against it, and a stall moves
neither.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from realtime.timeline.axis_settings import DEFAULT, AxisSettings
from realtime.timeline.explanations import Moved, explain, witnesses
from realtime.timeline.first_line import keep_clock, look_back
from realtime.timeline.live_grid import LiveGrid
from realtime.timeline.observations import Repeats, Runs
from realtime.timeline.sample_grid import Timed
from realtime.timeline.timestamp_line import MOST, bent, breaks, change, creeping, location, pinball

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.sources.base import Chunk


class LiveAxis:
    """Give every sample of a live stream a place on the sample grid and a time, and report what was lost.

    Parameters
    ----------
    rate_hz
        Nominal sampling rate.
    settings
        What it is tuned by.
    """

    def __init__(self, rate_hz: float, settings: AxisSettings = DEFAULT) -> None:
        self.rate_hz = rate_hz
        self._set = settings
        self._period = 1 / rate_hz
        self._grid = grid = LiveGrid(rate_hz, settings)
        self._line, self._track, self._arrivals, self._out = grid.line, grid.track, grid.arrivals, grid.out
        self._repeats = Repeats()
        self._runs = Runs(self._period)
        self._block = max(1, round(settings.block_s * rate_hz))
        self._fill = 0
        self.known = self._due = False
        self._stepped: int | None = None
        self._regime = self._quiet = self._fitted = self._refitted = self._broken = 0
        self._moving: int | None = None
        self._noticed = 0
        self._shifted: int | None = None
        self._losses: list[int] = []
        self._latest = 0.0

    @property
    def lost(self) -> int:
        """Samples lost so far."""
        return self._grid.lost

    @property
    def next_index(self) -> int:
        """Grid position of the sample that will be pushed next, unless samples are lost before it."""
        return self._grid.next

    @property
    def rate_hz_measured(self) -> float:
        """Sampling rate by the timestamps."""
        return 1 / self._line.slope

    @property
    def jitter_s(self) -> float:
        """Standard deviation of the timestamps about the line of the sample grid."""
        return 4 * self._line.scale

    def push(self, chunk: Chunk) -> list[Timed]:
        """Return samples with their times, holes and faults, in order, as far as `chunk` makes them clear."""
        newest = chunk.timestamps[-1:]
        chunk, repeated = self._repeats.remove(chunk)
        if repeated:
            self._out.report_repeated(self._grid.next, float(newest[0]), repeated)
        if len(chunk.timestamps):
            self._take(chunk)
            self._deliver()
        items, self._out.items = self._out.items, []
        return items

    def work_ahead(self) -> None:
        """Fit the line anew where that is due: the next samples would wait for it otherwise. It changes no result."""
        if self._due:
            self._due, self._refitted = False, self._grid.next
            self._fitted = self._line.refit(self._track, self._arrivals, self._regime, self._grid.next)
            if self._grid.next - self._fitted > self._set.lines_s[2] * self.rate_hz:
                self._report_rate(self._line.time)

    def _take(self, chunk: Chunk) -> None:
        arrived = chunk.arrived if chunk.arrived is not None else float(chunk.timestamps[-1])
        self._grid.punctual.watch(
            self._out, self._grid.next, float(chunk.timestamps[-1]), arrived, self._grid.correction
        )
        rows = np.array(self._runs.observations(chunk.timestamps), np.int64)
        if self._runs.anew is not None and not self.known:
            self._track.clear()
            rows = rows[rows >= self._runs.anew]
        age = arrived - float(chunk.timestamps[-1]) - self._grid.correction
        self._arrivals.add(self._grid.next + len(chunk.timestamps) - 1, arrived, age, age + self._grid.kept)
        start = 0
        while start < len(chunk.timestamps):
            stop = min(len(chunk.timestamps), start + self._block - self._fill)
            part = rows if stop - start == len(chunk.timestamps) else rows[(rows >= start) & (rows < stop)]
            self._place(chunk, start, stop, part)
            self._fill += stop - start
            start = stop
            if self._fill == self._block:
                self._fill = 0
                self._judge()

    def _place(self, chunk: Chunk, start: int, stop: int, rows: NDArray[np.int64]) -> None:
        """Give the samples ``[start, stop)`` of `chunk` numbers and times, and take in the timestamps of `rows`."""
        self.work_ahead()
        index, timestamps = self._grid.place(chunk, start, stop, rows)
        if self.known and len(rows):
            residuals = timestamps - self._line.at(index)
            if self._moving is not None:
                self._latest = max(self._latest, float(residuals.max()))
            elif (far := self._line.far(residuals)).any():
                self._moving, self._noticed = int(index[np.argmax(far)]), self._grid.next
                self._latest = float(residuals.max())

    def _judge(self) -> None:
        """Look at what the timestamps say, once a block."""
        if not self.known:
            self._start()
        elif self._moving is None and not self._scan():
            self._grid.relax(self._block)
            self._due |= self._grid.recount()
        if self.known and self._moving is not None:
            self._settle()

    # -- the start

    def _start(self) -> None:
        """Lay the first line through the last seconds, once nothing moves in them."""
        stepped = keep_clock(self._grid, self._period, self._set)
        self._stepped = stepped if stepped is not None else self._stepped
        begun = self._grid.first if self._stepped is None else self._stepped
        index, timestamps = self._track.since(begun)
        if not len(index):
            return
        waited = self._line.queue_s
        since = self._line.begin(index, timestamps, self._grid.next - begun, self._arrivals.calm)
        if since is None:
            return
        self._grid.hasten(self._line.queue_s - waited)
        self.known, self._moving = True, None
        self._line.recentre()
        self._refitted = self._fitted = since
        at = look_back(self._grid, since, self._period, self._set)
        self._regime = self._quiet = int(index[0]) if at is None else at
        if at is not None or self._stepped is not None or self._broken:
            cause = "timestamps were on no line" if at is None and self._broken else "time axis settled late"
            self._grid.break_off(self._grid.first, float(timestamps[-1]), cause=cause)
        self._stepped = None

    # -- all well

    def _scan(self) -> bool:
        """Look for timestamps that moved by less than their jitter; return whether that may be."""
        index, timestamps = self._track.since(self._fitted)
        if len(index) < 2:
            return False
        index, timestamps = index[-2 * MOST :], timestamps[-2 * MOST :]
        residuals = timestamps - self._line.at(index)
        unit = self._line.unit
        best, shift = creeping(residuals, unit, min(0.45 * self._period, 0.5 * self._set.tolerable_s))
        if best > self._set.certain:
            _, low, _ = change(residuals, shift, unit)
            self._moving, self._noticed = int(index[low]), self._grid.next
            self._latest = 0.0
            return True
        # Where a shift is in doubt, the line is left as it is for as long as it would take to be certain.
        doubtful = best > 0.3 * self._set.certain
        wait = 4 * self._set.hold_s * self.rate_hz if doubtful else 5 * self._block
        self._due = self._grid.next - self._refitted > wait
        return doubtful

    # -- something moved

    def _settle(self) -> None:
        """Find out what happened, once the timestamps lie on a line again."""
        begun = self._moving
        assert begun is not None
        index, timestamps = self._track.since(begun)
        residuals = timestamps - self._line.at(index)
        for seconds in self._set.quiets_s:
            rows = index > self._grid.next - seconds * self.rate_hz
            count = int(np.count_nonzero(rows))
            if count < self._set.fewest or index[-1] - begun < 0.8 * seconds * self.rate_hz:
                continue
            part = residuals[rows]
            level = location(part)
            alike = min(self._line.alike, 8.0)
            loss = float(pinball(part - level).mean()) / self._line.scale
            if loss > 1 + 4 * math.sqrt(alike / count):
                continue
            if breaks(part, alike, self._line.scale, self._line.smallest):
                continue
            if self._arrivals.calm(int(index[rows][0])) and self._resolve(level, index, residuals, int(index[rows][0])):
                return
        if self._grid.next - begun > self._set.patience_s * self.rate_hz and self._follow_rate(begun, index, residuals):
            return
        if self._grid.next - self._noticed > 4 * self._set.hold_s * self.rate_hz:
            self._begin_anew(begun)

    def _moved(self, level: float, doubt: float, begun: int, quiet: int) -> Moved:
        """Return by how much timestamps and arrivals moved from before `begun` until after `quiet`."""
        line = self._line.anchor, self._line.time, self._line.slope
        grown = self._arrivals.grown(begun, quiet, self._quiet, round(self._set.before_s * self.rate_hz), line)
        return witnesses(level, doubt, *grown)

    def _resolve(self, level: float, index: NDArray[np.int64], residuals: NDArray[np.float64], quiet: int) -> bool:
        """Go on from a stable line that lies `level` after the one before; return whether it is clear what happened."""
        begun = self._moving
        assert begun is not None
        # The first timestamps behind a shift may not have been far from the line yet.
        index, timestamps = self._track.since(max(self._quiet, begun - round(self._set.patience_s / 3 * self.rate_hz)))
        residuals = timestamps - self._line.at(index)
        unit, sure = self._line.unit, self._set.sure
        first = int(np.searchsorted(index, begun))
        row, low_row, high_row = first, first, first
        if abs(level) > sure * self._line.doubt(self._set.fewest):
            row, low_row, high_row = change(residuals, level, unit)
        # A smaller shift may have gone before.
        low = min(begun, int(index[low_row]))
        crept = self._grid.crept(self._quiet, begun, int(index[row]) if row < len(index) else self._grid.next)
        if crept is not None:
            low = min(low, crept)
        quiet = max(quiet, int(index[high_row]))
        behind = residuals[index >= quiet]
        waited = (self._grid.next - begun) / self.rate_hz
        if len(behind) < self._set.fewest:
            return False
        level, doubt = location(behind), self._line.doubt(len(behind))
        moved = self._moved(level, doubt, low, quiet)
        if waited < self._set.patience_s and not moved.agree(sure, self._set.clocks_s):
            return False
        found = explain(moved, self._period, self._set)
        lost, step, clear = found.lost, found.step, found.clear
        # One sample more or less must be told apart, and a change of the rate from a shift.
        fine = min(doubt, moved.lag_unsure) < 0.2 * self._period
        if not lost:
            fine = step != 0.0 or abs(level) <= sure * doubt
        slow = sure * doubt < abs(level) < self._set.steepest * (waited + self._set.patience_s / 3)
        # Where samples got older by what the timestamps moved, it is the clock.
        slow = slow and not (step and moved.told(sure, self._set.clocks_s))
        bend = bent(index, residuals, row, level, unit) if slow else -math.inf
        doubtful = not fine or bend > -self._set.certain / 3
        if bend > 0 or waited < self._set.patience_s * (2 if not clear else doubtful):
            return False
        at = int(index[row])
        # Between two timestamps nobody knows where in a packet samples are missing.
        sparse = bool((np.diff(index[max(0, row - 1) : row + 2]) > 1).all())
        after = np.flatnonzero(index > quiet)
        clean = int(index[after[0]]) if len(after) else self._grid.next
        low = self._grid.last_before(low)
        odd = self._line.far(residuals) & self._line.far(residuals - level)
        phase = level - step - lost * self._period
        handed_late = at < self._grid.handed
        self._moving = None
        timestamp = float(self._line.at(index[row : row + 1])[0])
        if self._latest > self._set.burst_s and odd.any():
            self._out.report_stall(self._grid.next, timestamp, self._latest)
        if not lost and not step:
            if abs(level) > sure * doubt:
                if self._follow_rate(begun, index, residuals):
                    return True
                if abs(level) > 0.5 * self._set.tolerable_s:
                    self._shifted = low
                if abs(level) > self._set.tolerable_s:
                    self._grid.break_off(low, timestamp, clean)
                self._regime = max(self._regime, self._grid.carry(at, level) or 0)
            self._due = self._grid.next - self._refitted > 5 * self._block  # the line may have strayed
            return True
        # Where nothing moved by as much as matters, it does not matter where it did.
        matters = lost or abs(step) > 0.25 * self._set.tolerable_s
        if lost or abs(step) > 0.5 * self._set.tolerable_s:
            self._shifted = low
        if step:
            self._grid.set_clock_back(at, step)
            if abs(step) > self._grid.offset.largest:
                text = f"timestamps moved by {step:+.3f} s; the old clock is kept, because samples did not come later"
                self._out.report(self._grid.next, "clock-step", timestamp, text, again=True)
        if lost:
            still = self._quiet, at if crept is None else low, quiet
            self._grid.renumber(at, lost, phase if abs(phase) > sure * doubt else 0.0, still)
        both = lost and abs(step) > 0.5 * self._set.tolerable_s
        if not clear or (odd.any() and matters) or both or (lost and (sparse or crept is not None or handed_late)):
            self._grid.break_off(low, timestamp, clean + lost)
        elif abs(step) > self._grid.offset.largest:
            self._grid.break_off(at, timestamp, clean + lost)
        self._quiet = quiet + lost
        if lost:
            recent = [place for place in self._losses if at - place < 2 * self._set.patience_s * self.rate_hz]
            self._losses = [*recent, at] if lost == 1 else []
            if len(self._losses) >= 3:  # single samples, one after the other: perhaps the rate has changed
                self._begin_anew(at + lost)
        return True

    def _follow_rate(self, begun: int, index: NDArray[np.int64], residuals: NDArray[np.float64]) -> bool:
        """Follow a change of the sampling rate, once the timestamps lie on a straight line that is not the old one."""
        rows = index > self._grid.next - self._set.rate_s * self.rate_hz
        if np.count_nonzero(rows) < 2 * self._set.fewest:
            return False
        places, part = index[rows], residuals[rows]
        found = self._line.straight(places, part, self._set.steepest)
        if found is None or not self._arrivals.calm(int(places[0])) or found[2] > 2 * self._line.scale + 1e-4:
            return False
        level, slope = found[:2]
        steep, least = abs(slope), self._line.smallest
        if steep > self._set.steepest * self._period or steep * self._set.rate_s / self._period < least:
            return False
        # Packets that beat with the timer that sends them fall behind by a sample at most.
        beats = abs(level) < self._period
        if beats and abs((self._line.slope + slope) / self._period - 1) > self._set.rate_tolerance:
            return False
        # What makes samples older by as much is no rate but an offset of the sender's clock, or two.
        if abs(level) <= self._grid.offset.largest:
            at_end = self._moved(level, self._line.doubt(len(part)), begun, int(places[-(len(places) // 4)]))
            if at_end.told(self._set.sure, self._set.clocks_s):
                return False
        first = level + slope * (begun - int(places[-1]))
        last = level + slope * (int(places[0]) - int(places[-1]))
        line = float(self._line.at(places[-1:])[0]) + level
        self._moving = None
        if first * last > 0 and min(abs(first), abs(last)) > max(0.5 * self._period, self._set.tolerable_s):
            doubt = self._line.doubt(len(part)) + 0.5 * abs(first - last)
            moved = self._moved(0.5 * (first + last), doubt, begun, int(places[0]))
            found_out = explain(moved, self._period, self._set)
            line -= found_out.step
            self._grid.set_clock_back(begun, found_out.step)
            if found_out.lost:
                self._grid.renumber(begun, found_out.lost, 0.0, (self._quiet, begun, int(places[0])))
                places = places + found_out.lost
                begun += found_out.lost
        # It may have begun before a timestamp was far from the line: where the new line leaves the old one.
        bend = int(places[-1]) - round(level / slope) if slope else begun
        since = min(begun, bend)
        if self._shifted is not None and since - self._shifted < 2 * self._set.hold_s * self.rate_hz:
            since = self._shifted  # what moved the line a moment ago was the same change
        else:
            since = max(self._quiet, since)
        handed = abs(level + slope * (self._grid.handed - int(places[-1])))
        off = math.inf if self._shifted == since else handed
        since -= self._block
        # Before times step back that no window may have.
        if off > 0.5 * max(self._set.tolerable_s, 0.5 * self._period):
            self._grid.break_off(since, self._line.time, cause="rate changed")
        self._line.time, self._line.anchor = line, int(places[-1])
        self._line.slope += slope
        self._line.recentre()
        self._regime = self._refitted = self._quiet = self._fitted = int(places[0])
        for run in self._out.held:
            run.time += (run.anchor - self._line.anchor) * self._line.slope + self._line.time - run.time
            run.period = self._line.slope
        self._report_rate(float(self._line.at(np.array([begun]))[0]))
        return True

    def _begin_anew(self, begun: int) -> None:
        """Give up what is known of the line: lay a new one through what comes, on the clock that samples arrive by."""
        moved = self._moved(0.0, math.inf, begun, self._grid.next - round(self.rate_hz))
        if abs(moved.older) > self._set.sure * (moved.unsure + self._set.clocks_s):
            self._grid.set_clock_back(begun, -moved.older)
        self.known, self._moving = False, None
        self._grid.first = begun

    # -- what is handed on

    def _deliver(self) -> None:
        """Hand out what is clear, and what has waited too long; that no window may have."""
        if self.known and self._moving is None:
            self._grid.hand_out(self._grid.next)
        elif not self.known or self._grid.next - self._noticed > self._set.hold_s * self.rate_hz:
            self._grid.hand_out(self._grid.next)
            begun = self._grid.first if self._moving is None else self._noticed
            if self._grid.next - max(begun + self._set.starts_s[-1] * self.rate_hz, self._broken) > self.rate_hz:
                self._grid.break_off(begun, self._line.time, cause="timestamps are on no line")
                self._broken = self._grid.next
        else:
            self._grid.hand_out(self._moving or 0)

    def _report_rate(self, timestamp: float) -> None:
        """Report a rate that is not the nominal one."""
        if abs(self._period / self._line.slope - 1) < self._set.rate_tolerance:
            return
        text = f"samples come at {self.rate_hz_measured:.2f} Hz, the stream says {self.rate_hz:g} Hz"
        self._out.report(self._grid.next, "rate", timestamp, text, every_s=math.inf)
