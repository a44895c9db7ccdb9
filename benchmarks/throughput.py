"""A wide, fast stream from LSL to filtered samples: what is lost, what it costs, how long a sample takes to arrive."""

from __future__ import annotations

import multiprocessing
import time
import uuid
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil

from benchmarks.harness import machine, percentiles, print_table
from configs.schema import Config, FilterSettings, StreamSettings
from realtime.pipeline import Pipeline
from realtime.sources.base import Chunk, StreamSpec
from realtime.sources.lsl import LslSource
from realtime.sources.publish import stream_info

CHANNELS = 256
RATE_HZ = 2000
WARM_UP_S = 2.0


def run(quick: bool = False) -> dict[str, Any]:
    """Measure 256 channels at 2,000 Hz, pushed sample by sample, for a minute (quick: ten seconds)."""
    rows = [_measure(1, 10.0 if quick else 60.0)]
    rows.append(_measure(8, 5.0 if quick else 20.0))
    headline = rows[0]
    result = {
        "lost": headline["lost"],
        "core_fraction": headline["core_fraction"],
        "push_to_chunk_p50_ms": headline["push_to_chunk_ms"]["p50"],
        "channels": CHANNELS,
        "rate_hz": RATE_HZ,
        "seconds": headline["seconds"],
        "machine": machine(),
        "rows": rows,
    }
    print_table(
        f"LSL push → session, {CHANNELS} channels at {RATE_HZ} Hz, source + timeline + filters",
        (
            "samples a push",
            "samples",
            "lost",
            "core: reader",
            "core: session",
            "push → chunk p50 ms",
            "p95",
            "p99",
            "max",
        ),
        [
            (
                row["samples_a_push"],
                row["samples"],
                row["lost"],
                row["core_reader"],
                row["core_session"],
                *(row["push_to_chunk_ms"][key] for key in ("p50", "p95", "p99", "max")),
            )
            for row in rows
        ],
    )
    return result


def _measure(samples_a_push: int, seconds: float) -> dict[str, Any]:
    source_id = f"throughput-{uuid.uuid4().hex}"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, source_id, samples_a_push)
    sender = context.Process(target=_send, args=arguments, daemon=True)
    sender.start()
    config = Config(
        stream=StreamSettings(source_id=source_id, timeout_s=30.0),
        filters=FilterSettings(highpass_hz=0.3, lowpass_hz=40.0, rate_hz=250.0),
    )
    source = LslSource(config.stream)
    try:
        return _read(source, Pipeline(config, source.spec), samples_a_push, seconds)
    finally:
        source.close()
        ours.close()
        sender.kill()
        sender.join()


def _read(source: LslSource, pipeline: Pipeline, samples_a_push: int, seconds: float) -> dict[str, Any]:
    import pylsl

    delays_s: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    numbers: list[np.ndarray[Any, np.dtype[np.float32]]] = []
    begun = time.monotonic() + WARM_UP_S
    used: tuple[float, float] | None = None
    for event in source.events():
        if not isinstance(event, Chunk):
            continue
        now = pylsl.local_clock()
        if used is not None:
            delays_s.append(now - (event.samples[:, 1].astype(np.float64) + event.samples[:, 2]))
            numbers.append(event.samples[:, 0].copy())
        for _ in pipeline.push(event):
            pass
        if used is None and time.monotonic() >= begun:
            used, begun = _cpu_s(source), time.monotonic()
        elif used is not None and time.monotonic() - begun >= seconds:
            break
    assert used is not None
    took_s = time.monotonic() - begun
    reader, session = (after - before for after, before in zip(_cpu_s(source), used, strict=True))
    sent = np.concatenate(numbers).astype(np.int64)
    return {
        "samples_a_push": samples_a_push,
        "seconds": seconds,
        "samples": len(sent),
        "chunks": len(numbers),
        "lost": int(sent[-1] - sent[0] + 1 - len(sent)),
        "core_reader": round(reader / took_s, 3),
        "core_session": round(session / took_s, 3),
        "core_fraction": round((reader + session) / took_s, 3),
        "push_to_chunk_ms": percentiles(np.concatenate(delays_s) * 1e3),
        "timeline_lost": pipeline.timeline.lost,
    }


def _cpu_s(source: LslSource) -> tuple[float, float]:
    """Return the processor time used so far by the reading process and by this one, in seconds."""
    times = psutil.Process(source.reader_pid).cpu_times()
    return times.user + times.system, time.process_time()


def _send(alive: Connection, source_id: str, samples_a_push: int) -> None:
    """Push samples stamped with the times they are due, as an amplifier does.

    The first channel carries the sample's number, exact in float32 for hours; the next two the time of the push in
    whole seconds and the rest, so that a late push does not count as a late arrival.
    """
    import pylsl

    spec = StreamSpec("throughput", "EEG", source_id, RATE_HZ, tuple(f"E{k}" for k in range(CHANNELS)))
    outlet = pylsl.StreamOutlet(stream_info(spec, spec.name, source_id))
    block = np.zeros((samples_a_push, CHANNELS), np.float32)
    begun = pylsl.local_clock()
    number = 0
    while not (number % RATE_HZ == 0 and alive.poll()):
        number += samples_a_push
        time.sleep(max(0.0, begun + number / RATE_HZ - pylsl.local_clock()))
        block[:, 0] = np.arange(number - samples_a_push, number)
        pushed = pylsl.local_clock()
        block[:, 1], block[:, 2] = divmod(pushed, 1.0)
        outlet.push_chunk(block, begun + number / RATE_HZ)


if __name__ == "__main__":
    run()
