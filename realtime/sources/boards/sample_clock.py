"""Timestamps of a board's samples: which sample it is by the package counter, when it was by the host's clock.

The host timestamps samples as they come over the radio or the cable, in bursts and late; the counter knows which are
missing but no time. Together they give a line, host time over sample number, on which losses stand as gaps.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMORY_S = 60.0
"""Seconds of chunks that the line is laid through; longer is steadier, shorter follows the board's clock sooner."""
WARM_UP_S = 2.0
"""Seconds of which the first line is made; no sample is timestamped before."""
REFIT_S = 0.2
"""Seconds between two fits of the line."""
FOLLOW_S = 2.0
"""Time constant in seconds with which timestamps follow a line that has moved."""
TRUSTED_S = 10.0
"""Seconds of chunks from which the measured rate counts as much as the nominal one, if it is not sure before."""
ROUNDED = 0.3
"""Share of a round of the counter that a silence may lack to count as one: what is late is no loss."""
RATE_TOLERANCE = 3e-2
"""Share by which the measured rate may differ from the nominal one."""
SURE = 6.0
"""Standard errors from the nominal rate at which the measured one counts as much, however short the time."""
EARLY_S, EARLY_CHUNKS = 3e-3, 12
"""Where so many chunks in a row come so long before the line, in seconds, the line no longer holds."""
LATE = 3.0
"""Chunks this many median deviations later than usual waited somewhere, and earlier ones were timestamped by a clock
that was set since: neither says anything of the line."""
PROMPT = 0.1
"""Quantile of the delays that counts as no delay: a chunk is never early."""


class SampleCounter:
    """Number samples by the counter of their packages.

    Parameters
    ----------
    modulus
        After how many packages the counter begins again; None where that is not known, and a counter that falls then
        tells of no loss.
    """

    def __init__(self, modulus: int | None) -> None:
        self._modulus = modulus
        self._last: int | None = None
        self._host = 0.0
        self._next = 0
        self._run, self._per_package = 0, 1

    def number(self, counts: NDArray[np.int64], host: NDArray[np.float64], rate_hz: float) -> NDArray[np.int64]:
        """Return each sample's running number ``[n]``.

        A number that is left out is a lost sample; one that comes again is a sample that was sent twice.

        Parameters
        ----------
        counts
            ``[n]``: the counter.
        host
            ``[n]``: the host's timestamps in seconds; they tell how often the counter went round in a long silence.
        rate_hz
            Nominal sampling rate.
        """
        numbers = np.empty(len(counts), np.int64)
        for row, count in enumerate(counts.tolist()):
            if self._last is not None:
                silence = (float(host[row]) - self._host) * rate_hz - (len(counts) - row)
                self._next += 1 + self._lost(count - self._last, silence)
            numbers[row] = self._next
            self._last, self._host = count, float(host[row])
        return numbers

    def _lost(self, step: int, silence: float) -> int:
        """Return how many samples are missing before one whose counter is `step` further, `silence` in samples."""
        if step == 0:  # another sample of the same package
            self._run += 1
            return 0
        run = self._run
        self._per_package, self._run = run + 1, 0
        if self._modulus is None:
            return max(step - 1, 0) * self._per_package
        packages = (step - 1) % self._modulus
        if packages > self._modulus / 2 and silence < packages * self._per_package / 2:
            # There was no time to lose so many: the counter has gone back.
            return -1 - run - (self._modulus - packages - 1) * self._per_package
        rounds = (silence / self._per_package - packages - 1) / self._modulus
        return (packages + max(0, math.floor(rounds + ROUNDED)) * self._modulus) * self._per_package


