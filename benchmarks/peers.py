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

from benchmarks.senders import CHANNELS, SENDERS, Sender, events
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.sources.fault_injection import OUTLET_KINDS, FaultSpec, faulty_spec, inject, parse_fault
from realtime.sources.publish import stream_info
from realtime.sources.simulation.outlet import Outlet

PYXDF = "pyxdf, defaults"
MNE_LSL = "mne-lsl StreamLSL and EpochsStream, 'all'"
SYSTEMS = (PYXDF, MNE_LSL)
SECONDS = 24.0
"""How long a stream is sent to mne-lsl."""
AT_ONCE = 8
_UNKNOWN: dict[str, Any] = {
    "detected": False, "delay_s": None, "count_exact": None, "stamp_error_ms": None, "wrongly_accepted": None,
    "accepted": None, "recovery_s": None, "by": "",
}  # fmt: skip
AT_S = 20.0
WINDOW_S = 0.8
SENDER = SENDERS["amplifier"]
LATER = " later"
"""Ends a fault's text where it begins in mid-stream, though it usually is there from the start."""


def pyxdf(text: str) -> dict[str, Any]:
    """Record the faulty stream and load it as pyxdf does by default."""
    reader = importlib.import_module("pyxdf")
    fault = parse_fault(fault_at(text, start_of(text)))
    spec = faulty_spec(SENDER.spec, (fault,))
    items = list(inject(iter(events(SENDER, 60.0, markers=True)), (fault,), SENDER.spec))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faulty.xdf"
        writer = XdfWriter(path)
        writer.stream_header(1, _header(spec))
        for item in items:
            if isinstance(item, Chunk):
                writer.numbers(1, item.timestamps.tolist(), item.samples)
        writer.close()
        stream = reader.load_xdf(path, verbose=False)[0][0]
    onsets = [item.timestamp for item in items if isinstance(item, Marker)]
    segments = len(stream["info"].get("segments", [0]))
    numbers = stream["time_series"][:, spec.channels.index(CHANNELS[0])]
    row = _judge(fault, numbers, stream["time_stamps"], onsets, SENDER.start)
    return {"system": PYXDF, "name": text} | _UNKNOWN | {"detected": bool(segments > 1)} | row


