"""Last sample to embedding: the accumulated map against the product of the whole epoch, interleaved in one run."""

from __future__ import annotations

import gc
import time
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.harness import machine, memory_bandwidth, percentiles, print_table
from realtime.decoder import LinearDecoder

SIZES = ((17, 80), (64, 250), (128, 512))
DIMS = 1024
OPEN_EPOCHS = (1, 3, 6)


def run(quick: bool = False) -> dict[str, Any]:
    """Measure on one thread with the garbage collector off; headline figures are for 64 channels × 250 samples."""
    epochs = 400 if quick else 5_000
    with threadpool_limits(1):
        bandwidth = memory_bandwidth()
        rows = [_measure(c, t, k, epochs, bandwidth) for c, t in SIZES for k in OPEN_EPOCHS]
        threads = sorted({library["internal_api"] for library in threadpool_info()})
    headline = next(row for row in rows if (row["channels"], row["times"], row["open_epochs"]) == (64, 250, 1))
    result = {
        "p50_us": headline["ours_us"]["p50"],
        "p99_us": headline["ours_us"]["p99"],
        "whole_epoch_p50_us": headline["whole_epoch_us"]["p50"],
        "speedup": headline["speedup"],
        "floor_us": headline["floor_us"],
        "epochs": epochs,
        "threads": 1,
        "blas": threads,
        "garbage_collector": "off",
        "machine": machine(),
        "rows": rows,
    }
    print_table(
        f"last sample → embedding of {DIMS} dims, {epochs} epochs, 1 thread (µs)",
        ("channels × samples", "open", "ours p50", "p95", "p99", "max", "whole epoch p50", "speed-up", "floor"),
        [
            (
                f"{row['channels']} × {row['times']}",
                row["open_epochs"],
                *(row["ours_us"][key] for key in ("p50", "p95", "p99", "max")),
                row["whole_epoch_us"]["p50"],
                f"{row['speedup']:.0f} ×",
                row["floor_us"],
            )
            for row in rows
        ],
    )
    return result


def _measure(channels: int, times: int, open_epochs: int, epochs: int, bandwidth: float) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((times, channels, DIMS), dtype=np.float32)
    bias = rng.standard_normal(DIMS, dtype=np.float32)
    decoder = LinearDecoder(weights, bias, np.zeros((times, channels), np.float32))
    flat = weights.reshape(-1, DIMS)
    windows = rng.standard_normal((16, times, channels), dtype=np.float32)
    # Overlapping windows: the others are in the middle and take the same sample before the closing one is timed.
    middle = np.ascontiguousarray(windows[0, :1])
    whole_every = max(1, epochs // 200)
    ours, whole = [], []
    for other in range(1, open_epochs):
        decoder.open(-other)
    position = 0
    gc.disable()
    try:
        for trial in range(epochs):
            window = windows[trial % len(windows)]
            decoder.open(trial)
            decoder.add(trial, 0, window[:-1])
            last = window[-1:]
            if position == times:
                position = 0
                for other in range(1, open_epochs):
                    decoder.drop(-other)
                    decoder.open(-other)
            decoder.read_ahead(1)  # as the session does while it waits for the next sample
            start = time.perf_counter_ns()
            for other in range(1, open_epochs):
                decoder.add(-other, position, middle)
            decoder.add(trial, times - 1, last)
            embedding = decoder.close(trial)
            ours.append((time.perf_counter_ns() - start) / 1e3)
            position += 1
            if trial % whole_every == 0:
                start = time.perf_counter_ns()
                expected = window.reshape(-1) @ flat + bias
                whole.append((time.perf_counter_ns() - start) / 1e3)
                np.testing.assert_allclose(embedding, expected, rtol=2e-3, atol=2e-3)
    finally:
        gc.enable()
    ours_us, whole_us = percentiles(ours), percentiles(whole)
    return {
        "channels": channels,
        "times": times,
        "open_epochs": open_epochs,
        "ours_us": ours_us,
        "whole_epoch_us": whole_us,
        "speedup": round(whole_us["p50"] / ours_us["p50"], 1),
        "floor_us": round(open_epochs * channels * DIMS * 4 / bandwidth * 1e6, 2),
    }
