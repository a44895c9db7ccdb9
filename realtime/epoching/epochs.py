"""Event-locked windows: handed on sample by sample while open, refused when any part cannot be trusted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from configs.errors import InputError
from configs.schema import ArtefactSettings
from realtime.epoching.epoch_events import Closed as Closed
from realtime.epoching.epoch_events import Epoch as Epoch
from realtime.epoching.epoch_events import EpochEvent as EpochEvent
from realtime.epoching.epoch_events import Opened as Opened
from realtime.epoching.epoch_events import RefusalKind as RefusalKind
from realtime.epoching.epoch_events import Refused as Refused
from realtime.epoching.epoch_events import Retracted as Retracted
from realtime.epoching.epoch_events import Samples as Samples
from realtime.epoching.epoch_events import SoFar as SoFar
from realtime.epoching.ring_buffer import History
from realtime.epoching.signal_quality import artefact_flags
from realtime.timeline.sample_grid import Hole, TimedChunk
from realtime.timeline.timeline import WARM_UP_S
from stimuli.markers import Marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.epoching.electrode_watch import ElectrodeWatch

WITHOUT = "without "
"""Begin of the flags that name the electrodes that a window was decoded without."""
MEMORY_S = 10.0
"""How far back a late marker may point, and a late hole may retract."""
TOLERANCE_S = 0.004
"""Seconds, or one sample if that is more, that a sample may lie from where its window puts it; more refuses less."""
MARGIN = 0.25
"""Share of that tolerance which is left to the time axis' own error; more refuses epochs sooner."""


@dataclass(frozen=True)
class Span:
    """Time from `start` to `stop`, in seconds on the LSL clock, that somebody marked as not to be used, and why."""

    start: float
    stop: float
    reason: str


@dataclass(frozen=True)
class _Break:
    """Grid positions ``[start, stop)`` that no window may touch, and why."""

    start: int
    stop: int
    reason: str
    kind: RefusalKind


