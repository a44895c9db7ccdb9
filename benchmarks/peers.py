"""The same faulty streams through other systems: pyxdf's default load, and mne-lsl's streams live over LSL."""

from __future__ import annotations

import importlib
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.senders import SENDERS, Sender, events, sent_stream
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.sources.faults import FaultSpec, inject, parse_fault
from realtime.xdf import XdfWriter

AT_S = 20.0
WINDOW_S = 0.8
SENDER = SENDERS["amplifier"]
LATER = " later"
"""Ends a fault's text where it begins in mid-stream, though it usually is there from the start."""


def pyxdf(text: str) -> dict[str, Any]:
    """Record the faulty stream and load it as pyxdf does by default."""
    reader = importlib.import_module("pyxdf")
    fault = parse_fault(fault_at(text, start_of(text)))
    items = list(inject(iter(events(SENDER, 60.0, markers=True)), (fault,), SENDER.spec))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faulty.xdf"
        writer = XdfWriter(path)
        writer.stream_header(1, _header(SENDER.spec))
        for item in items:
            if isinstance(item, Chunk):
                writer.numbers(1, item.stamps.tolist(), item.samples)
        writer.close()
        stream = reader.load_xdf(path, verbose="CRITICAL")[0][0]
    onsets = [item.stamp for item in items if isinstance(item, Marker)]
    segments = len(stream["info"].get("segments", [0]))
    row = _judge(fault, stream["time_series"][:, 0], stream["time_stamps"], onsets, SENDER.start)
    return {"system": "pyxdf, defaults", "name": text, "detected": bool(segments > 1)} | row


