"""The last seconds of a stream on its sample grid, kept in memory that is not moved with every chunk."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


BACK_S = 0.02
"""Seconds back in time from which what was before is of another clock; less is the time axis learning."""


class History:
    """At least the last `memory` samples, by grid position.

    Rows follow each other without gaps in memory; where the grid skips numbers, so do the rows' positions.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._start = 0
        self._stop = 0
        self._index = np.empty(0, np.int64)
        self._times = np.empty(0)
        self._arrived = np.empty(0)
        self._samples = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def tail(self) -> int:
        """Position of the oldest sample kept; 0 when there is none."""
        return int(self._index[self._start]) if self._stop > self._start else 0

    @property
    def head(self) -> int:
        """Position behind the newest sample; 0 when there is none."""
        return int(self._index[self._stop - 1]) + 1 if self._stop > self._start else 0

    @property
    def last_time(self) -> float:
        """Time of the newest sample."""
        return float(self._times[self._stop - 1])

    def append(
        self, index: NDArray[np.int64], times: NDArray[np.float64], samples: NDArray[np.float32], arrived: float | None
    ) -> None:
        """Add consecutive samples; where the clock stepped back, forget what was before.

        Parameters
        ----------
        index
            int64 ``[n]``: grid positions, rising.
        times
            float64 ``[n]``, seconds on the stream's clock.
        samples
            float32 ``[n, channels]``.
        arrived
            When the last of them arrived, in seconds on this machine's clock.
        """
        if len(self) and times[0] < self.last_time - BACK_S:
            self._start = self._stop
        if self._stop + len(index) > len(self._index):
            self._make_room(len(index), samples.shape[1])
        rows = slice(self._stop, self._stop + len(index))
        self._index[rows], self._times[rows] = index, times
        self._arrived[rows] = math.nan if arrived is None else arrived
        self._samples[rows] = samples
        self._stop = rows.stop
        # What is forgotten must not depend on when memory was moved.
        self._start = max(self._start, self._stop - self._memory)

    def shift(self, index: int, places: int, seconds: float) -> None:
        """Move the newest samples on the grid, because samples before them were lost.

        Parameters
        ----------
        index
            Grid position of the first that moves; all after it move too.
        places
            By how many positions they move.
        seconds
            By how much their times move.
        """
        row = self._row(index)
        self._index[row : self._stop] += places
        self._times[row : self._stop] += seconds

    def position(self, time: float, rate_hz: float) -> int:
        """Return the grid position nearest to `time`, be there a sample or not."""
        times = self._times[self._start : self._stop]
        right = min(int(np.searchsorted(times, time)), len(times) - 1)
        near = right - 1 if right and time - times[right - 1] <= times[right] - time else right
        return int(self._index[self._start + near]) + round(float(time - times[near]) * rate_hz)

    def samples(self, first: int, stop: int, every: int = 1) -> NDArray[np.float32]:
        """Return a copy of samples.

        Parameters
        ----------
        first, stop
            Grid positions ``[first, stop)``.
        every
            One sample is taken of so many, from the first one on.

        Raises
        ------
        IndexError
            If one of them is missing: what stands in memory behind the last is not a sample.
        """
        row = self._row(first)
        last = row + stop - first - 1
        if last >= self._stop or self._index[row] != first or self._index[last] != stop - 1:
            msg = f"samples {first} to {stop - 1} were asked for, and some of them are missing"
            raise IndexError(msg)
        return self._samples[row : row + stop - first : every].copy()

    def times(self, first: int, stop: int, every: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return times and arrival times (NaN where nobody knows) of the samples that `samples` returns.

        Parameters
        ----------
        first, stop, every
            As for `samples`.
        """
        row = self._row(first)
        rows = slice(row, row + stop - first, every)
        return self._times[rows], self._arrived[rows]

    def _row(self, index: int) -> int:
        return self._start + int(np.searchsorted(self._index[self._start : self._stop], index))

    def _make_room(self, n: int, n_channels: int) -> None:
        """Move what is kept to the front of memory twice as large as needed."""
        kept = slice(self._start, self._stop)
        size = 2 * (self._memory + n)
        for name in ("_index", "_times", "_arrived", "_samples"):
            old = getattr(self, name)
            new = np.empty((size, n_channels) if old.ndim == 2 else size, old.dtype)
            new[: len(self)] = old[kept] if len(self) else new[:0]
            setattr(self, name, new)
        self._start, self._stop = 0, kept.stop - kept.start
