"""LSL push in one process to embedding in another: ours, an mne-lsl loop, a pylsl loop, in turns."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.harness import machine, median_interval, percentiles, print_table, versions
from benchmarks.lsl_sender import Amplifier, sending
from benchmarks.receivers import WINDOW_S, Receiver, mne_lsl, ours, pylsl_loop, receive

AMPLIFIER = Amplifier(channels=64, rate_hz=250.0, onset_every_s=0.25)
RECEIVERS: dict[str, Receiver] = {"ours": ours, "mne-lsl EpochsStream": mne_lsl, "pylsl loop": pylsl_loop}
CANNOT = {
    "ours": "refuses windows over lost samples; reads string and numeric markers",
    "mne-lsl EpochsStream": "no lost-sample check; refuses string markers (numeric ones sent instead)",
    "pylsl loop": "no lost-sample check, unless one writes it",
}
PATIENCE_S = 180.0


def run(quick: bool = False) -> dict[str, Any]:
    """Measure 3 × 100 embeddings each way (quick: 10), with the other core free and with it busy."""
    rounds, epochs = (1, 10) if quick else (3, 100)
    runs: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for turn in range(rounds):
        for loaded in (False, True):
            names = list(RECEIVERS)[:: -1 if turn % 2 else 1]
            for name in names:
                with _busy_core() if loaded else nullcontext():
                    runs.setdefault((name, loaded), []).append(_measure(RECEIVERS[name], epochs))
    rows: list[dict[str, Any]] = []
    for name in RECEIVERS:
        for loaded in (False, True):
            found = runs[name, loaded]
            times = np.concatenate([one["ms"] for one in found])
            _, low, high = median_interval(times)
            core = round(float(np.median([one["core"] for one in found])), 3)
            row = {"receiver": name, "load": loaded, "ms": percentiles(times), "p50_interval_ms": [low, high]}
            rows.append(row | {"core_fraction": core, "epochs": len(times), "cannot": CANNOT[name]})
    result = {
        "p50_ms": rows[0]["ms"]["p50"],
        "p99_ms": rows[0]["ms"]["p99"],
        "core_fraction": rows[0]["core_fraction"],
        "channels": AMPLIFIER.channels,
        "rate_hz": AMPLIFIER.rate_hz,
        "window_s": WINDOW_S,
        "versions": versions("pylsl", "mne-lsl", "scikit-learn", "numpy"),
        "machine": machine(),
        "rows": rows,
    }
    names_versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    print_table(
        f"LSL push → embedding in another process, {AMPLIFIER.channels} channels at {AMPLIFIER.rate_hz:g} Hz pushed "
        f"singly, windows of {WINDOW_S:g} s, {rows[0]['epochs']} epochs (ms); {names_versions}",
        ("receiver", "other core", "p50", "95 % interval of p50", "p95", "p99", "max", "core used", "remark"),
        [
            (
                row["receiver"],
                "busy" if row["load"] else "free",
                row["ms"]["p50"],
                "{:.2f} to {:.2f}".format(*row["p50_interval_ms"]),
                *(row["ms"][key] for key in ("p95", "p99", "max")),
                row["core_fraction"],
                row["cannot"] if not row["load"] else "",
            )
            for row in rows
        ],
    )
    return result


def _measure(receiver: Receiver, epochs: int) -> dict[str, Any]:
    """Run a receiver beside an amplifier, both fresh."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    with sending(AMPLIFIER) as amplifier:
        process = context.Process(target=receive, args=(theirs, receiver, amplifier, epochs))
        process.start()
        theirs.close()
        try:
            if pipe.poll(PATIENCE_S):
                found: dict[str, Any] = pipe.recv()
                process.join(PATIENCE_S)
                return found
        except EOFError:
            process.join()
        finally:
            process.kill()
            process.join()
    msg = f"{receiver.__name__} gave no {epochs} embeddings within {PATIENCE_S:g} s (exit code {process.exitcode})"
    raise RuntimeError(msg)


@contextmanager
def _busy_core() -> Iterator[None]:
    """Keep the machine's last core busy with other work."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_spin, args=(theirs,), daemon=True)
    process.start()
    try:
        ours.recv()
        yield
    finally:
        ours.close()
        process.kill()
        process.join()


def _spin(pipe: Connection) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pipe.send("busy")
    block = np.ones(1 << 14)
    while not pipe.poll():
        for _ in range(100):
            block.sum()


if __name__ == "__main__":
    run()
