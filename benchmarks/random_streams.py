"""A random stream and the truth about it: what its sender sends, with its faults, as it reaches a session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.random_faults import FAMILIES, RandomFault
from benchmarks.random_senders import RandomSender, clock_offsets, deliver, in_turn, pack, timestamp, true_times
from realtime.sources.base import Chunk, Marker, StreamSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Times = NDArray[np.float64]

CHANNELS = ("Fz", "Cz")
"""The first carries the sample's number, the second noise."""
FIRST_MARKER_S = 1.0


@dataclass(frozen=True)
class RandomStream:
    """A stream as it reaches a session, and the truth.

    Attributes
    ----------
    rate_hz
        Nominal rate.
    timestamps
        float64 ``[n]``, seconds, clock offset applied, one a sample.
    sample_number
        int64 ``[n]``, the truth: number of each sample at the sender.
    chunk_lengths
        int64 ``[chunks]``, samples in each.
    arrived
        float64 ``[chunks]``, when each was here, on the true clock.
    marker_onset, marker_arrived
        float64 ``[markers]``, on the true clock.
    true_time
        float64, of every sample number, lost ones too.
    no_value
        bool ``[n]``, which samples have no value in the second channel.
    faults
        What goes wrong, with times after the first sample.
    sender
        How it was made.
    """

    rate_hz: float
    timestamps: Times
    sample_number: NDArray[np.int64]
    chunk_lengths: NDArray[np.int64]
    arrived: Times
    marker_onset: Times
    marker_arrived: Times
    true_time: Times
    no_value: NDArray[np.bool_]
    faults: tuple[RandomFault, ...]
    sender: RandomSender

    @property
    def spec(self) -> StreamSpec:
        """What the stream says of itself."""
        return StreamSpec("random", "EEG", "random", self.rate_hz, CHANNELS)

    @property
    def lost(self) -> int:
        """How many samples are missing between the first and the last that came."""
        return int(np.ptp(self.sample_number)) + 1 - len(np.unique(self.sample_number))

    def events(self) -> Iterator[Chunk | Marker]:
        """Yield its chunks and markers in order of arrival."""
        taken = np.random.default_rng(0).normal(0, 10, (len(self.true_time), len(CHANNELS))).astype(np.float32)
        # A packet that comes twice carries the same samples.
        samples = taken[self.sample_number]
        samples[:, 0] = self.sample_number
        samples[self.no_value, 1] = np.nan
        stops = np.cumsum(self.chunk_lengths)
        starts, ends, arrived = (stops - self.chunk_lengths).tolist(), stops.tolist(), self.arrived.tolist()
        onsets = self.marker_onset.tolist()
        order = np.argsort(np.concatenate([self.arrived, self.marker_arrived]), kind="stable")
        for place in order.tolist():
            if place < len(starts):
                part = slice(starts[place], ends[place])
                yield Chunk(self.timestamps[part], samples[part], arrived[place])
            else:
                trial = place - len(starts)
                yield Marker(onsets[trial], "picture", f"p{trial}", {"trial": trial})


def random_stream(family: str, seed: int, seconds: float | None = None, start: float | None = None) -> RandomStream:
    """Return the stream of this family and seed.

    Parameters
    ----------
    family
        One of `FAMILIES`.
    seed
        The same stream for the same seed.
    seconds
        How long; as the family says where nothing is said.
    start
        True time of the first sample; up to a fortnight after the machine's start where nothing is said.
    """
    rng = np.random.default_rng([list(FAMILIES).index(family), seed])
    kind = FAMILIES[family]
    seconds = kind.seconds if seconds is None else seconds
    sender = kind.sender(rng)
    faults = tuple(sorted(kind.faults(rng, sender, seconds), key=lambda fault: fault.at_s))
    drawn = float(np.exp(rng.uniform(np.log(1e3), np.log(1e6))))
    return make_stream(sender, faults, seconds, drawn if start is None else start, rng)


