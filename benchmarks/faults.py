"""Faults put into a stream whose true times are known: what is noticed, and which epochs are let through wrongly.

The first channel of every stream carries the sample number, so each epoch tells what brain activity it really holds.
The same faulty streams go through this project's pipeline, through pyxdf's default load of a recording and, live over
LSL on loopback, through mne-lsl's `StreamLSL` and `EpochsStream` with all of LSL's stamp processing, as their
documentation recommends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.harness import machine, print_table
from benchmarks.peers import SENDER, WINDOW_S, fault_at, mne_lsl, pyxdf, start_of, true_times
from benchmarks.senders import CHANNELS, SENDERS, Sender, events, raw_stamps
from configs.schema import Config
from realtime.epochs import Closed, Refused, Retracted
from realtime.pipeline import Pipeline
from realtime.sources.base import Chunk
from realtime.sources.faults import FaultSpec, faulty_spec, inject, parse_fault
from realtime.timeline import Fault, Hole, TimedChunk, Timeline

FAULTS = (
    *(f"drop:{count}" for count in (1, 2, 5, 25, 100, 250, 500)),
    "stall:1",
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
PEER_FAULTS = ("drop:1", "drop:5", "drop:25", "drop:250", "drop:500", "burst:0.3", "clock-step:0.5", "rate:0.01")
SIZES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 35, 50, 75, 100, 150, 200, 300, 400, 500)


def run(quick: bool = False) -> dict[str, Any]:
    """Measure every fault, holes of 1 to 500 samples and ten clean minutes of each sender (quick: fewer, shorter)."""
    ours = [_ours(text) for text in FAULTS]
    peers = [pyxdf(text) for text in PEER_FAULTS] + mne_lsl(PEER_FAULTS)
    holes = [_holes(name, sender, 1 if quick else 6) for name, sender in SENDERS.items()]
    clean = [_clean(name, sender, 60.0 if quick else 600.0) for name, sender in SENDERS.items()]
    _print(ours, peers, holes, clean)
    return {
        "faults": ours,
        "peers": peers,
        "holes": holes,
        "clean": clean,
        "false_alarms": sum(row["false_alarms"] for row in clean),
        "machine": machine(),
    }


def _ours(text: str) -> dict[str, Any]:
    """Put one fault into a minute of EEG, epoch it, and compare with the truth."""
    fault = parse_fault(fault_at(text, start_of(text)))
    faulty = faulty_spec(SENDER.spec, (fault,))
    first_sent = _onset_of(fault)
    window = {"filters": {"highpass_hz": None, "lowpass_hz": None}, "window": {"stop_s": WINDOW_S}}
    stream = {"stream": {"channels": CHANNELS}} if fault.kind in ("missing", "reordered") else {}
    row = {"name": text, "detected": False, "delay_s": None, "count_exact": None, "stamp_error_ms": None}
    row |= {"wrongly_accepted": 0, "accepted": 0, "refused": 0, "retracted": 0, "recovery_s": None, "by": ""}
    try:
        pipeline = Pipeline(Config.model_validate(window | stream), faulty)
    except ValueError as error:
        return row | {"detected": True, "delay_s": 0.0, "recovery_s": None, "by": str(error)}
    out, lost = [], 0
    for item in inject(iter(events(SENDER, 60.0, markers=True)), (fault,), SENDER.spec):
        arrived = item.arrived if isinstance(item, Chunk) else item.stamp
        for event in pipeline.push(item):
            out.append(event)
            sign = _sign(fault, event)
            if sign and not row["detected"]:
                row |= {"detected": True, "delay_s": round(max(0.0, float(arrived - first_sent)), 3), "by": sign}
            lost += event.lost if isinstance(event, Hole) else 0
    out += pipeline.finish()
    if fault.kind == "reordered":
        row |= {"detected": True, "delay_s": 0.0, "by": "channels are picked by name"}
    if fault.kind == "drop":
        row["count_exact"] = lost == fault.value
    gone = {event.trial for event in out if isinstance(event, Retracted)}
    closed = [event.epoch for event in out if isinstance(event, Closed) and event.trial not in gone]
    place = pipeline.channels.index(CHANNELS[0])
    errors = []
    for epoch in closed:
        late = true_times(fault, epoch.samples[:, place], SENDER.start) - epoch.onset - pipeline.times_s
        errors.append(np.abs(late).max())
    bound = max(1 / SENDER.spec.rate_hz, 0.004) + 1e-4
    after = [epoch.onset for epoch in closed if epoch.onset > first_sent]
    return row | {
        "accepted": len(closed),
        "refused": sum(isinstance(event, Refused) for event in out),
        "retracted": len(gone),
        "wrongly_accepted": int(sum(error > bound for error in errors)),
        "stamp_error_ms": _stamp_error(fault, first_sent),
        "recovery_s": round(min(after) - first_sent, 2) if after else None,
    }


def _sign(fault: FaultSpec, event: object) -> str:
    """Return what `event` says of `fault`, if anything."""
    if isinstance(event, Hole) and fault.kind == "drop":
        return f"hole of {event.lost}" + (", told afterwards" if event.retroactive else "")
    if isinstance(event, Fault):
        return f"{event.kind}: {event.text}"
    if isinstance(event, Refused) and fault.kind in ("nan", "rate") and event.trial > 10:
        return event.reason
    if isinstance(event, Closed) and event.epoch.flags and fault.kind in ("railed", "flat", "unit"):
        # The first channel, which counts the samples, is no EEG.
        flags = [flag for flag in event.epoch.flags if not flag.endswith(CHANNELS[0])]
        return f"flag: {flags[0]}" if flags else ""
    return ""


def _stamp_error(fault: FaultSpec, first_sent: float) -> float | None:
    """Return the largest error in ms of the times of the samples sent in the five seconds after the fault was over."""
    if fault.kind in ("missing", "reordered", "unit", "nan", "railed", "flat", "marker-lost", "marker-late"):
        return None
    timeline = Timeline(SENDER.spec.rate_hz)
    worst, learned = 0.0, False
    for item in inject(iter(events(SENDER, 60.0)), (fault,), SENDER.spec):
        assert isinstance(item, Chunk)
        for timed in timeline.push(item):
            learned |= isinstance(timed, Fault | Hole) and item.arrived > first_sent
            if isinstance(timed, TimedChunk):
                true = true_times(fault, timed.samples[:, 0], SENDER.start)
                recent = (true > first_sent + 1.0) & (true < first_sent + 6.0)
                worst = max(worst, float(np.abs(timed.times - true)[recent].max(initial=0.0)))
    return round(1e3 * worst, 2)


def _holes(name: str, sender: Sender, repeats: int) -> dict[str, Any]:
    """Take holes of 1 to 500 samples out of a stream, four seconds apart, and see which are found."""
    rate = sender.spec.rate_hz
    found = exact = total = extra = 0
    delays = []
    for seed in range(repeats):
        sizes = np.random.default_rng(seed).permutation(SIZES)
        kept = np.ones(round((10 + 4 * len(sizes)) * rate), bool)
        starts = [round((10 + 4 * k + 0.13 * seed) * rate) for k in range(len(sizes))]
        for start, size in zip(starts, sizes, strict=True):
            kept[start : start + size] = False
        true = sender.start + np.flatnonzero(kept) / rate
        stamps = raw_stamps(sender, true, seed)
        timeline, holes = Timeline(rate), []
        for chunk in _chunks(stamps):
            holes += [(chunk.arrived, item) for item in timeline.push(chunk) if isinstance(item, Hole)]
        for start, size in zip(starts, sizes, strict=True):
            when = sender.start + (start + size) / rate
            near = [(at, hole) for at, hole in holes if abs(hole.stamp - when) < 0.5]
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
    for chunk in _chunks(raw_stamps(sender, true, 99)):
        for item in timeline.push(chunk):
            alarms += isinstance(item, Hole)
            if isinstance(item, TimedChunk):
                error = np.abs(item.times - true[row : row + len(item.times)])
                worst = max(worst, float(error.max())) if row > 5 * rate else worst
                row += len(item.times)
    used = (time.process_time() - begun) / seconds
    out = {"sender": name, "about": sender.about, "seconds": seconds, "false_alarms": alarms}
    return out | {"stamp_error_max_ms": round(1e3 * worst, 2), "core_fraction": round(used, 4)}


def _chunks(stamps: np.ndarray[Any, np.dtype[np.float64]], size: int = 20) -> Iterator[Chunk]:
    samples = np.random.default_rng(0).normal(size=(len(stamps), 1)).astype(np.float32)
    for start in range(0, len(stamps), size):
        part = stamps[start : start + size]
        yield Chunk(part, samples[start : start + size], float(part[-1]))


def _onset_of(fault: FaultSpec) -> float:
    """Return when the fault can first be seen on the wire."""
    shown = fault.value / SENDER.spec.rate_hz if fault.kind == "drop" else fault.value * (fault.kind == "burst")
    return SENDER.start + fault.at_s + shown


def _print(ours: Any, peers: Any, holes: Any, clean: Any) -> None:
    keys = ("name", "detected", "delay_s", "stamp_error_ms", "wrongly_accepted", "retracted", "refused", "recovery_s")
    title = "Faults at 20 s of a minute of 250 Hz EEG, a marker every 0.2 s, windows of 0.8 s: this project"
    print_table(title, [*keys, "by"], [[_cell(row[k]) for k in keys] + [row["by"][:40]] for row in ours])
    keys = ("name", "system", "accepted", "wrongly_accepted", "stamp_error_ms")
    print_table("The same faults elsewhere", keys, [[_cell(row[k]) for k in keys] for row in peers])
    print_table("Holes of 1 to 500 samples", holes[0], [[_cell(cell) for cell in row.values()] for row in holes])
    print_table("Clean streams", clean[0], [[_cell(cell) for cell in row.values()] for row in clean])


def _cell(value: object) -> object:
    return "-" if value is None else ("yes" if value else "no") if isinstance(value, bool) else value


if __name__ == "__main__":
    run()
