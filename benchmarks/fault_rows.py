"""One row of the fault table: a faulty stream through this project's pipeline, compared with its true times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.peers import SENDER, WINDOW_S, true_times
from benchmarks.senders import CHANNELS
from configs.schema import Config
from realtime.epoching.epochs import Closed, Refused, Retracted
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk, Marker, Notice, StreamSpec
from realtime.sources.fault_injection import FaultSpec
from realtime.timeline.sample_grid import Fault, Hole, Recount, TimedChunk
from realtime.timeline.timeline import Timeline

ROW: dict[str, Any] = {
    "detected": False, "delay_s": None, "count_exact": None, "stamp_error_ms": None, "wrongly_accepted": 0,
    "accepted": 0, "refused": 0, "retracted": 0, "recovery_s": None, "by": "",
}  # fmt: skip
UNTIMED = ("missing", "reordered", "unit", "nan", "railed", "flat", "marker-lost", "marker-late", "duplicate-id")
"""Faults that leave the timestamps alone."""
JITTERY = 3.0
"""Factor by which the measured jitter must have grown to count as noticed."""


@dataclass(frozen=True)
class Truth:
    """What is known of a stream because the benchmark made it.

    Attributes
    ----------
    fault
        What is wrong with it.
    start
        True time of its first sample.
    begins
        When the fault can first be seen.
    tolerance_s
        Error of the clocks between sender and reader, and of the counter.
    """

    fault: FaultSpec
    start: float
    begins: float
    tolerance_s: float = 1e-4


def pipeline_for(fault: FaultSpec, spec: StreamSpec) -> Pipeline:
    """Return the pipeline that the stream `spec` goes through: no filters, so that the counter comes out as it is.

    Raises
    ------
    InputError
        If the stream lacks a channel.
    """
    settings: dict[str, Any] = {"filters": {"highpass_hz": None, "lowpass_hz": None}, "window": {"stop_s": WINDOW_S}}
    if fault.kind in ("missing", "reordered"):
        settings["stream"] = {"channels": CHANNELS}
    return Pipeline(Config.model_validate(settings), spec)


def measure(truth: Truth, pipeline: Pipeline, items: Iterable[Chunk | Marker | Notice]) -> dict[str, Any]:
    """Put `items` through the pipeline and return how the fault shows and which epochs stand in the end."""
    fault, row = truth.fault, dict(ROW)
    out: list[Any] = []
    chunks: list[Chunk] = []
    at = jitter_before_s = 0.0
    for item in items:
        if isinstance(item, Chunk):
            chunks.append(item)
        came = item.arrived if isinstance(item, Chunk) else item.timestamp if isinstance(item, Notice) else None
        at = max(at, came or at)
        signs = [_sign(fault, event) for event in _collected(pipeline.push(item), out)]
        if at < truth.begins:
            jitter_before_s = pipeline.timeline.jitter_s
        elif fault.kind == "jitter" and pipeline.timeline.jitter_s > JITTERY * jitter_before_s:
            signs.append(f"timestamps scatter by {1e3 * pipeline.timeline.jitter_s:.1f} ms, which is taken out")
        told = next(filter(None, signs), "")
        if told and not row["detected"] and at >= truth.begins:
            row |= {"detected": True, "delay_s": round(at - truth.begins, 3), "by": told}
    out += pipeline.finish()
    if fault.kind == "reordered":
        row |= {"detected": True, "delay_s": 0.0, "by": "channels are picked by name"}
    missing = _missing(chunks) if fault.kind not in UNTIMED else 0
    if missing:
        row["count_exact"] = sum(event.lost for event in out if isinstance(event, Hole | Recount)) == missing
    return row | _epochs(truth, pipeline, out) | {"stamp_error_ms": _timestamp_error(truth, chunks)}


def _collected(events: Iterable[Any], out: list[Any]) -> Iterator[Any]:
    for event in events:
        out.append(event)
        yield event


def _epochs(truth: Truth, pipeline: Pipeline, out: list[Any]) -> dict[str, Any]:
    """Return how many epochs stand in the end, and how many of them hold samples of another time."""
    gone = {event.trial for event in out if isinstance(event, Retracted)}
    closed = [event.epoch for event in out if isinstance(event, Closed) and event.trial not in gone]
    place = pipeline.channels.index(CHANNELS[0])
    bound = max(1 / pipeline.rate_hz, 0.004) + truth.tolerance_s
    wrong = 0
    for epoch in closed:
        true = true_times(truth.fault, epoch.samples[:, place].astype(np.float64), truth.start)
        wrong += bool(np.abs(true - epoch.onset - pipeline.times_s).max() > bound)
    after = [epoch.onset for epoch in closed if epoch.onset > truth.begins]
    return {
        "accepted": len(closed),
        "refused": sum(isinstance(event, Refused) for event in out),
        "retracted": len(gone),
        "wrongly_accepted": wrong,
        "recovery_s": round(min(after) - truth.begins, 2) if after else None,
    }


def _sign(fault: FaultSpec, event: object) -> str:
    """Return what `event` says of `fault`, if anything."""
    if isinstance(event, Notice):
        return f"{event.kind}: {event.text}"
    if isinstance(event, Hole) and fault.kind in ("drop", "restart", "restart-without-id"):
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


def _missing(chunks: list[Chunk]) -> int:
    """Return how many samples are missing in what came, by the counter in the first channel."""
    numbers = np.concatenate([chunk.samples[:, 0] for chunk in chunks]).astype(np.int64)
    steps = np.diff(numbers)
    return int((steps[steps > 1] - 1).sum())


def _timestamp_error(truth: Truth, chunks: list[Chunk]) -> float | None:
    """Return the largest error in ms of the times of the samples taken one to six seconds after the fault was over."""
    if truth.fault.kind in UNTIMED:
        return None
    timeline = Timeline(SENDER.spec.rate_hz)
    worst = 0.0
    for chunk in chunks:
        for timed in timeline.push(chunk):
            if isinstance(timed, TimedChunk):
                true = true_times(truth.fault, timed.samples[:, 0].astype(np.float64), truth.start)
                recent = (true > truth.begins + 1.0) & (true < truth.begins + 6.0)
                worst = max(worst, float(np.abs(timed.times - true)[recent].max(initial=0.0)))
    return round(1e3 * worst, 2)