def make_stream(
    sender: RandomSender, faults: tuple[RandomFault, ...], seconds: float, start: float, rng: np.random.Generator
) -> RandomStream:
    """Return what `sender` sends from `start` on for so many seconds, with `faults` in it."""
    of = {kind: [fault for fault in faults if fault.kind == kind] for kind in {fault.kind for fault in faults}}
    lost = of.get("loss", []) + of.get("restart", [])
    changes = {fault.at_s: fault.value for fault in of.get("rate", [])}
    true = true_times(sender, seconds, rng, changes, [fault.at_s + fault.for_s for fault in of.get("restart", [])])
    numbers, ends, ready = pack(sender, true, ~_within(true, lost), rng)
    held = of.get("stall", []) + of.get("burst", [])
    stalls = np.array([(fault.at_s, fault.at_s + fault.for_s) for fault in held]).reshape(-1, 2)
    timestamps, sent = timestamp(sender, true[numbers], ends, ready, stalls, rng)
    for step in of.get("step", []):
        timestamps = timestamps + step.value * np.repeat(sent >= step.at_s, np.diff(ends, prepend=0))
    arrived = deliver(sender, sent, stalls, rng)
    lengths = np.diff(ends, prepend=0)
    timestamps = timestamps + np.repeat(clock_offsets(sender, arrived, rng), lengths)
    numbers, timestamps, lengths, arrived = _twice(of.get("repeat", []), numbers, timestamps, lengths, arrived)
    lengths, arrived = _read(sender, lengths, arrived)
    onsets = FIRST_MARKER_S + np.cumsum(rng.uniform(0.25, 0.35, round(seconds / 0.25)))
    onsets = onsets[onsets < seconds - FIRST_MARKER_S]
    return RandomStream(
        rate_hz=sender.rate_hz,
        timestamps=start + timestamps,
        sample_number=numbers,
        chunk_lengths=lengths,
        arrived=start + arrived,
        marker_onset=start + onsets,
        marker_arrived=start + in_turn(onsets + 1e-3 + rng.exponential(1e-3, len(onsets))),
        true_time=start + true,
        no_value=_within(true, of.get("nan", []))[numbers],
        faults=faults,
        sender=sender,
    )


def _within(times: Times, faults: list[RandomFault]) -> NDArray[np.bool_]:
    """Return which of `times` lie in one of the `faults`: a loss takes as many samples as it says."""
    hit = np.zeros(len(times), bool)
    for fault in faults:
        first = int(np.searchsorted(times, fault.at_s))
        stop = first + int(fault.value) if fault.kind == "loss" else np.searchsorted(times, fault.at_s + fault.for_s)
        hit[first:stop] = True
    return hit


def _twice(
    faults: list[RandomFault], numbers: NDArray[np.int64], timestamps: Times, lengths: NDArray[np.int64], arrived: Times
) -> tuple[NDArray[np.int64], Times, NDArray[np.int64], Times]:
    """Send the packets that are due during `faults` twice, with the same timestamps, one copy behind the other."""
    times = np.ones(len(lengths), np.int64)
    for fault in faults:
        first = int(np.searchsorted(arrived, fault.at_s))
        times[first : max(first + 1, int(np.searchsorted(arrived, fault.at_s + fault.for_s)))] = 2
    which = np.repeat(np.arange(len(lengths)), times)
    starts = (np.cumsum(lengths) - lengths)[which]
    sizes = lengths[which]
    rows = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
    return numbers[rows], timestamps[rows], sizes, in_turn(arrived[which])


def _read(
    sender: RandomSender, lengths: NDArray[np.int64], arrived: Times
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Join what is read together: all that arrives within one cycle of the reader."""
    if not sender.cycle_s:
        return lengths, arrived
    firsts = np.flatnonzero(np.diff(arrived // sender.cycle_s, prepend=-1.0))
    return np.add.reduceat(lengths, firsts), arrived[np.append(firsts[1:], len(arrived)) - 1]
