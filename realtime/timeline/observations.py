"""What raw timestamps say before any statistics: which of them are new evidence, and which samples came twice."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.base import Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECENT = 256
"""Samples among which a repeated one is looked for."""
SHORT = 32
"""Timestamps up to which lists take less time than arrays."""
AT_ONCE = 0.1
"""Share of the period within which a timestamp follows another when both samples were handed over together."""
FEWEST_PACKETS = 3
"""Packets after which their length is known."""


class Runs:
    """Tell deduced timestamps from given ones.

    A sender timestamps a chunk once; LSL deduces the other timestamps by adding the nominal period. Such a run says
    no more than its first timestamp. A run of more than a second is no chunk but an even clock, in which every sample
    is evidence. Where a sender timestamps samples one by one as it hands over a packet of them, all but the last have
    waited.

    Attributes
    ----------
    together
        Samples that are handed over at once; 1 where each comes alone, or as many as happen to.
    anew
        Row of the last timestamps that is the first evidence since `together` was learned; None where none of them is.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._second = max(2, round(1 / period))
        self._lengths: deque[int] = deque(maxlen=9)
        self._even = False
        self._place = 0
        self._last = -np.inf
        self.together = 1
        self.anew: int | None = None
        self._learned = False
        self._waiting = 0
        self._packets: deque[int] = deque(maxlen=9)

    def observations(self, timestamps: NDArray[np.float64]) -> list[int]:
        """Return the rows of `timestamps` that are new evidence."""
        steps, given, at_once = self._steps(timestamps)
        self._last = float(timestamps[-1])
        rows: list[int] = []
        row = 0
        for start in [*given, len(timestamps)]:
            rows += self._within_run(row, start)
            if start < len(timestamps):
                self._end_run(steps[start] / self._period)
                rows.append(start)
                self._place = 1
            row = start + 1
        self.anew = None
        if self._each_alone() and not any(at_once[row] for row in rows):
            return rows
        kept: list[int] = []
        for row in rows:
            if self._is_evidence(at_once[row]):
                kept.append(row)
                if self._learned:
                    self.anew, self._learned = row, False
        return kept

    def _steps(self, timestamps: NDArray[np.float64]) -> tuple[list[float], list[int], list[bool]]:
        """Return how much longer than the period each step is, the rows of given timestamps, and who came at once."""
        period = self._period
        if len(timestamps) > SHORT:
            steps = np.diff(timestamps, prepend=self._last) - period
            apart = steps + period
            given = np.abs(steps) > np.maximum(1e-8, 4 * np.spacing(np.abs(timestamps)))
            at_once = (apart >= 0) & (apart < AT_ONCE * period)
            return steps.tolist(), np.flatnonzero(given).tolist(), at_once.tolist()
        stamped = timestamps.tolist()
        late = [timestamp - last - period for timestamp, last in zip(stamped, [self._last, *stamped[:-1]], strict=True)]
        rows = [row for row, step in enumerate(late) if abs(step) > max(1e-8, 4 * math.ulp(stamped[row]))]
        return late, rows, [0 <= step + period < AT_ONCE * period for step in late]

    def _each_alone(self) -> bool:
        """Return whether it is long known that every sample is handed over by itself."""
        return self._waiting == 1 and not self._learned and self._packets.count(1) == self._packets.maxlen

    def _is_evidence(self, at_once: bool) -> bool:
        """Return whether the next sample with a timestamp of its own is the last of those handed over together."""
        if at_once:
            self._waiting += 1
        else:
            if self._waiting:
                self._packets.append(self._waiting)
                if len(self._packets) >= FEWEST_PACKETS:
                    self._learn_packets()
            self._waiting = 1
        return self.together == 1 or self._waiting == self.together

    def _learn_packets(self) -> None:
        """Learn how many samples a packet holds; in a queue, as many as happen to, and each is evidence."""
        likely = median_low(self._packets)
        near = sum(4 * abs(length - likely) <= likely for length in self._packets)
        if near == len(self._packets):
            self._learned |= likely != self.together
            self.together = likely
        elif 2 * near < len(self._packets):
            self.together = 1

    def _within_run(self, row: int, stop: int) -> list[int]:
        """Return the rows of ``[row, stop)``, which go on with a run, that are evidence: every one of an even clock."""
        if row >= stop:
            return []
        even_from = row if self._even else row + self._second - self._place
        stride = median_low(self._lengths) if len(self._lengths) > 2 else self._second
        thinned = range(row + -self._place % stride, min(stop, even_from), stride)
        self._place += stop - row
        self._even |= self._place > self._second
        return [*thinned, *range(even_from, stop)]

    def _end_run(self, samples_late: float) -> None:
        """Learn the length of the run that ended; one that ends by whole samples is an even clock's that lost some."""
        if self._place and not (samples_late > 0.5 and abs(samples_late - round(samples_late)) < 0.05):
            self._lengths.append(min(self._place, self._second))
            self._even = False


class Repeats:
    """Find samples that came twice: same timestamp, same values, a short while apart."""

    def __init__(self) -> None:
        self._recent: deque[tuple[NDArray[np.float64], NDArray[np.float32]]] = deque()
        self._held = 0
        self._newest = -np.inf

    def remove(self, chunk: Chunk) -> tuple[Chunk, int]:
        """Return `chunk` without samples that had come before, and how many those were."""
        timestamps, newest = chunk.timestamps, self._newest
        rising = len(timestamps) > 0 and timestamps[0] > newest and bool((timestamps[1:] > timestamps[:-1]).all())
        again = [] if rising or not len(timestamps) else self._again(chunk)
        self._newest = float(timestamps[-1] if rising else timestamps.max(initial=newest))
        self._recent.append((timestamps, chunk.samples))
        self._held += len(timestamps)
        while self._held - len(self._recent[0][0]) >= RECENT:
            self._held -= len(self._recent.popleft()[0])
        if not again:
            return chunk, 0
        kept = np.delete(np.arange(len(timestamps)), again)
        return replace(chunk, timestamps=timestamps[kept], samples=chunk.samples[kept]), len(again)

    def _again(self, chunk: Chunk) -> list[int]:
        """Return the rows of `chunk` that had come before."""
        known = self._held
        timestamps = np.concatenate([*(timestamps for timestamps, _ in self._recent), chunk.timestamps])
        samples = np.concatenate([*(samples for _, samples in self._recent), chunk.samples])
        # Uneven weights: samples of a coarse converter often share their plain sum.
        weights = np.sqrt(np.arange(2.0, 2.0 + samples.shape[1]))
        # What has no value is as equal as any other: NaN itself equals nothing.
        values = (np.where(np.isfinite(samples), samples, 0) * weights).sum(axis=1)
        newest = np.maximum.accumulate(np.concatenate([[self._newest], chunk.timestamps]))
        behind = np.flatnonzero(chunk.timestamps <= newest[:-1]).tolist()
        return [row for row in behind if _known(timestamps, values, known + row)]


def _known(timestamps: NDArray[np.float64], values: NDArray[np.float64], row: int) -> bool:
    before = slice(max(0, row - RECENT), row)
    same = (timestamps[before] == timestamps[row]) & (values[before] == values[row])
    # In a flat signal stamped by a coarse clock, different samples look the same.
    return bool(same.any() and np.ptp(values[before]) > 0)
