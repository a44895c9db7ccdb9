"""Faults put into a stream whose true times are known: what is noticed, and which epochs are let through wrongly.

The first channel of every stream carries the sample number, so each epoch tells what brain activity it really holds.
The same faulty streams go through this project's pipeline, through pyxdf's default load of a recording and, live over
LSL on loopback, through mne-lsl's `StreamLSL` and `EpochsStream` with all of LSL's timestamp processing, as their
documentation recommends. Random streams, which no one has chosen, go through this project's pipeline offline and live.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import families, live_families
from benchmarks.fault_rows import ROW, Truth, measure, pipeline_for
from benchmarks.harness import machine, print_table
from benchmarks.live_faults import LIVE_FAULTS, run_live
from benchmarks.peers import SENDER, SYSTEMS, fault_at, mne_lsl, pyxdf, start_of
from benchmarks.senders import SENDERS, Sender, events, raw_timestamps
from configs.errors import InputError
from realtime.sources.base import Chunk
from realtime.sources.fault_injection import FaultSpec, faulty_spec, inject, parse_fault
from realtime.timeline.sample_grid import Hole, TimedChunk
from realtime.timeline.timeline import Timeline

FAULTS = (
    *(f"drop:{count}" for count in (1, 2, 5, 25, 100, 250, 500)),
    "burst:0.3",
    "jitter:0.002",
    "clock-step:0.5",
    "clock-step:-0.5",
    "unix",
    "rate:0.01",
    "rate:-0.001",
    "rate:-0.01 later",
    "rate:0.005 later",
    "repeat:10",
    "nan:Cz+0.1",
    "railed:Cz",
    "flat:Cz",
    "unit:1e-6",
    "missing:Cz",
    "reordered",
    "marker-lost:2",
    "marker-late:1",
)
SIZES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 35, 50, 75, 100, 150, 200, 300, 400, 500)

REPEATS = 20
"""Times that a hole of each size is made, at other places among a sender's chunks and stalls."""


def run(quick: bool = False, out: Path | None = None, minutes: float | None = None) -> dict[str, Any]:
    """Measure every fault, holes, ten clean minutes of each sender, and random streams (quick: fewer, shorter).

    Parameters
    ----------
    quick
        Whether to take fewer faults, fewer and shorter streams, and of other systems none that read live.
    out
        Folder for the scores of random streams, from which a later run of the same code goes on.
    minutes
        Time after which no random stream is begun.
    """
    random, live = families.run(quick, out, minutes), live_families.run(quick, out, minutes)
    texts, live_texts = (FAULTS[::8], LIVE_FAULTS[:1]) if quick else (FAULTS, LIVE_FAULTS)
    ours = [_ours(text) for text in texts] + run_live(live_texts)
    peers = [pyxdf(text) for text in texts] + mne_lsl(() if quick else [*FAULTS, *LIVE_FAULTS])
    few = (1, SIZES[::4]) if quick else (REPEATS, SIZES)
    holes = [_holes(name, sender, *few) for name, sender in SENDERS.items()]
    clean = [_clean(name, sender, 20.0 if quick else 600.0) for name, sender in SENDERS.items()]
    _print(ours, peers, holes, clean)
    return (
        random
        | live
        | {
            "whole": random["whole"] and live["whole"],
            "faults": ours,
            "peers": peers,
            "holes": holes,
            "clean": clean,
            "false_alarms": sum(row["false_alarms"] for row in clean),
            "machine": machine(),
        }
    )


def _ours(text: str) -> dict[str, Any]:
    """Put one fault into a minute of EEG, epoch it, and compare with the truth."""
    fault = parse_fault(fault_at(text, start_of(text)))
    try:
        pipeline = pipeline_for(fault, faulty_spec(SENDER.spec, (fault,)))
    except InputError as error:
        return {"name": text} | ROW | {"detected": True, "delay_s": 0.0, "by": str(error)}
    items = inject(iter(events(SENDER, 60.0, markers=True)), (fault,), SENDER.spec)
    return {"name": text} | measure(Truth(fault, SENDER.start, _onset_of(fault)), pipeline, items)