def mne_lsl(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Send the faulty streams over LSL, some at once, and read them with `StreamLSL` and `EpochsStream`."""
    return [row for first in range(0, len(texts), AT_ONCE) for row in _mne_lsl(texts[first : first + AT_ONCE])]


def _mne_lsl(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Send all of `texts` at once; a fault comes in the 12th second."""
    clock = importlib.import_module("pylsl").local_clock
    start = clock() + 4.0 + 0.5 * len(texts)
    sender = Sender(SENDER.spec, start, SENDER.size, SENDER.late_s, SENDER.jitter_s, SENDER.stalls, SENDER.about)
    onsets = [start + 4.0 + 0.2 * k for k in range(round((SECONDS - 6) / 0.2))]
    faults = [parse_fault(fault_at(text, min(12.0, start_of(text)))) for text in texts]
    names = [f"faults-{uuid.uuid4().hex[:8]}" for _ in texts]
    done = threading.Event()
    threads = [
        threading.Thread(target=_send, args=(sender, fault, name, len(onsets), done), daemon=True)
        for fault, name in zip(faults, names, strict=True)
    ]
    for thread in threads:
        thread.start()
    readers = [_connected(name, len(onsets)) for name in names]
    while clock() < start + SECONDS + 1.0:
        time.sleep(0.1)
    rows = []
    for text, fault, (stream, cut, error) in zip(texts, faults, readers, strict=True):
        row = {"system": MNE_LSL, "name": text} | _UNKNOWN
        if error:
            row |= {"detected": True, "delay_s": 0.0, "accepted": 0, "wrongly_accepted": 0, "by": error}
        elif not stream.connected:
            row |= {"detected": True, "by": "disconnected itself; a line in the log"}
        else:
            row |= _judge_epochs(fault, cut, onsets, start)
            cut.disconnect()
            data, timestamps = stream.get_data(picks=[CHANNELS[0]])
            sent = timestamps > start - 1
            row["stamp_error_ms"] = _judge(fault, data[0][sent], timestamps[sent], onsets, start)["stamp_error_ms"]
            stream.disconnect()
        rows.append(row)
    done.set()
    for thread in threads:
        thread.join()
    return rows


def _connected(name: str, n_markers: int) -> tuple[Any, Any, str]:
    """Return mne-lsl's stream of this name and its epochs, connected; or what it says instead."""
    peer = importlib.import_module("mne_lsl.stream")
    connect = {"acquisition_delay": 0.05, "processing_flags": "all", "timeout": 10}
    labels = [f"p{k}" for k in range(n_markers)]
    codes = {label: k + 1 for k, label in enumerate(labels)}
    span = {"tmin": 0.0, "tmax": WINDOW_S, "baseline": None}
    try:
        stream = peer.StreamLSL(bufsize=SECONDS + 16, name=name, stype="EEG").connect(**connect)
        marks = peer.StreamLSL(bufsize=n_markers + 10, name=f"{name}-events").connect(**connect)
        cut = peer.EpochsStream(stream, n_markers, codes, labels, marks, picks=[CHANNELS[0]], **span)
        return stream, cut.connect(acquisition_delay=0.1), ""
    except RuntimeError as error:
        return None, None, str(error)


def _send(sender: Sender, fault: FaultSpec, name: str, n_markers: int, done: threading.Event) -> None:
    """Send the faulty stream when it is due, and its markers as numbers, each on a channel of its own.

    `EpochsStream` refuses text.
    """
    pylsl = importlib.import_module("pylsl")
    shown = faulty_spec(sender.spec, (fault,))
    own, carried = ((fault,), ()) if fault.kind in OUTLET_KINDS else ((), (fault,))
    outlet = Outlet(lambda source_id: stream_info(shown, name, source_id), name, own, sender.size)
    info = pylsl.StreamInfo(f"{name}-events", "events", n_markers, pylsl.IRREGULAR_RATE, "int32", f"{name}-events")
    channels = info.desc().append_child("channels")
    for number in range(n_markers):
        channel = channels.append_child("channel")
        for key, value in (("label", f"p{number}"), ("type", "stim"), ("unit", "none")):
            channel.append_child_value(key, value)
    marks = pylsl.StreamOutlet(info)
    for item in inject(iter(events(sender, SECONDS, markers=True)), carried, sender.spec):
        if isinstance(item, Chunk):
            done.wait(max(0.0, item.arrived - pylsl.local_clock()))
            outlet.push(item)
        elif isinstance(item, Marker) and (trial := int(item.extra["trial"])) < n_markers:
            marks.push_sample([trial + 1 if k == trial else 0 for k in range(n_markers)], item.timestamp)
    done.wait()


def _judge_epochs(fault: FaultSpec, epochs: Any, onsets: Sequence[float], start: float) -> dict[str, Any]:
    """Compare the epochs that a peer cut with the truth: the first channel carries the sample's number."""
    data, codes = epochs.get_data(picks=[CHANNELS[0]])[:, 0], epochs.events
    rate = SENDER.spec.rate_hz
    found = {}
    for numbers, code in zip(data, codes, strict=True):
        if code > 0:
            onset = onsets[code - 1]
            late = true_times(fault, numbers, start) - onset - np.arange(len(numbers)) / rate
            found[onset] = bool(np.abs(late).max() > max(1 / rate, 0.004) + 1 / rate)
    return _counted(found, start + fault.at_s)


def _judge(fault: FaultSpec, numbers: Any, timestamps: Any, onsets: Sequence[float], start: float) -> dict[str, Any]:
    """Cut windows by sample count at each onset, as these systems do, and compare with the truth."""
    rate, n = SENDER.spec.rate_hz, round(WINDOW_S * SENDER.spec.rate_hz)
    true = true_times(fault, numbers, start)
    found = {}
    for onset in onsets:
        first = int(np.searchsorted(timestamps, onset))
        if first + n <= len(timestamps) and first > 0:
            late = true[first : first + n] - onset - np.arange(n) / rate
            found[onset] = bool(np.abs(late).max() > max(1 / rate, 0.004) + 1 / rate)
    ends = start + fault.at_s + fault.value * (fault.kind == "burst") + fault.value / rate * (fault.kind == "drop")
    ends = max(ends, start + 5)
    near = (true > ends) & (true < ends + 5)
    error = round(1e3 * float(np.abs(timestamps - true)[near].max()), 1) if near.any() else None
    return _counted(found, start + fault.at_s) | {"stamp_error_ms": error}


def _counted(wrong: dict[float, bool], begins: float) -> dict[str, Any]:
    """Return how many epochs there are and how many are wrong, by onset, and when after `begins` they were right."""
    last_wrong = max((onset for onset, is_wrong in wrong.items() if is_wrong), default=begins)
    right = [onset for onset in wrong if onset > last_wrong]
    return {
        "accepted": len(wrong),
        "wrongly_accepted": sum(wrong.values()),
        "recovery_s": round(min(right) - begins, 2) if right else None,
    }


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
