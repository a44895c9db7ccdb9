"""Senders as they are met: how samples taken at even times get their timestamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.base import Chunk, Marker, StreamSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = ("Fz", "Cz", "Pz", "Oz")


@dataclass(frozen=True)
class Sender:
    """How a stream is timestamped.

    Attributes
    ----------
    spec
        The stream.
    start
        True time of the first sample.
    size
        Samples sent at a time; the last is timestamped when sent, the others are deduced from the nominal rate.
    late_s
        Mean of the exponential delay before sending.
    jitter_s
        Standard deviation of normal jitter on each timestamp.
    stalls
        Whether the radio stalls for 50 to 300 ms every 15 s on average, and what waited comes at once.
    about
        In words.
    """

    spec: StreamSpec
    start: float
    size: int
    late_s: float
    jitter_s: float
    stalls: bool
    about: str


def _spec(rate_hz: float) -> StreamSpec:
    return StreamSpec("faults", "EEG", "faults", rate_hz, CHANNELS)


SENDERS = {
    "amplifier": Sender(_spec(250), 5000.0, 5, 3e-4, 0.0, False, "250 Hz, chunks of 5, 0.3 ms late"),
    "jitter": Sender(_spec(250), 5000.0, 1, 0.0, 2e-3, False, "250 Hz, 2 ms normal jitter a sample"),
    "chunks": Sender(_spec(1000), 5000.0, 20, 1e-3, 0.0, False, "1 kHz, chunks of 20, 1 ms late"),
    "radio": Sender(_spec(256), 5000.0, 12, 4e-3, 0.0, True, "256 Hz, chunks of 12, 4 ms late, stalls"),
    "radio, single": Sender(_spec(250), 5000.0, 1, 4e-3, 0.0, True, "250 Hz, samples singly, 4 ms late, stalls"),
    "even": Sender(_spec(500), 5000.0, 1, 0.0, 0.0, False, "500 Hz, timestamps from a sample counter"),
}


def raw_timestamps(sender: Sender, true: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return the timestamps of samples taken at the times `true`."""
    rng = np.random.default_rng(seed)
    if not sender.late_s:
        return true + rng.normal(0, sender.jitter_s, len(true)) if sender.jitter_s else true.copy()
    last = np.minimum(np.arange(0, len(true), sender.size) + sender.size - 1, len(true) - 1)
    sent = true[last] + rng.exponential(sender.late_s, len(last))
    stall = float(true[0])
    while sender.stalls and stall < true[-1]:
        stall += rng.exponential(15.0)
        length = rng.uniform(0.05, 0.3)
        sent[(sent > stall) & (sent < stall + length)] = stall + length
    # Nothing overtakes, and a tenth of a millisecond lies between two sends.
    queue = 1e-4 * np.arange(len(sent))
    sent = np.maximum.accumulate(sent - queue) + queue
    lengths = np.diff(last, prepend=-1)
    return np.concatenate(
        [s - np.arange(n)[::-1] / sender.spec.rate_hz for s, n in zip(sent.tolist(), lengths.tolist(), strict=True)]
    )


def events(sender: Sender, seconds: float, *, markers: bool = False, seed: int = 0) -> list[Chunk | Marker]:
    """Return a live stream whose first channel carries the sample's number, with a marker every 0.2 s from 4 s on."""
    rate = sender.spec.rate_hz
    n = round(seconds * rate)
    timestamps = raw_timestamps(sender, sender.start + np.arange(n) / rate, seed)
    samples = np.random.default_rng(seed).normal(0, 10, (n, len(sender.spec.channels))).astype(np.float32)
    samples[:, 0] = np.arange(n)
    out: list[Chunk | Marker] = []
    trial = 0
    for start in range(0, n, sender.size):
        part = slice(start, start + sender.size)
        out.append(Chunk(timestamps[part], samples[part], float(timestamps[part][-1]) + 2e-4))
        onset = sender.start + 4.0 + 0.2 * trial
        if markers and timestamps[part][-1] >= onset:
            out.append(Marker(onset, "picture", f"p{trial}", {"trial": trial}))
            trial += 1
    return out