def _holes(name: str, sender: Sender, repeats: int, every: Sequence[int] = SIZES) -> dict[str, Any]:
    """Take holes of 1 to 500 samples out of a stream, four seconds apart, and see which are found."""
    rate = sender.spec.rate_hz
    found = exact = total = extra = 0
    delays = []
    for seed in range(repeats):
        sizes = np.random.default_rng(seed).permutation(every)
        kept = np.ones(round((14 + 4 * len(sizes)) * rate), bool)
        starts = [round((10 + 4 * k + 0.13 * seed) * rate) for k in range(len(sizes))]
        for start, size in zip(starts, sizes, strict=True):
            kept[start : start + size] = False
        true = sender.start + np.flatnonzero(kept) / rate
        timestamps = raw_timestamps(sender, true, seed)
        timeline, holes = Timeline(rate), []
        for chunk in _chunks(timestamps):
            holes += [(float(chunk.timestamps[-1]), item) for item in timeline.push(chunk) if isinstance(item, Hole)]
        for start, size in zip(starts, sizes, strict=True):
            when = sender.start + (start + size) / rate
            near = [(at, hole) for at, hole in holes if abs(hole.timestamp - when) < 0.5]
            total += 1
            found += bool(near)
            exact += sum(hole.lost for _, hole in near) == int(size)
            extra += max(0, len(near) - 1)
            delays += [at - when for at, _ in near[:1]]
    late = np.quantile(delays, (0.5, 0.95)) if delays else (math.nan, math.nan)
    row = {"sender": name, "about": sender.about, "holes": total, "found": found, "count_exact": exact, "extra": extra}
    return row | {"delay_p50_s": round(float(late[0]), 3), "delay_p95_s": round(float(late[1]), 3)}


def _clean(name: str, sender: Sender, seconds: float) -> dict[str, Any]:
    """Look for holes where there are none."""
    rate = sender.spec.rate_hz
    true = sender.start + np.arange(round(seconds * rate)) / rate
    timeline, alarms, worst = Timeline(rate), 0, 0.0
    begun, row = time.process_time(), 0
    for chunk in _chunks(raw_timestamps(sender, true, 99)):
        for item in timeline.push(chunk):
            alarms += isinstance(item, Hole)
            if isinstance(item, TimedChunk):
                error = np.abs(item.times - true[row : row + len(item.times)])
                worst = max(worst, float(error.max())) if row > 5 * rate else worst
                row += len(item.times)
    used = (time.process_time() - begun) / seconds
    out = {"sender": name, "about": sender.about, "seconds": seconds, "false_alarms": alarms}
    return out | {"stamp_error_max_ms": round(1e3 * worst, 2), "core_fraction": round(used, 4)}


def _chunks(timestamps: np.ndarray[Any, np.dtype[np.float64]], size: int = 20) -> Iterator[Chunk]:
    samples = np.random.default_rng(0).normal(size=(len(timestamps), 1)).astype(np.float32)
    for start in range(0, len(timestamps), size):
        part = timestamps[start : start + size]
        yield Chunk(part, samples[start : start + size])


def _onset_of(fault: FaultSpec) -> float:
    """Return when the fault can first be seen on the wire."""
    shown = fault.value / SENDER.spec.rate_hz if fault.kind == "drop" else fault.value * (fault.kind == "burst")
    return SENDER.start + fault.at_s + shown


def _print(ours: Any, peers: Any, holes: Any, clean: Any) -> None:
    told = ("name", "detected", "delay_s", "stamp_error_ms", "wrongly_accepted", "retracted", "refused", "recovery_s")
    title = "Faults at 20 s of a minute of 250 Hz EEG, a marker every 0.2 s, windows of 0.8 s: this project"
    print_table(title, [*told, "by"], [[_cell(row[k]) for k in told] + [row["by"][:40]] for row in ours])
    keys = ("accepted", "wrongly_accepted", "stamp_error_ms", "detected")
    header = ["name", *(f"{short}: {key.replace('_', ' ')}" for short in ("pyxdf", "mne-lsl") for key in keys)]
    beside = [
        [text] + [_cell(row[key]) for row in (_of(peers, system, text) for system in SYSTEMS) for key in keys]
        for text in dict.fromkeys(row["name"] for row in peers)
    ]
    print_table("The same faults elsewhere: pyxdf's default load, mne-lsl's EpochsStream with 'all'", header, beside)
    print_table("Holes of 1 to 500 samples", holes[0], [[_cell(cell) for cell in row.values()] for row in holes])
    print_table("Clean streams", clean[0], [[_cell(cell) for cell in row.values()] for row in clean])


def _of(peers: list[dict[str, Any]], system: str, text: str) -> dict[str, Any]:
    """Return what `system` made of the fault `text`; nothing where it cannot have it."""
    nothing = dict.fromkeys(ROW)
    return next((row for row in peers if row["system"] == system and row["name"] == text), nothing)


def _cell(value: object) -> object:
    return "-" if value is None else ("yes" if value else "no") if isinstance(value, bool) else value


if __name__ == "__main__":
    run()
