"""Faults put into a stream whose true times are known: what is noticed, and which epochs are let through wrongly.

The first channel of every stream carries the sample's number, so each epoch tells what brain activity it really holds.
The same faulty streams go through this project's pipeline, through pyxdf's default load of a recording, and, live over
LSL on loopback, through mne-lsl's `StreamLSL` with all of LSL's stamp processing, as its documentation recommends.
"""

from __future__ import annotations

import importlib
import math
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import machine, print_table
from benchmarks.senders import CHANNELS, SENDERS, Sender, events, raw_stamps, sent_stream
from configs.schema import Config
from realtime.epochs import Closed, Refused, Retracted
from realtime.pipeline import Pipeline
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.sources.faults import FaultSpec, faulty_spec, inject, parse_fault
from realtime.timeline import Fault, Hole, TimedChunk, Timeline
from realtime.xdf import XdfWriter

AT_S = 20.0
WINDOW_S = 0.8
SENDER = SENDERS["amplifier"]
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
    peers = [_pyxdf(text) for text in PEER_FAULTS] + _mne_lsl(PEER_FAULTS)
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
    fault = parse_fault(_at(text, _start_of(text)))
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
        late = _true_times(fault, epoch.samples[:, place], SENDER.start) - epoch.onset - pipeline.times_s
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
                true = _true_times(fault, timed.samples[:, 0], SENDER.start)
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


def _pyxdf(text: str) -> dict[str, Any]:
    """Record the faulty stream and load it as pyxdf does by default."""
    pyxdf = importlib.import_module("pyxdf")
    fault = parse_fault(_at(text, _start_of(text)))
    items = list(inject(iter(events(SENDER, 60.0, markers=True)), (fault,), SENDER.spec))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faulty.xdf"
        writer = XdfWriter(path)
        writer.stream_header(1, _header(SENDER.spec))
        for item in items:
            if isinstance(item, Chunk):
                writer.numbers(1, item.stamps.tolist(), item.samples)
        writer.close()
        stream = pyxdf.load_xdf(path, verbose="CRITICAL")[0][0]
    onsets = [item.stamp for item in items if isinstance(item, Marker)]
    segments = len(stream["info"].get("segments", [0]))
    row = _judge(fault, stream["time_series"][:, 0], stream["time_stamps"], onsets, SENDER.start)
    return {"system": "pyxdf, defaults", "name": text, "detected": bool(segments > 1)} | row


def _mne_lsl(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Send all faulty streams at once over LSL and read them with `StreamLSL`; a fault comes in the 12th second."""
    stream_class = importlib.import_module("mne_lsl.stream").StreamLSL
    start = importlib.import_module("pylsl").local_clock() + 3.0
    seconds, at = 24.0, 12.0
    sender = Sender(SENDER.spec, start, SENDER.size, SENDER.late_s, SENDER.jitter_s, SENDER.stalls, SENDER.about)
    tag = uuid.uuid4().hex[:8]
    ready = threading.Event()
    threads, faults = [], [parse_fault(_at(text, min(at, _start_of(text)))) for text in texts]
    for number, fault in enumerate(faults):
        chunks = [c for c in inject(iter(events(sender, seconds)), (fault,), sender.spec) if isinstance(c, Chunk)]
        threads.append(
            threading.Thread(target=sent_stream, args=(sender.spec, f"faults-{tag}-{number}", chunks, ready))
        )
        threads[-1].start()
    streams = []
    for number in range(len(texts)):
        stream = stream_class(bufsize=seconds + 8, name=f"faults-{tag}-{number}")
        streams.append(stream.connect(acquisition_delay=0.05, processing_flags="all", timeout=10))
    while importlib.import_module("pylsl").local_clock() < start + seconds + 1.0:
        time.sleep(0.1)
    onsets = [start + 4.0 + 0.2 * k for k in range(round((seconds - 6) / 0.2))]
    rows = []
    for text, fault, stream in zip(texts, faults, streams, strict=True):
        data, stamps = stream.get_data(picks=[0])
        sent = stamps > start - 1
        row = _judge(fault, data[0][sent], stamps[sent], onsets, start)
        rows.append({"system": "mne-lsl StreamLSL, 'all'", "name": text, "detected": False} | row)
        stream.disconnect()
    ready.set()
    for thread in threads:
        thread.join()
    return rows


def _judge(fault: FaultSpec, numbers: Any, stamps: Any, onsets: Sequence[float], start: float) -> dict[str, Any]:
    """Cut windows by sample count at each onset, as these systems do, and compare with the truth."""
    rate, n = SENDER.spec.rate_hz, round(WINDOW_S * SENDER.spec.rate_hz)
    true = _true_times(fault, numbers, start)
    begins = start + fault.at_s
    wrong = accepted = 0
    for onset in onsets:
        first = int(np.searchsorted(stamps, onset))
        if first + n <= len(stamps) and first > 0:
            accepted += 1
            late = true[first : first + n] - onset - np.arange(n) / rate
            wrong += bool(np.abs(late).max() > max(1 / rate, 0.004) + 1 / rate)
    ends = begins + fault.value * (fault.kind == "burst") + fault.value / rate * (fault.kind == "drop")
    ends = max(ends, start + 5)
    near = (true > ends) & (true < ends + 5)
    error = round(1e3 * float(np.abs(stamps - true)[near].max()), 1) if near.any() else None
    return {"accepted": accepted, "wrongly_accepted": wrong, "stamp_error_ms": error}


def _true_times(fault: FaultSpec, numbers: Any, start: float) -> Any:
    """Return when the samples of these numbers were truly taken."""
    if fault.kind == "unit":
        numbers = np.where(numbers < 1, numbers / fault.value, numbers)
    taken = numbers / SENDER.spec.rate_hz
    slower = 1 + fault.value * (fault.kind == "rate")
    return start + np.where(taken > fault.at_s, fault.at_s + (taken - fault.at_s) / slower, taken)


def _start_of(text: str) -> float:
    """Return when a fault begins: a crystal is off from the start, everything else happens later."""
    return 0.0 if text.startswith("rate") else AT_S


def _at(text: str, at_s: float) -> str:
    """Return the fault `text` at a time; it may end with a duration."""
    head, plus, length = text.partition("+")
    return f"{head}@{at_s:g}s{plus}{length}"


def _onset_of(fault: FaultSpec) -> float:
    """Return when the fault can first be seen on the wire."""
    shown = fault.value / SENDER.spec.rate_hz if fault.kind == "drop" else fault.value * (fault.kind == "burst")
    return SENDER.start + fault.at_s + shown


def _header(spec: StreamSpec) -> str:
    kind = f"<name>{spec.name}</name><type>EEG</type><channel_count>{len(spec.channels)}</channel_count>"
    rate = f"<nominal_srate>{spec.rate_hz:g}</nominal_srate><channel_format>float32</channel_format>"
    return f'<?xml version="1.0"?><info>{kind}{rate}</info>'


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
