"""The time axis as it is handed on: samples with their places and times, holes in it, and what else was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    stamp
        Time of the first sample after the hole, in seconds on the LSL clock.
    retroactive
        Whether samples from `index` on had been handed out already; their numbers were too low by `lost`.
    cause
        What happened, where it is not that samples were lost.
    """

    index: int
    lost: int
    stamp: float
    retroactive: bool = False
    cause: str = "clock stepped"


@dataclass(frozen=True)
class Fault:
    """Something else wrong with a stream, in one line for people."""

    stamp: float
    kind: FaultKind
    text: str


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
