"""An amplifier for benchmarks: a process of its own, whose first channel counts its samples, with faults on purpose."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Iterator
from itertools import chain, takewhile
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.senders import CHANNELS
from realtime.sources.base import WOKEN, Chunk, Marker, Notice, StreamSpec
from realtime.sources.fault_injection import OUTLET_KINDS, faulty_spec, inject, parse_faults
from realtime.sources.lsl import LslSource
from realtime.sources.publish import stream_info
from realtime.sources.simulation.outlet import Outlet

RATE_HZ = 250.0
SIZE = 5
"""Samples sent at a time."""
LEAD_S = 2.0
"""From the word to begin to the first sample: by then whoever reads has heard the word, too."""
FIRST_MARKER_S = 4.0
EVERY_S = 0.2
"""A marker comes every so often."""
LINGER_S = 8.0


class Amplifier:
    """The process and its word to begin.

    Parameters
    ----------
    send
        What it does, a function of its end of the pipe and of `what`: it says `ready_to_begin` once its streams are
        open, and sends from the time on that this returns.
    what
        What is to be sent; it must be picklable.

    Attributes
    ----------
    process
        To be killed or stopped.
    start
        True time of its first sample on the LSL clock, once it has begun.
    """

    def __init__(self, send: Callable[..., None], *what: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=send, args=(theirs, *what), daemon=True)
        self.process.start()
        theirs.close()  # so that one that dies is not waited for
        self.start = math.nan
        self._pipe.recv()

    def begin(self) -> None:
        """Let it send, `LEAD_S` from now; whoever is to read all of it has opened its streams."""
        self._pipe.send("go")
        self.start = float(self._pipe.recv())

    def begin_for(self, source: LslSource) -> Iterator[Chunk | Marker | Notice]:
        """Let it send once `source` reads, and return what is read."""
        events = source.events()
        source.wake()
        before = list(takewhile(lambda event: event is not WOKEN, events))  # it yields that once it reads
        self.begin()
        return chain(before, events)

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.process.join()


def ready_to_begin(pipe: Connection) -> float:
    """Say on `pipe` that the streams are open, wait for the word to begin, and return the time of the first sample."""
    import pylsl

    pipe.send("ready")
    pipe.recv()
    start = float(pylsl.local_clock()) + LEAD_S
    pipe.send(start)
    return start


def faulty_amplifier(tag: str, seconds: float, faults: tuple[str, ...], seed: int) -> Amplifier:
    """Return an amplifier and its marker stream with `faults`, as text, in them."""
    return Amplifier(_send, tag, seconds, faults, seed)


def _send(pipe: Connection, tag: str, seconds: float, faults: tuple[str, ...], seed: int) -> None:
    """Be the amplifier and the marker stream, with `faults` in them."""
    import pylsl

    parsed = parse_faults(",".join(faults))
    spec = StreamSpec(tag, "EEG", tag, RATE_HZ, CHANNELS)
    shown = faulty_spec(spec, parsed)
    own = tuple(fault for fault in parsed if fault.kind in OUTLET_KINDS)
    carried = tuple(fault for fault in parsed if fault.kind not in OUTLET_KINDS)
    outlet = Outlet(lambda source_id: stream_info(shown, tag, source_id), tag, own, SIZE)
    markers = pylsl.StreamOutlet(pylsl.StreamInfo(f"{tag} markers", "Markers", 1, 0, "string", f"{tag}-markers"))
    start = ready_to_begin(pipe)
    for item in inject(_taken(start, seconds, seed), carried, spec, seed):
        if isinstance(item, Chunk):
            time.sleep(max(0.0, item.arrived - pylsl.local_clock()))
            outlet.push(item)
        elif isinstance(item, Marker):
            markers.push_sample([item.text()], item.timestamp)
    pipe.poll(LINGER_S)


def _taken(start: float, seconds: float, seed: int) -> Iterator[Chunk | Marker]:
    """Yield the amplifier's chunks as they are to be sent, and the markers."""
    rng = np.random.default_rng(seed)
    trial = 0
    for number in range(0, round((seconds + 5.0) * RATE_HZ), SIZE):
        last = start + (number + SIZE - 1) / RATE_HZ + rng.exponential(3e-4)
        samples = rng.normal(0, 10, (SIZE, len(CHANNELS))).astype(np.float32)
        samples[:, 0] = np.arange(number, number + SIZE)
        yield Chunk(last - np.arange(SIZE)[::-1] / RATE_HZ, samples, last + 1e-4)
        if last >= (onset := start + FIRST_MARKER_S + EVERY_S * trial):
            yield Marker(onset, "picture", f"p{trial}", {"trial": trial})
            trial += 1
