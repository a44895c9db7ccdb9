"""What a time axis hands on: samples as they become clear, holes, and each kind of fault not too often."""

from __future__ import annotations

from itertools import groupby

from realtime.timeline.sample_grid import Fault, FaultKind, Hole, Run, TimedChunk, timed


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
        self.items: list[TimedChunk | Hole | Fault] = []
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
        self, index: int, kind: FaultKind, stamp: float, text: str, *, every_s: float = 10.0, again: bool = False
    ) -> None:
        """Report a fault, the same kind not more often than every `every_s` seconds of samples.

        Parameters
        ----------
        index
            Grid position of the sample that comes next.
        kind, stamp, text
            What is wrong, and since when by the LSL clock in seconds.
        every_s
            Seconds of samples between two reports of a kind; infinite for one in all.
        again
            Whether to report it however short ago the last one was.
        """
        before = self._reported.get(kind)
        if again or before is None or index - before > every_s * self._rate_hz:
            self._reported[kind] = index
            self.items.append(Fault(stamp, kind, text))

    def report_repeated(self, index: int, stamp: float, count: int) -> None:
        """Report, before grid position `index`, that `count` samples came a second time, the newest at `stamp`.

        Parameters
        ----------
        index
            Grid position of the sample that comes next.
        stamp
            The newest stamp, in seconds.
        count
            How many came twice.
        """
        self.report(index, "duplicate", stamp, f"{count} samples came twice and were left out")

    def report_stall(self, index: int, stamp: float, late_s: float) -> None:
        """Report, before grid position `index`, that samples came up to `late_s` seconds late, until `stamp`.

        Parameters
        ----------
        index
            Grid position of the sample that comes next.
        stamp
            Until when, in seconds by the LSL clock.
        late_s
            How late the latest was, in seconds.
        """
        late = f"{1e3 * late_s:.0f} ms late"
        self.report(
            index, "burst", stamp, f"samples came up to {late}, then at once: the sender or the network stalled"
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