@dataclass
class _Window:
    """A trial whose window of `length` samples, `every` so many of the stream, starts at grid position `first`.

    Of it `sent` samples were handed on.
    """

    trial: int
    marker: Marker
    first: int
    length: int
    every: int
    sent: int = 0
    without: tuple[str, ...] = ()

    def behind(self, length: int) -> int:
        """Return the grid position behind its first `length` samples."""
        return self.first + (length - 1) * self.every + 1

    def ready(self, head: int) -> int:
        """Return how many of its samples there are where the grid goes up to `head`."""
        return min(self.length, -((self.first - head) // self.every))

    def touches(self, gap: _Break) -> bool:
        """Return whether it holds, or lies about, one of the positions of `gap`."""
        return self.first < gap.stop and self.behind(self.length) > gap.start


class EpochBuilder:
    """Cut a window around each marker, whichever comes first, the marker or its samples.

    The windows that stand in the end do not depend on how the samples were cut into chunks nor on how markers and
    samples were interleaved, as long as a marker is at most ten seconds late. Where their rate is lower than the
    stream's, each takes every k-th sample from the one nearest to its own onset: with which sample the stream began
    makes no difference.

    Parameters
    ----------
    first_s, stop_s
        The window, in seconds after onset; `stop_s` itself is outside.
    rate_hz
        Rate of a window's samples.
    artefacts
        What flags an epoch.
    settle_s
        Time after a filter's start during which samples are not yet to be trusted.
    channels
        Channel names for flags; numbers where there are none.
    factor
        Samples of the stream for one of a window.
    first_trial
        Number of the first trial.
    watch
        Knows which electrodes are out; None where all are always in.
    answers
        After how many samples each window is told as far as it is, rising.

    Attributes
    ----------
    next_trial
        Number of the trial of the next marker.
    n_times
        Samples in a window.
    times_s
        float64 ``[n_times]``, times of a window's samples in seconds after onset.
    """

    def __init__(
        self,
        first_s: float,
        stop_s: float,
        rate_hz: float,
        artefacts: ArtefactSettings,
        settle_s: float,
        channels: Sequence[str] = (),
        factor: int = 1,
        first_trial: int = 0,
        watch: ElectrodeWatch | None = None,
        answers: Sequence[int] = (),
    ) -> None:
        self.rate_hz = rate_hz
        self._stream_hz = stream_hz = rate_hz * factor
        self._watch = watch
        self._factor = factor
        first = round(first_s * rate_hz)
        self._offset = first * factor
        self.n_times = round(stop_s * rate_hz) - first
        if self.n_times < 1:
            msg = f"window from {first_s:g} s to {stop_s:g} s holds no sample at {rate_hz:g} Hz: make it longer"
            raise InputError(msg)
        self.times_s = (first + np.arange(self.n_times)) / rate_hz
        self._told_at = (*answers, self.n_times)
        self._artefacts = artefacts
        self._settle = round(settle_s * stream_hz)
        self._channels = tuple(channels)
        self._piece = max(1, round(stream_hz))
        memory = round(MEMORY_S * stream_hz) + abs(self._offset) + self.n_times * factor + self._piece
        self._memory_s = memory / stream_hz
        self._history = History(memory)
        self._breaks: deque[_Break] = deque()
        self._waiting: list[tuple[int, Marker]] = []
        self._open: list[_Window] = []
        self._closed: deque[_Window] = deque()
        self._spans: list[Span] = []
        self.next_trial = first_trial

    @property
    def next_needed(self) -> float:
        """Grid position of the next sample that an open window holds; infinity where none is open."""
        return min((window.first + window.sent * self._factor for window in self._open), default=math.inf)

    def push(self, item: TimedChunk | Hole | Marker | Span) -> list[EpochEvent]:
        """Return what follows from the next samples, hole, marker or span."""
        if isinstance(item, Marker):
            self._waiting.append((self.next_trial, item))
            self.next_trial += 1
            return self._open_windows()
        if isinstance(item, Hole):
            return self._hole(item)
        if isinstance(item, Span):
            self._spans = [span for span in self._spans if span.stop >= item.start - self._memory_s] + [item]
            return []
        return self._samples(item)

    def finish(self, why: str | None = None) -> list[EpochEvent]:
        """Refuse what is still open or waiting, because no more samples will come: the stream ended, or `why`."""
        seen = len(self._history)
        kind: RefusalKind = "stream-ended" if why is None else "failed"
        end = why or (f"stream ended at {self._history.last_time:.3f} s" if seen else "stream ended without samples")
        events: list[EpochEvent] = [
            Refused(w.trial, w.marker, f"{end}, before the window was full", kind) for w in self._open
        ]
        events += [
            Refused(trial, marker, f"{end}, before onset at {marker.timestamp:.3f} s", kind)
            for trial, marker in self._waiting
        ]
        self._open, self._waiting = [], []
        return events

    def _samples(self, chunk: TimedChunk) -> list[EpochEvent]:
        events: list[EpochEvent] = []
        # A chunk may be a whole recording; in pieces, it never pushes out samples that a window still needs.
        for start in range(0, len(chunk.index), self._piece):
            piece = slice(start, start + self._piece)
            events += self._bad(chunk.index[piece], chunk.samples[piece])
            self._history.append(chunk.index[piece], chunk.times[piece], chunk.samples[piece], chunk.arrived)
            events += self._forgotten()
            events += self._open_windows()
        return events

    def _forgotten(self) -> list[EpochEvent]:
        """Refuse the open windows whose first samples were forgotten, because times stepped back."""
        tail = self._history.tail
        gone = [window for window in self._open if window.first < tail]
        if not gone:
            return []
        self._open = [window for window in self._open if window.first >= tail]
        reason = f"clock stepped back to {self._history.last_time:.3f} s, in the window"
        return [Refused(window.trial, window.marker, reason, "broken-time") for window in gone]

    def _bad(self, index: NDArray[np.int64], samples: NDArray[np.float32]) -> list[EpochEvent]:
        """Break the grid where filters started and where samples are not finite."""
        events: list[EpochEvent] = []
        if not len(self._history):
            settled = int(index[0]) + max(self._settle, round(WARM_UP_S * self._stream_hz))
            start = _Break(-(1 << 62), settled, "starts before the time axis and the filters had settled", "unsettled")
            events += self._break(start)
        if np.isfinite(samples).all():
            return events
        bad = index[~np.isfinite(samples).all(axis=1)]
        for run in np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1):
            stop = int(run[-1]) + 1 + self._settle
            events += self._break(
                _Break(int(run[0]), stop, "NaN or infinity in the window or too soon before it", "not-finite")
            )
        return events

    def _hole(self, hole: Hole) -> list[EpochEvent]:
        what = f"{hole.lost} samples lost" if hole.lost else hole.cause
        reason = f"{what} at {hole.timestamp:.3f} s, in the window or too soon before it"
        kind: RefusalKind = "lost-samples" if hole.lost else "broken-time"
        if not hole.retroactive:
            return self._break(_Break(hole.index - hole.lost, hole.index + self._settle, reason, kind))
        # Everything behind the hole was numbered too low, and the filters start anew only now: all of it is refused.
        head = self._history.head
        self._history.shift(hole.index, hole.lost, hole.lost / self._stream_hz)
        for window in (*self._open, *self._closed):
            window.first = min(window.first, hole.index)
        return self._break(_Break(hole.index, head + hole.lost + self._settle, reason, kind))

    def _break(self, gap: _Break) -> list[EpochEvent]:
        """Record `gap`; refuse the open windows and retract the closed ones that touch it."""
        self._breaks.append(gap)
        while self._breaks[0].stop < self._history.tail:
            self._breaks.popleft()
        events: list[EpochEvent] = []
        for window in [w for w in self._open if w.touches(gap)]:
            self._open.remove(window)
            events.append(Refused(window.trial, window.marker, gap.reason, gap.kind))
        for window in [w for w in self._closed if w.touches(gap)]:
            self._closed.remove(window)
            events.append(Retracted(window.trial, window.marker, gap.reason, gap.kind))
        return events

    def _open_windows(self) -> list[EpochEvent]:
        """Open the windows of waiting markers whose onset the samples have reached, and feed all that are open."""
        if not len(self._history):
            return []
        now = self._history.last_time
        reached = [(trial, marker) for trial, marker in self._waiting if marker.timestamp <= now]
        self._waiting = [(trial, marker) for trial, marker in self._waiting if marker.timestamp > now]
        events: list[EpochEvent] = []
        for trial, marker in reached:
            first = self._history.position(marker.timestamp, self._stream_hz) + self._offset
            window = _Window(trial, marker, first, self.n_times, self._factor)
            gap = next((gap for gap in self._breaks if window.touches(gap)), None)
            if gap is not None:
                events.append(Refused(trial, marker, gap.reason, gap.kind))
            elif first < self._history.tail:
                late = self._history.last_time - marker.timestamp
                reason = f"marker came {late:.1f} s after its samples, which are gone"
                events.append(Refused(trial, marker, reason, "late-marker"))
            else:
                events.append(Opened(trial, marker, marker.timestamp))
                self._open.append(window)
        # All in one go: windows close in the order of their onsets, however many samples came at once.
        return events + self._feed(self._open)

    def end(self, trial: int, length: int) -> None:
        """Let the window of `trial` end after `length` samples: what comes behind them is no part of it any more."""
        for window in [w for w in self._open if w.trial == trial]:
            self._open.remove(window)
            self._closed.append(window)
        for window in self._closed:
            if window.trial == trial:
                window.length = length

    def _feed(self, windows: Iterable[_Window]) -> list[EpochEvent]:
        """Hand on the samples that `windows` have not had, tell how far they are and close those that are full.

        What is told is in the order in which its last samples were recorded, and at one sample what closes comes first.
        """
        events: list[EpochEvent] = []
        told = []
        head = self._history.head
        for window in windows:
            ready = window.ready(head)
            told += [(window.behind(n), n, window) for n in self._told_at if window.sent < n <= ready]
        for _, n, window in sorted(told, key=lambda one: (one[0], -one[1])):
            events += self._hand_on(window)
            if n < self.n_times:
                epoch = self._epoch(window, n)
                events += [SoFar(window.trial, epoch)] if isinstance(epoch, Epoch) else []
            else:
                self._open.remove(window)
                events.append(self._close(window))
        for window in windows:
            events += self._hand_on(window)
        return events

    def _hand_on(self, window: _Window) -> list[EpochEvent]:
        ready = window.ready(self._history.head)
        if window.sent >= ready:
            return []
        if self._watch is not None and not window.sent:
            window.without = self._watch.out_for(window.first)
        begin = window.first + window.sent * self._factor
        new = self._history.samples(begin, window.behind(ready), self._factor)
        window.sent += len(new)
        return [Samples(window.trial, window.sent - len(new), new, window.without)]

    def _close(self, window: _Window) -> Closed | Refused:
        epoch = self._epoch(window, self.n_times)
        if isinstance(epoch, Refused):
            return epoch
        self._closed.append(window)
        while self._closed[0].first < self._history.tail:
            self._closed.popleft()
        return Closed(window.trial, epoch)

    def _epoch(self, window: _Window, length: int) -> Epoch | Refused:
        """Return the first samples of a window, or why they cannot be used."""
        behind = window.behind(length)
        samples = self._history.samples(window.first, behind, self._factor)
        times, arrived = self._history.times(window.first, behind, self._factor)
        off = times - (window.marker.timestamp + self.times_s[:length])
        if np.abs(off).max() > (1 - MARGIN) * max(TOLERANCE_S, 1 / self.rate_hz):
            reason = (
                f"its samples lie up to {1e3 * np.abs(off).max():.1f} ms from where {self.rate_hz:g} Hz puts them: "
                "the stream's rate is wrong"
            )
            return Refused(window.trial, window.marker, reason, "rate")
        if marked := [span for span in self._spans if span.start <= times[-1] and span.stop >= times[0]]:
            return Refused(window.trial, window.marker, marked[0].reason, "marked")
        flags = artefact_flags(samples, self._artefacts, self._channels, window.without)
        if self._watch is not None:
            flags += tuple(f"lost {name}" for name in self._watch.lost_in(window.first, behind))
        if window.without and len(window.without) == len(self._channels):
            return Refused(window.trial, window.marker, "all electrodes are flat or wild", "electrodes")
        if flags and self._artefacts.drop:
            return Refused(window.trial, window.marker, f"artefact: {', '.join(flags)}", "artefact")
        flags += tuple(f"{WITHOUT}{name}" for name in window.without)
        came = None if np.isnan(arrived[-1]) else float(arrived[-1])
        return Epoch(window.trial, window.marker, window.marker.timestamp, samples, flags, float(times[-1]), came)
