"""From raw stamps to an honest time axis: jitter removed, lost samples kept as holes.

Stamps must come with clock offsets applied but never dejittered: a dejitterer counts samples and so hides lost ones.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from realtime.sources.base import Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

FaultKind = Literal["clock-step", "foreign-clock", "backward", "duplicate", "rate", "burst"]


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
        LSL clock time at which this machine had the samples.
    """

    index: NDArray[np.int64]
    times: NDArray[np.float64]
    samples: NDArray[np.float32]
    arrived: float


@dataclass(frozen=True)
class Hole:
    """A place where the time axis is broken: samples were lost or, where `lost` is 0, the clock stepped.

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
    """

    index: int
    lost: int
    stamp: float
    retroactive: bool = False


@dataclass(frozen=True)
class Fault:
    """Something else wrong with the stamps, in one line for people."""

    stamp: float
    kind: FaultKind
    text: str


class Timeline:
    """Give every sample a place on the sample grid and a time, and report what was lost."""

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.lost = 0
        self._next = 0
        self._origin = 0.0
        self._started = False
        self._jitter = 0.25 / rate_hz

    @property
    def rate_hz_measured(self) -> float:
        """Sampling rate by the stamps."""
        return self.rate_hz

    def push(self, chunk: Chunk) -> list[TimedChunk | Hole | Fault]:
        """Return the chunk's samples with their times, and the holes found, in order."""
        out: list[TimedChunk | Hole | Fault] = []
        index: list[int] = []
        times: list[float] = []
        start = 0
        for row, stamp in enumerate(chunk.stamps.tolist()):
            if not self._started:
                self._origin, self._started = stamp, True
            late = stamp - self._origin - self._next / self.rate_hz
            lost = round(late * self.rate_hz)
            if lost >= 1 and late > 0.5 / self.rate_hz + 6 * self._jitter:
                if index:
                    out.append(_timed(index, times, chunk, start))
                    index, times, start = [], [], row
                self._next += lost
                self.lost += lost
                late -= lost / self.rate_hz
                out.append(Hole(self._next, lost, stamp))
            self._jitter += 0.01 * (abs(late) - self._jitter)
            self._origin += 0.02 * late
            index.append(self._next)
            times.append(self._origin + self._next / self.rate_hz)
            self._next += 1
        if index:
            out.append(_timed(index, times, chunk, start))
        return out


def _timed(index: list[int], times: list[float], chunk: Chunk, start: int) -> TimedChunk:
    samples = chunk.samples[start : start + len(index)]
    return TimedChunk(np.array(index, np.int64), np.array(times), samples, chunk.arrived)
