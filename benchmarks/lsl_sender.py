"""An amplifier for benchmarks: a process of its own whose samples say when they were pushed.

Channel 0 carries the sample's number, exact in float32 for hours; channels 1 and 2 the time of the push in whole
seconds and the rest, so that a late push does not count as a late arrival.
"""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.epochs_stream import event_info
from realtime.sources.base import StreamSpec
from realtime.sources.publish import stream_info
from stimuli.markers import PICTURE, Marker

CARRIED = 3
"""Channels that carry the number and the time."""


@dataclass(frozen=True)
class Amplifier:
    """What is sent.

    Attributes
    ----------
    channels, rate_hz
        Of the EEG stream.
    samples_a_push
        How many samples are pushed together.
    onset_every_s
        Time between markers, each sent twice: as a string and as a number; None for none.
    tag
        Source id of the EEG stream; the markers' end in ``-markers`` (strings) and ``-events`` (numbers).
    pid
        Id of the process that sends.
    """

    channels: int
    rate_hz: float
    samples_a_push: int = 1
    onset_every_s: float | None = None
    tag: str = ""
    pid: int = 0

    @property
    def spec(self) -> StreamSpec:
        """Name, source id, rate and channels of the EEG stream."""
        return StreamSpec(self.tag, "EEG", self.tag, self.rate_hz, tuple(f"E{k}" for k in range(self.channels)))


@contextmanager
def sending(amplifier: Amplifier) -> Iterator[Amplifier]:
    """Send until the block ends, under a tag of its own."""
    amplifier = replace(amplifier, tag=f"bench-{uuid.uuid4().hex}")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_send, args=(theirs, amplifier), daemon=True)
    process.start()
    try:
        yield replace(amplifier, pid=process.pid or 0)
    finally:
        ours.close()
        process.kill()
        process.join()


def pushed_at(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return when samples ``[n, channels]`` were pushed, by the LSL clock."""
    seconds: NDArray[np.float64] = samples[:, 1].astype(np.float64) + samples[:, 2]
    return seconds


def _send(alive: Connection, amplifier: Amplifier) -> None:
    import pylsl

    tag, size, rate = amplifier.tag, amplifier.samples_a_push, amplifier.rate_hz
    outlet = pylsl.StreamOutlet(stream_info(amplifier.spec, tag, tag))
    markers: list[Any] = []
    if amplifier.onset_every_s is not None:
        text = pylsl.StreamInfo(f"{tag}-markers", "Markers", 1, pylsl.IRREGULAR_RATE, "string", f"{tag}-markers")
        markers = [pylsl.StreamOutlet(text), pylsl.StreamOutlet(event_info(f"{tag}-events"))]
    every = round((amplifier.onset_every_s or 0) * rate)
    block = np.random.default_rng(0).normal(0, 10, (size, amplifier.channels)).astype(np.float32)
    begun = pylsl.local_clock()
    number = trial = 0
    while not (number % max(1, round(rate / 4)) < size and alive.poll()):
        number += size
        time.sleep(max(0.0, begun + number / rate - pylsl.local_clock()))
        block[:, 0] = np.arange(number - size, number)
        block[:, 1], block[:, 2] = divmod(pylsl.local_clock(), 1.0)
        outlet.push_chunk(block, begun + number / rate)
        if markers and number // every > trial:
            trial += 1
            onset = begun + number / rate
            markers[0].push_sample([Marker(onset, PICTURE, f"p{trial}", {"trial": trial}).text()], onset)
            markers[1].push_sample([1], onset)
