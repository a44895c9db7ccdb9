"""Faults that only a live stream has, over LSL on loopback: it falls silent, is switched off and on, or has a twin."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.amplifier import faulty_amplifier
from benchmarks.fault_rows import ROW, Truth, measure, pipeline_for
from benchmarks.peers import fault_at, start_of
from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk, Marker, Notice
from realtime.sources.fault_injection import parse_fault
from realtime.sources.lsl import LslSource
from realtime.sources.metadata import SourceError

LIVE_FAULTS = ("stall:1.5", "restart:1.5", "restart-without-id:1.5", "duplicate-id", "duplicate-id later")
AT_S = 12.0
OPEN_S = 60.0
"""How long a stream is waited for at most."""
SECONDS = 24.0
CLOCKS_S = 1e-3
"""What LSL's clock offsets and a counter in float32 may be off by."""


def run_live(texts: Sequence[str] = LIVE_FAULTS) -> list[dict[str, Any]]:
    """Send every faulty stream at once and read each in a thread; the fault comes in the 12th second."""
    with ThreadPoolExecutor(len(texts)) as threads:
        return list(threads.map(_live, texts))


def _live(text: str) -> dict[str, Any]:
    fault = parse_fault(fault_at(text, min(AT_S, start_of(text))))
    tag = f"live-{uuid.uuid4().hex[:8]}"
    amplifier = faulty_amplifier(tag, SECONDS, (fault_at(text, fault.at_s),), 0)
    source = None
    try:
        source = LslSource(StreamSettings(name=tag, timeout_s=OPEN_S), MarkerSettings(name=f"{tag} markers"))
        came = amplifier.begin_for(source)
        truth = Truth(fault, amplifier.start, amplifier.start + fault.at_s, CLOCKS_S)
        row = measure(truth, pipeline_for(fault, source.spec), _until(came, amplifier.start + SECONDS))
    except SourceError as error:
        row = ROW | {"detected": True, "delay_s": 0.0, "by": str(error)}
    finally:
        if source is not None:
            source.close()
        amplifier.kill()
    return {"name": text, "live": True} | row


def _until(events: Iterator[Chunk | Marker | Notice], end: float) -> Iterator[Chunk | Marker | Notice]:
    """Yield `events` until the clock has reached `end`."""
    import pylsl

    for event in events:
        yield event
        if pylsl.local_clock() > end:
            return