def mne_lsl(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Send all faulty streams at once over LSL and read them with `StreamLSL`; a fault comes in the 12th second."""
    peer = importlib.import_module("mne_lsl.stream")
    start = importlib.import_module("pylsl").local_clock() + 3.0
    seconds, at = 24.0, 12.0
    sender = Sender(SENDER.spec, start, SENDER.size, SENDER.late_s, SENDER.jitter_s, SENDER.stalls, SENDER.about)
    tag = uuid.uuid4().hex[:8]
    ready = threading.Event()
    threads, faults = [], [parse_fault(fault_at(text, min(at, start_of(text)))) for text in texts]
    for number, fault in enumerate(faults):
        chunks = [c for c in inject(iter(events(sender, seconds)), (fault,), sender.spec) if isinstance(c, Chunk)]
        threads.append(
            threading.Thread(
                target=sent_stream, args=(sender.spec, f"faults-{tag}-{number}", chunks, ready), daemon=True
            )
        )
        threads[-1].start()
    onsets = [start + 4.0 + 0.2 * k for k in range(round((seconds - 6) / 0.2))]
    threads.append(threading.Thread(target=_send_events, args=(f"faults-{tag}-events", onsets, ready), daemon=True))
    threads[-1].start()
    connect = {"acquisition_delay": 0.05, "processing_flags": "all", "timeout": 10}
    names = [f"p{k}" for k in range(len(onsets))]
    streams, epochs = [], []
    for number in range(len(texts)):
        stream = peer.StreamLSL(bufsize=seconds + 8, name=f"faults-{tag}-{number}").connect(**connect)
        marks = peer.StreamLSL(bufsize=len(onsets) + 10, name=f"faults-{tag}-events").connect(**connect)
        codes = {name: k + 1 for k, name in enumerate(names)}
        span = {"tmin": 0.0, "tmax": WINDOW_S, "baseline": None}
        cut = peer.EpochsStream(stream, len(onsets), codes, names, marks, picks=[0], **span)
        streams.append(stream)
        epochs.append(cut.connect(acquisition_delay=0.1))
    while importlib.import_module("pylsl").local_clock() < start + seconds + 1.0:
        time.sleep(0.1)
    rows = []
    for text, fault, stream, cut in zip(texts, faults, streams, epochs, strict=True):
        told = {"system": "mne-lsl EpochsStream, 'all'", "name": text, "detected": False, "stamp_error_ms": None}
        rows.append(told | _judge_epochs(fault, cut, onsets, start))
        cut.disconnect()
        data, stamps = stream.get_data(picks=[0])
        sent = stamps > start - 1
        row = _judge(fault, data[0][sent], stamps[sent], onsets, start)
        rows.append({"system": "mne-lsl StreamLSL, 'all'", "name": text, "detected": False} | row)
        stream.disconnect()
    ready.set()
    for thread in threads:
        thread.join()
    return rows


def _send_events(name: str, onsets: Sequence[float], done: threading.Event) -> None:
    """Send each onset, when it is due, as a number on a channel of its own: text is refused by `EpochsStream`."""
    pylsl = importlib.import_module("pylsl")
    info = pylsl.StreamInfo(name, "events", len(onsets), pylsl.IRREGULAR_RATE, "int32", name)
    channels = info.desc().append_child("channels")
    for number in range(len(onsets)):
        channel = channels.append_child("channel")
        for key, value in (("label", f"p{number}"), ("type", "stim"), ("unit", "none")):
            channel.append_child_value(key, value)
    outlet = pylsl.StreamOutlet(info)
    for number, onset in enumerate(onsets):
        done.wait(max(0.0, onset - pylsl.local_clock()))
        sample = [0] * len(onsets)
        sample[number] = number + 1
        outlet.push_sample(sample, onset)
    done.wait()


def _judge_epochs(fault: FaultSpec, epochs: Any, onsets: Sequence[float], start: float) -> dict[str, Any]:
    """Compare the epochs that a peer cut with the truth: the first channel carries the sample's number."""
    data, codes = epochs.get_data(picks=[0])[:, :, 0], epochs.events
    rate = SENDER.spec.rate_hz
    accepted = wrong = 0
    for numbers, code in zip(data, codes, strict=True):
        if code > 0:
            accepted += 1
            late = true_times(fault, numbers, start) - onsets[code - 1] - np.arange(len(numbers)) / rate
            wrong += bool(np.abs(late).max() > max(1 / rate, 0.004) + 1 / rate)
    return {"accepted": accepted, "wrongly_accepted": wrong}


def _judge(fault: FaultSpec, numbers: Any, stamps: Any, onsets: Sequence[float], start: float) -> dict[str, Any]:
    """Cut windows by sample count at each onset, as these systems do, and compare with the truth."""
    rate, n = SENDER.spec.rate_hz, round(WINDOW_S * SENDER.spec.rate_hz)
    true = true_times(fault, numbers, start)
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


def true_times(fault: FaultSpec, numbers: Any, start: float) -> Any:
    """Return when the samples of these numbers were truly taken."""
    if fault.kind == "unit":
        numbers = np.where(numbers < 1, numbers / fault.value, numbers)
    taken = numbers / SENDER.spec.rate_hz
    slower = 1 + fault.value * (fault.kind == "rate")
    return start + np.where(taken > fault.at_s, fault.at_s + (taken - fault.at_s) / slower, taken)


def start_of(text: str) -> float:
    """Return when a fault begins: a crystal is off, and a twin there, from the start unless told."""
    return 0.0 if text.startswith(("rate", "duplicate-id")) and not text.endswith(LATER) else AT_S


def fault_at(text: str, at_s: float) -> str:
    """Return the fault `text` at a time; it may end with a duration."""
    head, plus, length = text.removesuffix(LATER).partition("+")
    return f"{head}@{at_s:g}s{plus}{length}"


def _header(spec: StreamSpec) -> str:
    kind = f"<name>{spec.name}</name><type>EEG</type><channel_count>{len(spec.channels)}</channel_count>"
    rate = f"<nominal_srate>{spec.rate_hz:g}</nominal_srate><channel_format>float32</channel_format>"
    return f'<?xml version="1.0"?><info>{kind}{rate}</info>'
