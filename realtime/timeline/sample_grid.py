"""The time axis as it is handed on: samples with their places and times, holes in it, and what else was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.sources.base import Chunk

FaultKind = Literal[
    "clock-step", "foreign-clock", "backward", "duplicate", "rate", "burst", "marker-lost", "marker-late"
]


@dataclass(frozen=True)
class TimedChunk:
    """Consecutive samples with their place on the sample grid.

    Attributes
    ----------
    index
        int64 ``[n]``, position on the sample grid; a hole skips the numbers of the lost samples.
    times
        float64 ``[n]``, seconds on the LSL clock, jitter removed.
    samples
        float32 ``[n, channels]`` in microvolts.
    arrived
        LSL clock time at which this machine had the samples; None where nobody knows.
    """

    index: NDArray[np.int64]
    times: NDArray[np.float64]
    samples: NDArray[np.float32]
    arrived: float | None = None


@dataclass(frozen=True)
class Hole:
    """A place where the time axis is broken: samples were lost or, where `lost` is 0, their times do not go on.

    Attributes
    ----------
    index
        Grid position of the first sample after the hole, as that sample was or will be numbered.
    lost
        Number of samples lost.
    timestamp
        Time of the first sample after the hole, in seconds on the LSL clock.
    retroactive
        Whether samples from `index` on had been handed out already; their numbers were too low by `lost`.
    cause
        What happened, where it is not that samples were lost.
    """

    index: int
    lost: int
    timestamp: float
    retroactive: bool = False
    cause: str = "clock stepped"


@dataclass(frozen=True)
class Recount:
    """Samples that were lost in a hole which was reported before, beside those that were counted then.

    Attributes
    ----------
    lost
        How many more; below 0, how many fewer. No sample is numbered anew for it.
    timestamp
        Time of the first sample after the hole, in seconds on the LSL clock.
    """

    lost: int
    timestamp: float


@dataclass(frozen=True)
class Fault:
    """Something else wrong with a stream, in one line for people."""

    timestamp: float
    kind: FaultKind
    text: str


Timed = TimedChunk | Hole | Recount | Fault
"""What a time axis hands on."""


@dataclass
class Run:
    """Consecutive samples, rows ``[row, stop)`` of `chunk`, stamped by one line: `time` at grid position `anchor`."""

    chunk: Chunk
    row: int
    stop: int
    index: int
    anchor: int
    time: float
    period: float

    def move(self, places: int, seconds: float) -> None:
        """Move the samples by `places` on the grid, and by `seconds` beside."""
        self.index += places
        self.anchor += places
        self.time += places * self.period + seconds


def timed(runs: Sequence[Run]) -> TimedChunk:
    """Return consecutive runs of one chunk as one."""
    chunk, row, stop = runs[0].chunk, runs[0].row, runs[-1].stop
    if len(runs) == 1:  # nearly always
        index = np.arange(runs[0].index, runs[0].index + stop - row)
        times = np.asarray(runs[0].time + (index - runs[0].anchor) * runs[0].period, np.float64)
        return TimedChunk(index, times, chunk.samples[row:stop], chunk.arrived)
    lengths = [run.stop - run.row for run in runs]
    index = np.repeat([run.index - run.row for run in runs], lengths) + np.arange(row, stop)
    since = index - np.repeat([run.anchor for run in runs], lengths)
    times = np.repeat([run.time for run in runs], lengths) + since * np.repeat([run.period for run in runs], lengths)
    return TimedChunk(index.astype(np.int64), times, chunk.samples[row:stop], chunk.arrived)


class Outgoing:
    """Samples that are held, and what is handed on next.

    Parameters
    ----------
    rate_hz
        Nominal sampling rate.

    Attributes
    ----------
    held
        Samples that are not handed on yet, in order.
    items
        What is handed on, in order; whoever hands it on empties it.
    """

    def __init__(self, rate_hz: float) -> None:
        self.held: list[Run] = []
        self.items: list[Timed] = []
        self._rate_hz = rate_hz
        self._reported: dict[FaultKind, int] = {}

    def hand_out(self, upto: int) -> None:
        """Hand on the held samples before grid position `upto`."""
        ready = [run for run in self.held if run.index < upto]
        self.held = self.held[len(ready) :]
        if len(ready) == 1:  # nearly always
            self.items.append(timed(ready))
            return
        for _, group in groupby(ready, key=lambda run: id(run.chunk)):
            self.items.append(timed(list(group)))

    def report(
        self, index: int, kind: FaultKind, timestamp: float, text: str, *, every_s: float = 10.0, again: bool = False
    ) -> None:
        """Report a fault, the same kind not more often than every `every_s` seconds of samples.

        Parameters
        ----------
        index
            Grid position of the sample that comes next.
        kind, timestamp, text
            What is wrong, and since when by the LSL clock in seconds.
        every_s
            Seconds of samples between two reports of a kind; infinite for one in all.
        again
            Whether to report it however short ago the last one was.
        """
        before = self._reported.get(kind)
        if again or before is None or index - before > every_s * self._rate_hz:
            self._reported[kind] = index
            self.items.append(Fault(timestamp, kind, text))

    def report_repeated(self, index: int, timestamp: float, count: int) -> None:
        """Report, before grid position `index`, that `count` samples came a second time, the newest at `timestamp`.

        Parameters
        ----------
        index
            Grid position of the sample that comes next.
        timestamp
            The newest timestamp, in seconds.
        count
            How many came twice.
        """
        self.report(index, "duplicate", timestamp, f"{count} samples came twice and were left out")

    def report_stall(self, index: int, timestamp: float, late_s: float) -> None:
        """Report, before grid position `index`, that samples came up to `late_s` seconds late, until `timestamp`.

        Parameters
        ----------
        index
            Grid position of the sample that comes next.
        timestamp
            Until when, in seconds by the LSL clock.
        late_s
            How late the latest was, in seconds.
        """
        late = f"{1e3 * late_s:.0f} ms late"
        self.report(
            index, "burst", timestamp, f"samples came up to {late}, then at once: the sender or the network stalled"
        )

    def split(self, at: int) -> None:
        """Have a run begin at grid position `at`."""
        if not any(run.index < at < run.index + run.stop - run.row for run in self.held):
            return
        held: list[Run] = []
        for run in self.held:
            cut = run.row + at - run.index
            if run.row < cut < run.stop:
                held.append(Run(run.chunk, run.row, cut, run.index, run.anchor, run.time, run.period))
                held.append(Run(run.chunk, cut, run.stop, at, run.anchor, run.time, run.period))
            else:
                held.append(run)
        self.held = held
