"""Which electrodes are out at which sample: flat, at the rails, or swinging wildly, until they are good again.

An electrode is judged at every sample, by it and those just before it alone: neither how the stream was cut into chunks
nor when markers came changes what is found, so a recording gives what the live session gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.epoching.signal_quality import WORST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import ArtefactSettings
    from realtime.timeline.sample_grid import Hole, TimedChunk

SPAN_S = 0.1
"""Seconds over which a swing is measured; a longer span finds a flat electrode later, a shorter one sooner in error."""
STILL_S = 0.02
"""Seconds for which an electrode must be flat at the end of a window for the window to be flagged: whether it stays so
is not known yet."""
WILD_S = 1.0
"""Seconds for which an electrode must swing wildly to be out; a blink lasts less."""
GOOD_S = 2.0
"""Seconds for which it must be good to be back."""
LEAD_S = 0.1
"""Seconds before a window's first sample from which its electrodes are as they were: in that time other weights are
made."""
BATCH_S = 0.05
"""Seconds of samples that are judged at once where nobody asks."""
_FEWEST_STILL = 4
_MOST_CHANGES = 1000


@dataclass(frozen=True)
class ElectrodeChange:
    """Electrodes are out of the map, or back in it, for windows that begin `LEAD_S` after sample `index` or later.

    Attributes
    ----------
    index
        Place of the sample on the grid.
    timestamp
        Its time, in seconds on the LSL clock.
    electrodes
        The names of all that change at this sample in this way.
    out
        Whether they are out; else they are back.
    why
        What was wrong, in one word.
    without
        All that are out now.
    none_left
        Whether that is every electrode there is.
    """

    index: int
    timestamp: float
    electrodes: tuple[str, ...]
    out: bool
    why: str
    without: tuple[str, ...]
    none_left: bool

    @property
    def text(self) -> str:
        """One line for people."""
        one, names = len(self.electrodes) == 1, ", ".join(self.electrodes)
        those = f"electrode {names} is" if one else f"electrodes {names} are"
        if self.none_left:
            return (
                f"{those} {self.why}: no electrode is left, and no window is decoded until one is good again; "
                "where that lasts, look at the reference and at stream.unit"
            )
        now = f"; out now: {', '.join(self.without)}" if self.without and self.without != self.electrodes else ""
        if not self.out:
            return f"{those} good again, and used from the next window on{now}"
        return f"{those} {self.why}: guessed from the others from the next window on{now}"


_Change = tuple[int, int, bool]
"""Sample, electrode, and what it became there."""


class ElectrodeWatch:
    """Judges every electrode at every sample.

    Parameters
    ----------
    channels
        Their names.
    rate_hz
        Their sampling rate.
    limits
        What is flat, and what swings too far.
    level
        Whether an offset counts as a swing, which it does behind a high-pass.
    """

    def __init__(self, channels: Sequence[str], rate_hz: float, limits: ArtefactSettings, *, level: bool) -> None:
        self._channels = tuple(channels)
        self._limits, self._level = limits, level
        self._span, self._wild, self._good, self._lead, self._batch = (
            max(2, round(seconds * rate_hz)) for seconds in (SPAN_S, WILD_S, GOOD_S, LEAD_S, BATCH_S)
        )
        self._short = min(self._span, max(_FEWEST_STILL, round(STILL_S * rate_hz)))
        n = len(self._channels)
        self._waiting: list[
            tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]
        ] = []
        self._n_waiting = 0
        self._raw = self._filtered = np.empty((0, n), np.float32)  # the samples just before the next ones
        self._bad_for, self._good_for = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._out = np.zeros(n, np.bool_)
        self._flat = np.zeros(n, np.bool_)  # whether what is out was flat
        self._changes: list[_Change] = []
        self._still = np.zeros(n, np.bool_)  # whether flat for the moment
        self._stills: list[_Change] = []
        self._told: list[ElectrodeChange] = []

    def push(self, raw: TimedChunk, filtered: TimedChunk) -> None:
        """Take in the next samples of the stream, and what the filters made of them; they are judged later."""
        self._waiting.append((filtered.index, filtered.times, raw.samples, filtered.samples))
        self._n_waiting += len(raw.samples)

    def hole(self, hole: Hole) -> None:
        """Begin anew behind a hole, the electrodes as they were."""
        self._judge()
        if hole.retroactive:
            for changes in (self._changes, self._stills):
                changes[:] = [(at + hole.lost * (at >= hole.index), which, to) for at, which, to in changes]
        self._raw, self._filtered = self._raw[:0], self._filtered[:0]
        self._bad_for[:] = self._good_for[:] = 0

    def changes(self) -> list[ElectrodeChange]:
        """Return what has changed since the last call, in so far as it is known."""
        if self._n_waiting >= self._batch:
            self._judge()
        told, self._told = self._told, []
        return told

    def out_for(self, first: int) -> tuple[str, ...]:
        """Return the electrodes that are out for a window whose first sample is at `first`, in the map's order."""
        return self._named(self._out_at(first - self._lead))

    def lost_in(self, first: int, stop: int) -> tuple[str, ...]:
        """Return the electrodes that were found bad, or are flat just before `stop`, though in the map from `first`."""
        if self._may_go():
            self._judge()
        before = self._out_at(first - self._lead)
        lost = self._still_at(stop - 1)
        for at, which, out in self._changes:
            lost[which] |= out and first - self._lead < at < stop
        return self._named(lost & ~before)

    def _named(self, state: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(name for name, out in zip(self._channels, state, strict=True) if out) if state.any() else ()

    def _out_at(self, index: int) -> NDArray[np.bool_]:
        """Return which electrodes are out from the sample at `index` on."""
        if self._waiting and index >= self._waiting[0][0][0]:
            self._judge()
        return _state_at(index, self._out, self._changes)

    def _still_at(self, index: int) -> NDArray[np.bool_]:
        """Return which electrodes are flat for the moment at the sample at `index`, without judging those that wait."""
        if not self._waiting or index < self._waiting[0][0][0] or self._limits.flat_uv is None:
            return _state_at(index, self._still, self._stills)
        raw = np.concatenate([self._raw, *(samples for _, _, samples, _ in self._waiting)])
        last = raw[: len(raw) - int(self._waiting[-1][0][-1]) + index][-self._short :]
        still: NDArray[np.bool_] = np.ptp(last, axis=0) < self._limits.flat_uv
        return still & (len(last) == self._short)

    def _may_go(self) -> bool:
        """Return whether an electrode may go out among the samples that wait: quicker than to judge them."""
        in_each_span = self._raw[max(0, self._n_waiting - 1) :]
        flat_uv = self._limits.flat_uv
        if flat_uv is not None and (len(in_each_span) < 2 or (np.ptp(in_each_span, axis=0) < flat_uv).any()):
            return True
        return bool((self._bad_for + self._n_waiting >= self._wild).any())

    def _judge(self) -> None:
        """Judge the samples that wait."""
        if not self._waiting:
            return
        index, times, raw, filtered = (
            parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*self._waiting, strict=True)
        )
        self._waiting, self._n_waiting = [], 0
        before = len(self._raw)
        raw, filtered = np.concatenate([self._raw, raw]), np.concatenate([self._filtered, filtered])
        flat, wild, good = self._verdicts(raw, filtered, before)
        self._note_still(index, raw, before)
        self._raw, self._filtered = raw[1 - self._span :], filtered[1 - self._span :]
        bad_for, good_for = _lasted(wild, self._bad_for), _lasted(good, self._good_for)
        goes, comes = flat | (bad_for >= self._wild), good_for >= self._good
        self._bad_for, self._good_for = bad_for[-1], good_for[-1]
        row = 0
        while row < len(index):
            changing = np.where(self._out, comes[row:], goes[row:])
            if not changing.any():
                return
            row += int(changing.any(axis=1).argmax())
            self._change(int(index[row]), float(times[row]), np.where(self._out, comes[row], goes[row]), flat[row])
            row += 1

    def _verdicts(
        self, raw: NDArray[np.float32], filtered: NDArray[np.float32], before: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return for each new sample and electrode whether it is flat, wild, or good; none of it is not yet known."""
        known = (np.arange(before, len(raw)) >= self._span - 1)[:, None]
        flat, wild = np.zeros((2, len(raw) - before, raw.shape[1]), np.bool_)
        good = np.ones_like(flat)
        if self._limits.flat_uv is not None:
            flat = self._swing(raw, before, self._span, level=False) < self._limits.flat_uv
        if self._limits.peak_to_peak_uv is not None:
            swing = self._swing(filtered, before, self._span, level=self._level)
            wild = swing >= WORST * self._limits.peak_to_peak_uv
            good = swing <= self._limits.peak_to_peak_uv
        return flat & known, wild & known, good & ~flat & known

    def _note_still(self, index: NDArray[np.int64], raw: NDArray[np.float32], before: int) -> None:
        """Note at which of the new samples electrodes begin and cease to be flat for the moment."""
        if self._limits.flat_uv is None:
            return
        still = self._swing(raw, before, self._short, level=False) < self._limits.flat_uv
        still &= (np.arange(before, len(raw)) >= self._short - 1)[:, None]
        rows, places = np.nonzero(np.diff(still, axis=0, prepend=self._still[None]))
        self._stills += [
            (int(index[row]), int(place), bool(still[row, place])) for row, place in zip(rows, places, strict=True)
        ]
        del self._stills[:-_MOST_CHANGES]
        self._still = still[-1]

    def _swing(self, samples: NDArray[np.float32], before: int, span: int, *, level: bool) -> NDArray[np.float32]:
        """Return the peak-to-peak of the last `span` samples at each new one; with `level` that of them and zero."""
        lead = span - 1 - before  # at the beginning, where nothing is known yet
        samples = np.concatenate([np.repeat(samples[:1], lead, axis=0), samples]) if lead > 0 else samples[-lead:]
        high, low = _extremes(samples, span)
        swing: NDArray[np.float32] = np.maximum(high, 0) - np.minimum(low, 0) if level else high - low
        return swing

    def _change(self, index: int, timestamp: float, changing: NDArray[np.bool_], flat: NDArray[np.bool_]) -> None:
        goes, comes = changing & ~self._out, changing & self._out
        self._out ^= changing
        self._flat[goes] = flat[goes]
        for out, those in ((True, goes), (False, comes)):
            self._changes += [(index, int(place), out) for place in np.flatnonzero(those)]
            for why, kind in (("flat", self._flat), ("wild", ~self._flat)):
                names = self._named(those & kind)
                if names:
                    without, none_left = self._named(self._out), bool(self._out.all())
                    self._told.append(ElectrodeChange(index, timestamp, names, out, why, without, none_left))
        del self._changes[:-_MOST_CHANGES]


def _state_at(index: int, now: NDArray[np.bool_], changes: Sequence[_Change]) -> NDArray[np.bool_]:
    """Return what was true of each electrode at the sample at `index`, from what is true `now` and what has changed."""
    state = now.copy()
    for at, which, to in reversed(changes):
        if at <= index:
            break
        state[which] = not to
    return state


def _extremes(samples: NDArray[np.float32], span: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the largest and the smallest of each `span` rows in succession, by spans that double."""
    high = low = samples
    width = 1
    while width < span:
        step = min(width, span - width)
        high, low = np.maximum(high[step:], high[:-step]), np.minimum(low[step:], low[:-step])
        width += step
    return high, low


def _lasted(true: NDArray[np.bool_], before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for how many samples each has been true ``[n, channels]``, those before the first among them."""
    rows = np.arange(1, len(true) + 1)[:, None]
    last_false = np.maximum.accumulate(np.where(true, 0, rows), axis=0)
    return np.where(last_false > 0, rows - last_false, np.where(true, before + rows, 0))