class SampleClock:
    """Give numbered samples their times.

    Parameters
    ----------
    rate_hz
        Nominal sampling rate.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period, self._rate_hz = 1 / rate_hz, rate_hz
        self._seen: deque[tuple[int, float]] = deque()
        self._last: tuple[int, float] | None = None
        self._fitted: tuple[int, float, float] | None = None

    @property
    def ready(self) -> bool:
        """Whether enough was seen to lay a line; what came before is best left out."""
        return bool(self._seen) and self._seen[-1][0] - self._seen[0][0] >= WARM_UP_S * self._rate_hz

    def learn(self, numbers: NDArray[np.int64], host: NDArray[np.float64]) -> None:
        """Take in one chunk.

        Parameters
        ----------
        numbers
            ``[n]`` running numbers, as `SampleCounter` gives them.
        host
            ``[n]`` timestamps of the host in seconds.
        """
        prompt = int(np.argmin(host - numbers * self._period))
        self._seen.append((int(numbers[prompt]), float(host[prompt])))
        while self._seen[-1][0] - self._seen[0][0] > MEMORY_S * self._rate_hz:
            self._seen.popleft()

    def timestamp(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the times ``[n]`` of the chunk that was learned last, on the host's clock.

        They follow the line smoothly, so that only a loss is a gap.
        """
        newest = int(numbers[-1])
        if self._fitted is None or newest - self._fitted[0] >= REFIT_S * self._rate_hz:
            self._fitted = (newest, *self._fit())
        _, slope, level = self._fitted
        line: NDArray[np.float64] = level + slope * numbers.astype(np.float64)
        if self._last is None:
            timestamps = line
        else:
            before, timestamp = self._last
            timestamps = timestamp + (numbers - before).astype(np.float64) * slope
            share = min(1.0, (newest - before) * self._period / FOLLOW_S)
            timestamps = timestamps + share * float(line[-1] - timestamps[-1]) * (numbers - before) / max(
                newest - before, 1
            )
        self._last = (newest, float(timestamps[-1]))
        return timestamps

    def _fit(self) -> tuple[float, float]:
        """Return the seconds between two samples, and the time of number 0."""
        self._forget()
        seen = np.array(self._seen)
        origin, start = self._seen[0]
        index, host = seen[:, 0] - origin, seen[:, 1] - start
        slope, kept = self._period, np.ones(len(index), np.bool_)
        for _ in range(3):
            slope = float(np.polyfit(index[kept], host[kept], 1)[0]) if np.ptp(index[kept]) else self._period
            slope = min(max(slope, self._period * (1 - RATE_TOLERANCE)), self._period * (1 + RATE_TOLERANCE))
            delay = host - index * slope
            usual = float(np.median(delay))
            kept = np.abs(delay - usual) <= LATE * float(np.median(np.abs(delay - usual))) + 1e-9
        error = float(np.std(delay[kept])) / (float(np.std(index[kept])) * math.sqrt(np.count_nonzero(kept)) + 1e-9)
        span = (index[-1] * self._period / TRUSTED_S) ** 2
        sure = ((slope - self._period) / (SURE * error + 1e-15)) ** 2
        slope = self._period + (slope - self._period) * max(span / (1 + span), sure / (1 + sure))
        return slope, start + float(np.quantile(host - index * slope, PROMPT)) - slope * origin

    def _forget(self) -> None:
        """Forget what lies before the last chunks where all of these came before the line: none can be early."""
        if self._fitted is None or len(self._seen) <= EARLY_CHUNKS:
            return
        _, slope, level = self._fitted
        latest = [self._seen[row] for row in range(-EARLY_CHUNKS, 0)]
        if all(host - (level + slope * number) < -EARLY_S for number, host in latest):
            self._seen = deque(latest)


class BoardClock:
    """Give what a board sends its times: which sample it is by the counter, when it was by the line.

    Parameters
    ----------
    rate_hz
        Nominal sampling rate.
    modulus
        As for `SampleCounter`.

    Attributes
    ----------
    lost
        Samples that were lost since the first one that was given a time.
    """

    def __init__(self, rate_hz: float, modulus: int | None) -> None:
        self._rate_hz = rate_hz
        self._counter, self._line = SampleCounter(modulus), SampleClock(rate_hz)
        self._newest = -1
        self.lost = 0

    def timestamp(
        self, counts: NDArray[np.int64], host: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return which samples of a chunk are to be sent, ``[n]``, and the times of these.

        None are before there is a line, and none that was sent before.

        Parameters
        ----------
        counts
            ``[n]``: the counter.
        host
            ``[n]`` timestamps of the host in seconds.
        """
        numbers = self._counter.number(counts, host, self._rate_hz)
        new = numbers > np.maximum.accumulate(np.concatenate([[self._newest], numbers[:-1]]))
        numbers, host = numbers[new], host[new]
        if not len(numbers):
            return new, np.zeros(0)
        self._line.learn(numbers, host)
        if not self._line.ready:
            self._newest = int(numbers[-1])
            return np.zeros_like(new), np.zeros(0)
        self.lost += int(numbers[-1]) - self._newest - len(numbers)
        self._newest = int(numbers[-1])
        return new, self._line.timestamp(numbers)
