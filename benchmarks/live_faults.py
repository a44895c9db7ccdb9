"""Faults that only a live stream has, over LSL on loopback: it falls silent, is switched off and on, or has a twin."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from benchmarks.amplifier import LEAD_S, faulty_amplifier
from benchmarks.fault_rows import ROW, Truth, measure, pipeline_for
from benchmarks.peers import fault_at, start_of
from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk, Marker, Notice
from realtime.sources.fault_injection import parse_fault
from realtime.sources.lsl import LslSource
from realtime.sources.metadata import SourceError

LIVE_FAULTS = ("stall:1.5", "restart:1.5", "restart-without-id:1.5", "duplicate-id", "duplicate-id later")
AT_S = 12.0
SECONDS = 24.0
CLOCKS_S = 1e-3
"""What LSL's clock offsets and a counter in float32 may be off by."""


def run_live(texts: Sequence[str] = LIVE_FAULTS) -> list[dict[str, Any]]:
    """Send every faulty stream at once and read each in a thread; the fault comes in the 12th second."""
    lead_s = LEAD_S + 2.0 * len(texts)
    with ThreadPoolExecutor(len(texts)) as threads:
        return list(threads.map(partial(_live, lead_s=lead_s), texts))


def _live(text: str, lead_s: float) -> dict[str, Any]:
    fault = parse_fault(fault_at(text, min(AT_S, start_of(text))))
    tag = f"live-{uuid.uuid4().hex[:8]}"
    amplifier = faulty_amplifier(tag, SECONDS, (fault_at(text, fault.at_s),), 0, lead_s)
    source = None
    try:
        source = LslSource(StreamSettings(name=tag, timeout_s=lead_s), MarkerSettings(name=f"{tag} markers"))
        amplifier.begin()
        truth = Truth(fault, amplifier.start, amplifier.start + fault.at_s, CLOCKS_S)
        row = measure(truth, pipeline_for(fault, source.spec), _until(source, amplifier.start + SECONDS))
    except SourceError as error:
        row = ROW | {"detected": True, "delay_s": 0.0, "by": str(error)}
    finally:
        if source is not None:
            source.close()
        amplifier.kill()
    return {"name": text, "live": True} | row


def _until(source: LslSource, end: float) -> Iterator[Chunk | Marker | Notice]:
    """Yield what `source` does until its clock has reached `end`."""
    import pylsl

    for event in source.events():
        yield event
        if pylsl.local_clock() > end:
            return
