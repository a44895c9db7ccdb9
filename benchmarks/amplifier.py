"""An amplifier for benchmarks: a process of its own, whose first channel counts its samples, with faults on purpose."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.senders import CHANNELS
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.sources.fault_injection import OUTLET_KINDS, faulty_spec, inject, parse_faults
from realtime.sources.publish import stream_info
from realtime.sources.simulation.outlet import Outlet

RATE_HZ = 250.0
SIZE = 5
"""Samples sent at a time."""
LEAD_S = 8.0
"""From the start of the process to the first sample: readers take a while to open."""
FIRST_MARKER_S = 4.0
EVERY_S = 0.2
"""A marker comes every so often."""
LINGER_S = 8.0


class Amplifier:
    """The process and its word to begin.

    Parameters
    ----------
    send
        What it does, a function of its end of the pipe and of `what`: it tells the true time of its first sample, waits
        for the word to begin, and sends.
    what
        What is to be sent; it must be picklable.

    Attributes
    ----------
    process
        To be killed or stopped.
    start
        True time of its first sample on the LSL clock.
    """

    def __init__(self, send: Callable[..., None], *what: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=send, args=(theirs, *what), daemon=True)
        self.process.start()
        self.start = float(self._pipe.recv())

    def begin(self) -> None:
        """Let it send as soon as its start has come."""
        self._pipe.send("go")

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.process.join()


def faulty_amplifier(tag: str, seconds: float, faults: tuple[str, ...], seed: int, lead_s: float = LEAD_S) -> Amplifier:
    """Return an amplifier and its marker stream with `faults`, as text, in them, and first sample after `lead_s`."""
    return Amplifier(_send, tag, seconds, faults, seed, lead_s)


def _send(pipe: Connection, tag: str, seconds: float, faults: tuple[str, ...], seed: int, lead_s: float) -> None:
    """Be the amplifier and the marker stream, with `faults` in them."""
    import pylsl

    parsed = parse_faults(",".join(faults))
    spec = StreamSpec(tag, "EEG", tag, RATE_HZ, CHANNELS)
    shown = faulty_spec(spec, parsed)
    own = tuple(fault for fault in parsed if fault.kind in OUTLET_KINDS)
    carried = tuple(fault for fault in parsed if fault.kind not in OUTLET_KINDS)
    outlet = Outlet(lambda source_id: stream_info(shown, tag, source_id), tag, own, SIZE)
    markers = pylsl.StreamOutlet(pylsl.StreamInfo(f"{tag} markers", "Markers", 1, 0, "string", f"{tag}-markers"))
    start = pylsl.local_clock() + lead_s
    pipe.send(start)
    pipe.recv()
    for item in inject(_taken(start, seconds, seed), carried, spec, seed):
        if isinstance(item, Chunk):
            time.sleep(max(0.0, item.arrived - pylsl.local_clock()))
            outlet.push(item)
        elif isinstance(item, Marker):
            markers.push_sample([item.text()], item.stamp)
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
