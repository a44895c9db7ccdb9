"""The whole session for minutes: how much memory each of its processes takes, and by how much that grows."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.harness import machine, print_table
from benchmarks.session_rig import EVERY_S, Rig, wait_for

SETTLED_S = 300.0
"""Where the slope begins."""
LOOK_S = 2.0
ENDING_S = 120.0
MB = 1e6


def run(quick: bool = False, minutes: float = 12.0) -> dict[str, Any]:
    """Let a session run for `minutes` (quick: one) and fit each process's memory from the sixth minute on."""
    seconds = 60.0 if quick else 60.0 * minutes
    settled_s = min(SETTLED_S, seconds / 2)
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        session = rig.session("soak")
        session.wait_until_it_paints()
        begun = time.monotonic()
        memory: dict[str, list[tuple[float, float]]] = {}
        while (now := time.monotonic() - begun) < seconds:
            for name, process in session.processes().items():
                try:
                    memory.setdefault(name, []).append((now, process.memory_info().rss / MB))
                except psutil.NoSuchProcess:
                    continue
            if wait_for(lambda: not psutil.pid_exists(session.pid), LOOK_S):
                break
        session.signal(2)
        code, ended_s = session.end(ENDING_S)
        trials = sum("neighbours" in record for record in session.records())
        pictures = len(list((session.out / "pictures").glob("*.png")))
        notices = [text for _, text in session.notices()]
        left = session.left_behind()
        log = session.log.read_text()
    rows = {name: _row(np.array(points), settled_s) for name, points in memory.items() if len(points) > 3}
    result = {
        "seconds": round(now),
        "settled_s": settled_s,
        "exit_code": code,
        "ended_s": round(ended_s, 1),
        "trials": trials,
        "pictures": pictures,
        "pictures_per_s": round(pictures / seconds, 2),
        "notices": notices,
        "left_behind": left,
        "memory": rows,
        "steepest_mb_per_min": max(row["slope_mb_per_min"] for row in rows.values()),
        "machine": machine(),
    }
    if code != 0:
        result["log"] = log[-2000:]
    _print(result)
    return result


def _row(points: Any, settled_s: float) -> dict[str, Any]:
    """Return the memory of one process at the start, when settled and at the end, and the slope in between."""
    times, mb = points[:, 0], points[:, 1]
    kept = times >= settled_s
    minutes = times[kept] / 60
    centred = minutes - minutes.mean()
    slope = float(centred @ mb[kept] / (centred @ centred))
    return {
        "start_mb": round(float(mb[0]), 1),
        "settled_mb": round(float(mb[kept][0]), 1),
        "end_mb": round(float(mb[-1]), 1),
        "slope_mb_per_min": round(slope, 2),
        "every_minute_mb": [round(float(value)) for value in np.interp(np.arange(0, times[-1], 60.0), times, mb)],
    }


def _print(result: dict[str, Any]) -> None:
    title = (
        f"A whole session for {result['seconds'] / 60:.0f} minutes, a picture shown every {EVERY_S:g} s: "
        f"{result['trials']} trials, "
        f"{result['pictures']} pictures of 512 pixels; MB of each process"
    )
    rows = [
        (name, row["start_mb"], row["settled_mb"], row["end_mb"], f"{row['slope_mb_per_min']:+.2f}")
        for name, row in result["memory"].items()
    ]
    header = ("process", "at the start", f"after {result['settled_s'] / 60:g} min", "at the end", "MB a minute since")
    print_table(title, header, rows)
