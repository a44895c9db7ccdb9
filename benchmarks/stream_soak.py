"""Minutes of live EEG over LSL in which something goes wrong every few seconds: what is let through, what memory does.

The amplifier is a process of its own whose first channel counts its samples, so that what was lost, and which brain
activity an epoch really holds, is known. Faults are drawn by a seed; the processes themselves are killed and stopped as
well. A recorder runs beside it.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.amplifier import RATE_HZ, Amplifier, faulty_amplifier
from benchmarks.harness import machine, print_table
from configs.schema import Config
from realtime.epoching.epochs import Closed, Refused, Retracted
from realtime.epoching.pipeline import Pipeline
from realtime.recording.recorder import Recorder, Wanted
from realtime.sources.base import Chunk, Notice
from realtime.sources.lsl import LslSource
from realtime.timeline.sample_grid import Fault, Hole

EVERY_S = (4.0, 9.0)
"""Shortest and longest time from one fault to the next."""
IN_STREAM = (
    "drop:1", "drop:5", "drop:25", "drop:120", "stall:0.8", "burst:0.3", "jitter:0.002+3", "nan:Cz+0.2", "repeat:10",
    "clock-step:0.5", "clock-step:-0.5", "flat:Pz+1", "railed:Oz+1", "marker-lost:2", "marker-late:1+2", "restart:1",
)  # fmt: skip
TO_PROCESSES = ("kill reader", "kill recorder", "stop amplifier for 3 s")
STOPPED_S = 3.0
WARM_UP_S = 60.0


@dataclass
class _Seen:
    """What came out in the end."""

    kinds: Counter[str] = field(default_factory=Counter)
    wrong: dict[int, float] = field(default_factory=dict)
    accepted: int = 0
    retracted: int = 0
    refused: int = 0
    lost: int = 0
    newest: int = -1
    told_s: list[float] = field(default_factory=list)
    awaited: tuple[str, float] | None = None
    """Kind of the notice that is due, and since when."""
    recordings: list[str] = field(default_factory=list)
    memory: list[tuple[float, float, float]] = field(default_factory=list)


def run(quick: bool = False, minutes: float = 10.0, seed: int = 0) -> dict[str, Any]:
    """Let a live stream go wrong for `minutes` (quick: one)."""
    seconds = 60.0 * (1.0 if quick else minutes)
    rng = np.random.default_rng(seed)
    times = 6.0 + np.cumsum(rng.uniform(*EVERY_S, size=math.ceil(seconds / EVERY_S[0])))
    kinds = [*IN_STREAM, *TO_PROCESSES]
    plan = [(float(at), kinds[int(rng.integers(len(kinds)))]) for at in times[times < seconds - 6.0]]
    stream_faults = [_at(kind, at) for at, kind in plan if kind in IN_STREAM]
    seen = _soak(seconds, stream_faults, [item for item in plan if item[1] in TO_PROCESSES], seed)
    slope, interval = _slope(np.array(seen.memory), 0.25 * seconds if quick else WARM_UP_S)
    result = {
        "seconds": seconds,
        "seed": seed,
        "faults": dict(Counter(kind for _, kind in plan)),
        "reported": dict(seen.kinds),
        "samples_lost": seen.lost,
        "samples_counted_lost": seen.kinds["samples counted lost"],
        "accepted": seen.accepted,
        "refused": seen.refused,
        "retracted": seen.retracted,
        "wrongly_accepted": len(seen.wrong),
        "process_faults_reported": f"{len(seen.told_s)} of {sum(kind in TO_PROCESSES for _, kind in plan)}",
        "process_fault_to_report_max_s": round(max(seen.told_s), 3) if seen.told_s else None,
        "recordings_opened": seen.recordings,
        "memory_mb": [round(value) for value in (seen.memory[0][1], seen.memory[-1][1])],
        "memory_slope_mb_per_min": round(slope, 3),
        "memory_slope_interval": [round(slope - interval, 3), round(slope + interval, 3)],
        "machine": machine(),
    }
    rows = [(key.replace("_", " "), _cell(value)) for key, value in result.items() if key != "machine"]
    print_table(f"Soak: {seconds / 60:g} minutes, a fault every {EVERY_S[0]:g} to {EVERY_S[1]:g} s", ("", ""), rows)
    return result


def _soak(seconds: float, stream_faults: list[str], process_faults: list[tuple[float, str]], seed: int) -> _Seen:
    tag = f"soak-{uuid.uuid4().hex[:8]}"
    amplifier = faulty_amplifier(tag, seconds, tuple(stream_faults), seed)
    config = Config.model_validate(
        {
            "stream": {"name": tag, "timeout_s": 30},
            "markers": {"name": f"{tag} markers"},
            "filters": {"highpass_hz": None, "lowpass_hz": None},
            "window": {"stop_s": 0.6},
        }
    )
    source = LslSource(config.stream, config.markers)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder) / "soak.xdf", [Wanted(name=tag)])
        recorder.start()
        source.watch = recorder.notices
        try:
            amplifier.begin()
            seen = _follow(source, Pipeline(config, source.spec), recorder, amplifier, process_faults, seconds)
        finally:
            source.close()
            recorded = recorder.stop()
            amplifier.kill()
        seen.recordings = [f"{file.name}: {_samples_in(file)} samples" for file in recorded.files]
        return seen


def _samples_in(file: Path) -> int:
    """Return how many samples pyxdf finds in a recording; some of them were cut off by a kill."""
    import pyxdf

    streams, _ = pyxdf.load_xdf(file, dejitter_timestamps=False, verbose=False)
    return sum(len(stream["time_stamps"]) for stream in streams)


def _follow(
    source: LslSource,
    pipeline: Pipeline,
    recorder: Recorder,
    amplifier: Amplifier,
    process_faults: list[tuple[float, str]],
    seconds: float,
) -> _Seen:
    import pylsl

    start = amplifier.start
    seen, waiting = _Seen(), list(process_faults)
    next_look = start
    for event in source.events():
        now = pylsl.local_clock()
        if waiting and now >= start + waiting[0][0]:
            _harm(waiting.pop(0)[1], source, recorder, amplifier, seen)
        if now >= next_look:
            next_look += 1.0
            own = psutil.Process().memory_info().rss / 1e6
            seen.memory.append((now - start, own, psutil.Process(source.reader_pid).memory_info().rss / 1e6))
        if isinstance(event, Notice):
            _tell(seen, event)
        if isinstance(event, Chunk):
            numbers = event.samples[:, 0].astype(int)
            steps = np.diff(numbers, prepend=seen.newest)
            seen.lost += int((steps[steps > 1] - 1).sum()) if seen.newest >= 0 else 0
            seen.newest = int(numbers[-1])
        for item in pipeline.push(event):
            _note(item, seen, start, pipeline.times_s)
        if now > start + seconds:
            break
    for item in pipeline.finish():
        _note(item, seen, start, pipeline.times_s)
    seen.kinds["samples counted lost"] = pipeline.timeline.lost
    return seen


def _harm(what: str, source: LslSource, recorder: Recorder, amplifier: Amplifier, seen: _Seen) -> None:
    """Do to a process what `what` says."""
    seen.awaited = ("stalled" if what.startswith("stop") else "lost", time.monotonic())
    if what == "kill reader":
        os.kill(source.reader_pid, signal.SIGKILL)
    elif what == "kill recorder" and recorder.pid is not None:
        os.kill(recorder.pid, signal.SIGKILL)
    elif (pid := amplifier.process.pid) is not None:
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(STOPPED_S, os.kill, (pid, signal.SIGCONT)).start()


def _tell(seen: _Seen, notice: Notice) -> None:
    seen.kinds[f"notice: {notice.kind}"] += 1
    if seen.awaited is not None and notice.kind == seen.awaited[0]:
        seen.told_s.append(time.monotonic() - seen.awaited[1])
        seen.awaited = None


def _note(item: object, seen: _Seen, start: float, times_s: Any) -> None:
    if isinstance(item, Hole):
        seen.kinds["hole, told afterwards" if item.retroactive else "hole"] += bool(item.lost)
    elif isinstance(item, Fault):
        seen.kinds[item.kind] += 1
    elif isinstance(item, Refused):
        seen.refused += 1
    elif isinstance(item, Retracted):
        seen.retracted += 1
        seen.accepted -= 1
        seen.wrong.pop(item.trial, None)
    elif isinstance(item, Closed):
        seen.accepted += 1
        true = start + item.epoch.samples[:, 0].astype(np.float64) / RATE_HZ
        off = float(np.abs(true - item.epoch.onset - times_s).max())
        if off > max(1 / RATE_HZ, 0.004) + 1e-3:  # the last millisecond is the clocks' and the float32 counter's
            seen.wrong[item.trial] = off


def _slope(memory: Any, after_s: float) -> tuple[float, float]:
    """Return the least-squares slope of the session's memory in MB a minute, and half its 95 % interval."""
    kept = memory[memory[:, 0] >= after_s]
    minutes, mb = kept[:, 0] / 60, kept[:, 1]
    centred = minutes - minutes.mean()
    slope = float(centred @ mb / (centred @ centred))
    residual = mb - mb.mean() - slope * centred
    return slope, 1.96 * math.sqrt(float(residual @ residual) / max(1, len(mb) - 2) / float(centred @ centred))


def _at(text: str, at_s: float) -> str:
    head, plus, length = text.partition("+")
    return f"{head}@{at_s:.1f}{plus}{length}"


def _cell(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    run(**vars(parser.parse_args()))
