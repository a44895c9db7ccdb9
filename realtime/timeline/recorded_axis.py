"""From raw timestamps to an honest time axis: jitter removed, lost samples kept as holes.

Timestamps must come with clock offsets applied but never dejittered: a dejitterer counts samples, and hides lost ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.base import Chunk
from realtime.timeline.jitter_model import EXCESS, KEPT, MEMORY, REFIT, Evidence, JitterModel
from realtime.timeline.lost_samples import (
    CERTAIN,
    FEWEST,
    QUEUED,
    STEEPEST,
    WINDOW,
    bend_or_shift,
    find_bend,
    lasts,
    longest,
    shift_at,
    shifted_by,
)
from realtime.timeline.observations import Repeats, Runs
from realtime.timeline.sample_grid import Hole, Outgoing, Run, Timed

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOUBT = 9.0
"""Evidence at which samples are held until it is clear what it means."""
CALM = 2.0
"""Evidence up to which jitter is learned."""
WARM_UP = 32
"""Timestamps that the jitter is learned from before anything is decided."""
WARM_UP_S = 1.0
"""Seconds that those timestamps must cover."""
FIT_S = 0.04
"""Seconds of samples after which a fit of the line is gone on with: the same however they were cut into chunks."""
HOLD_S = 2.0
"""Longest time for which doubtful samples are held."""
BURST_S = 0.05
"""Lateness from which a stall is worth a report."""
TOLERANCE_S = 0.004
"""Step backwards that is none: no sample lies further from its true time than an epoch may bear."""
TOLERABLE_S = 0.002
"""Correction of the line that is none: what was handed out before it stands."""
ASTRAY_S = 2.0
"""Time for which not one timestamp lies near the line before a new line is laid."""
UNSURE_S = 1.0
"""Time before a small correction in which the line may have been wrong already."""
DRIFT_S = 2.0
"""Time within which corrections to the same side are a change of the rate."""
LONGEST_HOLE_S = 60.0
"""A longer gap is another recording or another clock rather than lost samples."""
HOLE_AT_START_S = 0.5
"""Gap that is seen even in the first timestamps."""
EVEN = 1e-3
"""Samples by which timestamps are off at most that say nothing new of the line, once it is fitted to as many."""
RATE_TOLERANCE = 1e-3
"""Relative error of the nominal rate that is worth a report: a millisecond a second."""


class RecordedAxis:
    """Give every sample a place on the sample grid and a time, and report what was lost.

    Samples come out at once, except that those behind a sudden gap in the timestamps are held for up to `HOLD_S`,
    until it is clear whether samples were lost or are only late. A loss smaller than the jitter becomes clear only
    over many timestamps; it is reported as a retroactive hole. In the first `WARM_UP_S` only gross gaps are seen. The
    output is bit-equal however the samples are cut into chunks.

    Parameters
    ----------
    rate_hz
        Nominal sampling rate.

    Attributes
    ----------
    lost
        Samples lost so far.
    """

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.lost = 0
        self._period = 1 / rate_hz
        self._repeats = Repeats()
        self._runs = Runs(self._period)
        self._jitter = JitterModel(self._period)
        self._later = Evidence(CERTAIN + 2 * EXCESS)
        self._earlier = Evidence(CERTAIN + 2 * EXCESS)
        self._first = 0
        self._next = 0
        self._handed = 0
        self._doubted_from: int | None = None
        self._latest = 0.0
        self._previous = (0, 0.0)
        self._corrected = (0, 0.0)
        self._astray, self._astray_from = 0.0, 0
        self._bent: tuple[int, int] | None = None
        self._line, self._on_line = (0, 0.0, self._period), 0
        self._out = Outgoing(rate_hz)

    @property
    def next_index(self) -> int:
        """Grid position of the sample that will be pushed next, unless samples are lost before it."""
        return self._next

    @property
    def rate_hz_measured(self) -> float:
        """Sampling rate by the timestamps."""
        return 1 / self._jitter.period

    @property
    def jitter_s(self) -> float:
        """Standard deviation of the timestamps about the line of the sample grid."""
        return math.hypot(self._jitter.early, self._jitter.late)

    def push(self, chunk: Chunk) -> list[Timed]:
        """Return samples with their times, holes and faults, in order, as far as `chunk` makes them clear."""
        self._out.items = []
        newest = chunk.timestamps[-1:]
        chunk, repeated = self._repeats.remove(chunk)
        if repeated:
            self._out.report_repeated(self._next, float(newest[0]), repeated)
        if len(chunk.timestamps):
            if chunk.after_pause and self._jitter.n:
                self._resume(float(chunk.timestamps[0]))
            self._take(chunk)
            self._out.hand_out(self._handed)
        return self._out.items

    def _take(self, chunk: Chunk) -> None:
        rows = self._runs.observations(chunk.timestamps)
        edges = [*rows, len(chunk.timestamps)]
        self._place(chunk, 0, edges[0])
        given, done = chunk.timestamps[rows].tolist(), 0
        while done < len(rows):
            row, even = rows[done], self._follow_even(chunk.timestamps, rows[done:]) if self._is_even() else 0
            if not even:
                if row == self._runs.anew and self._is_cold():
                    self._jitter = JitterModel(self._period)  # it learned from samples that had waited
                self._observe(given[done])
            done += max(even, 1)
            self._place(chunk, row, edges[done])

    def _is_even(self) -> bool:
        """Return whether the timestamps have long been those of an even clock, and nothing speaks against the line."""
        known = self._on_line >= KEPT and self._jitter.asked is None and self._bent is None
        return known and self._doubted_from is None and not self._later.count and not self._earlier.count

    def _follow_even(self, timestamps: NDArray[np.float64], rows: list[int]) -> int:
        """Take in the timestamps of those `rows`, one after another, that go on with an even clock; return how many."""
        own = timestamps[rows[0] : rows[0] + int(np.argmax(np.diff(rows, append=rows[-1]) != 1)) + 1]
        residuals = self._jitter.away(self._next, own)
        even = int(np.argmax(np.append(np.abs(residuals) > EVEN * self._period, True)))
        if even:
            self._jitter.add_run(self._next, own[:even])
            self._previous = (self._next + even - 1, float(own[even - 1]))
            self._astray, self._astray_from = float(residuals[even - 1]), self._previous[0]
            self._line = self._jitter.line
        return even

    def _place(self, chunk: Chunk, row: int, stop: int) -> None:
        """Give the samples ``[row, stop)`` of `chunk` their numbers and times."""
        if row < stop:
            self._out.held.append(Run(chunk, row, stop, self._next, *self._line))
            self._next += stop - row
            if not self._in_doubt():
                self._handed = self._next

    def _observe(self, timestamp: float) -> None:
        """Take in the timestamp of the sample that comes next."""
        model = self._jitter
        if model.asked is not None and self._is_ripe(*model.asked):
            self._refit(timestamp)
        residual = timestamp - model.time(self._next) if model.n else 0.0
        model.add(self._next, timestamp)
        if self._is_cold():
            if abs(residual) > HOLE_AT_START_S:
                self._start_again(residual, timestamp)
            elif model.refit_due():
                model.refit()
        else:
            self._weigh(residual, timestamp)
        self._previous = (self._next, timestamp)
        self._line = (self._next, model.time(self._next), model.period)

    def _is_cold(self) -> bool:
        """Return whether too little is known yet to judge by."""
        return self._jitter.n <= WARM_UP or self._next - self._first < WARM_UP_S * self.rate_hz

    def _weigh(self, residual: float, timestamp: float) -> None:
        model = self._jitter
        self._on_line = self._on_line + 1 if abs(residual) <= EVEN * self._period else 0
        far = residual > max(0.75 * self._period, 6 * model.late)
        # What lies this far off speaks for a loss of many samples, of which one sample's evidence says little.
        nats = EXCESS if far else model.evidence(residual)
        # A timestamp close behind the one before waited in the same queue: that it is late is no news.
        queued = timestamp - self._previous[1] < QUEUED * (self._next - self._previous[0]) * self._period
        self._later.add(min(0.0, nats) if queued else nats)
        self._earlier.add(model.evidence(residual, earlier=True))
        if self._later.nats >= DOUBT or far:
            self._doubted_from = self._next if self._doubted_from is None else self._doubted_from
            self._latest = max(self._latest, residual)
        else:
            if self._latest > BURST_S:
                self._out.report_stall(self._next, timestamp, self._latest)
            self._doubted_from, self._latest = None, 0.0
        if residual < -(self._period + 8 * model.early):
            self._out.report(self._next, "backward", timestamp, f"timestamp {-1e3 * residual:.0f} ms before its time")
        # What was learned from few timestamps is not yet to be relied on.
        certain = CERTAIN * (1 + WARM_UP / model.n)
        if self._later.nats >= certain:
            self._judge(self._later)
        elif self._earlier.nats >= certain:
            self._judge(self._earlier)
        if residual * self._astray <= 0 or abs(residual) < 0.5 * max(TOLERANCE_S, self._period):
            self._astray, self._astray_from = residual, self._next
        elif self._next - self._astray_from > ASTRAY_S * self.rate_hz:
            self._learn_anew(self._astray_from)
        # Timestamps behind a loss that is not known yet would pass for jitter; those of an even clock say nothing new.
        if (
            self._on_line < KEPT
            and model.refit_due()
            and max(self._later.nats, self._earlier.nats) < CALM
            and not self._in_doubt()
        ):
            model.ask()

    def _is_ripe(self, n: int, index: int) -> bool:
        """Return whether it is time to take the fit to the first `n` timestamps, the last at grid position `index`.

        By then the chunk that they came in is mostly behind us, however the samples were cut.
        """
        return self._next - index >= FIT_S * self.rate_hz or self._jitter.n - n >= REFIT

    def _refit(self, timestamp: float) -> None:
        """Go on with the line that was asked for, before the sample at `timestamp`."""
        model = self._jitter
        before = model.time(self._next)
        model.take()
        if abs(model.time(self._next) - before) > TOLERABLE_S:
            self._break(self._handed - round(UNSURE_S * self.rate_hz), timestamp)
        if self._bent is not None and model.n > self._bent[1] + 2 * WARM_UP:
            # Where timestamps scatter widely, the new rate was not known well until now.
            if 2 * model.spread > TOLERABLE_S:
                self._break(self._bent[0], timestamp)
            self._bent = None
        self._check_rate(timestamp)

    def _in_doubt(self) -> bool:
        """Return whether late timestamps keep samples from being handed out."""
        return self._doubted_from is not None and self._next - self._doubted_from <= HOLD_S * self.rate_hz

    def _judge(self, evidence: Evidence) -> None:
        """Decide whether the last timestamps shifted by whole samples, by a clock step, or are only late."""
        model, period, most = self._jitter, self._period, longest(self._jitter)
        index, residuals = model.last(min(2 * evidence.count + 4 * FEWEST, most))
        bend, clear = bend_or_shift(model, index, residuals)
        if bend is not None:
            self._follow(int(index[bend.row]), bend.level, bend.slope)
            evidence.clear()
            return
        if not clear:
            return
        index, residuals = model.last(min(evidence.count + 8, most))
        level = model.location(residuals[-(max(evidence.count, 2) // 2) :])
        start = shift_at(model, residuals, level)
        shifted = residuals[start:]
        at, n = int(index[start]), len(shifted)
        if -max(TOLERANCE_S, period) < level < 0.5 * period:
            # The line lay wrong, or the clock offset was measured anew.
            evidence.clear()
            self._correct(at, level)
            return
        if not lasts(model, index[start:], shifted):
            return
        level = model.location(shifted)
        lost = shifted_by(model, index[start:], shifted, level)
        if lost is None:
            return
        evidence.clear()
        self._doubted_from, self._latest = None, 0.0
        if lost < 0 or level > LONGEST_HOLE_S:
            self._step(at, level)
        else:
            phase = level - lost * period
            self._lose(at, lost, phase if abs(phase) > 3 * model.spread / math.sqrt(n) else 0.0)

    def _learn_anew(self, since: int) -> None:
        """Give up a line that the timestamps have left for no known reason: lay a new one through the last of them."""
        model = self._jitter
        index, residuals = model.last(WINDOW)
        recent = index >= self._next - ASTRAY_S * self.rate_hz
        index, residuals = index[recent], residuals[recent]
        line = find_bend(index, residuals, model, places=1)
        level = model.location(residuals[len(residuals) // 2 :])
        self._later.clear()
        self._earlier.clear()
        if float(model.surprise(residuals - level).sum()) < line.surprise:
            self._step(int(index[0]), level)
        else:
            self._follow(int(index[0]), line.level, line.slope)
        self._break(since - round(UNSURE_S * self.rate_hz), model.time(since))

    def _correct(self, at: int, level: float) -> None:
        """Move the line by less than a sample from `at` on; corrections that follow each other are a drift."""
        if abs(level) <= TOLERABLE_S:
            self._jitter.move(self._next + 1, 0, level)
            return
        since, before = at - self._corrected[0], self._corrected[1]
        self._corrected = (at, level)
        if 0 < since < DRIFT_S * self.rate_hz and level * before > 0 and abs(level) < STEEPEST * since * self._period:
            self._follow(at, level, level / since)
        else:
            self._step(at, level)

    def _follow(self, at: int, seconds: float, slope: float) -> None:
        """Let the line go on from `at`, moved by `seconds`, with a period longer by `slope`."""
        if not slope:
            self._step(at, seconds)
            return
        model = self._jitter
        # Where exactly the rate changed is known no better than the timestamps' scatter tells.
        begun = max(self._first, at - math.ceil(model.spread / abs(slope)))
        self._out.hand_out(max(begun, self._handed))
        model.bend(at, seconds, slope)
        self._bent = (at, model.n)
        self._doubted_from, self._latest = None, 0.0
        for run in self._out.held:
            run.time, run.period = model.time(run.anchor), model.period
        text = f"samples come at {self.rate_hz_measured:.2f} Hz from here, the stream says {self.rate_hz:g} Hz"
        self._out.report(self._next, "rate", model.time(at), text)
        self._break(begun, model.time(at))

    def _lose(self, at: int, lost: int, phase: float) -> None:
        """Mark that `lost` samples are missing before the sample that was numbered `at`."""
        retroactive = at < self._handed
        self._astray = 0.0
        self._jitter.move(at, lost, phase)
        self._out.hand_out(max(at, self._handed))
        for run in self._out.held:
            run.move(lost, phase)
        self.lost += lost
        self._next += lost
        self._handed = max(at, self._handed) + lost
        self._out.items.append(Hole(at if retroactive else at + lost, lost, self._jitter.time(at + lost), retroactive))

    def _step(self, at: int, step: float) -> None:
        """Mark that timestamps moved by `step` at the sample numbered `at`, and follow them."""
        self._out.hand_out(max(at, self._handed))
        self._jitter.move(at, 0, step)
        for run in self._out.held:
            run.move(0, step)
        timestamp = self._jitter.time(at)
        text = f"timestamps moved by {step:+.3f} s; the new clock is followed"
        self._out.report(self._next, "clock-step", timestamp, text, again=True)
        self._break(at if abs(step) > self._period else at - round(UNSURE_S * self.rate_hz), timestamp)

    def _resume(self, timestamp: float) -> None:
        """Go on at `timestamp` after a pause that the recording itself marks: nothing has to be found out."""
        at, step = self._next, timestamp - self._jitter.time(self._next)
        if (lost := round(step / self._period)) > 0 and step <= LONGEST_HOLE_S:
            self._lose(at, lost, step - lost * self._period)
        else:
            self._jitter.move(at, 0, step)
            self._break(at, timestamp, f"pause of {step:.1f} s" if lost > 0 else "pause of unknown length")

    def _break(self, at: int, timestamp: float, cause: str = "clock stepped") -> None:
        """Mark that the times of the samples from `at` on do not go on from those before."""
        at = max(self._first, at)
        self._astray = 0.0
        retroactive = at < self._handed
        self._out.hand_out(max(at, self._handed))
        self._handed = max(at, self._handed)
        self._out.items.append(Hole(at, 0, timestamp, retroactive, cause))

    def _start_again(self, residual: float, timestamp: float) -> None:
        """Forget the few timestamps known when, this early, one lies far off."""
        lost = round(residual / self._period) if 0 < residual < LONGEST_HOLE_S else 0
        self._out.hand_out(self._next)
        self._next += lost
        self._first = self._handed = self._next
        self.lost += lost
        self._jitter = JitterModel(self._period)
        self._jitter.add(self._next, timestamp)
        self._out.items.append(Hole(self._next, lost, timestamp))

    def _check_rate(self, timestamp: float) -> None:
        error = self._period / self._jitter.period - 1
        if self._jitter.n > MEMORY // 2 and abs(error) > RATE_TOLERANCE:
            text = f"samples come at {self.rate_hz_measured:.2f} Hz, the stream says {self.rate_hz:g} Hz"
            self._out.report(self._next, "rate", timestamp, text, every_s=math.inf)
