"""Last sample to embedding: the accumulated map beside what one would use instead, in turns in one run.

Ours is timed as it is met live: between two samples the session does other work, which takes the caches, and then reads
the weights of the next sample ahead; a second figure is without that. The others can only begin when the whole window
is there. All get the same windows and the same map, and must give the same embedding.

What ours takes above the product alone is the price of calls in Python; BLAS adds the product to the sum, so there is
one of them. A kernel in C (cffi, -O3, vectorised) was tried when there were two: 12.9 against 15.1 µs at 64 × 250, in
turns. So there is no compiler.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from benchmarks.epochs_stream import filled_epochs
from benchmarks.harness import (
    interleaved,
    machine,
    memory_bandwidth,
    one_thread,
    paired_ratio,
    percentiles,
    print_table,
    versions,
)
from realtime.decoding.identification_head import Residual
from realtime.decoding.linear_decoder import LinearDecoder

SIZES = ((17, 80), (64, 250), (128, 512))
DIMS = 1024
HEAD_DIMS, UNITS = 256, 128
"""A second output, by which pictures are told apart, and the hidden units of its residual: a fit's defaults."""
OPEN_EPOCHS = (1, 3, 6)
OTHER_WORK = np.ones(1 << 20, np.float32)
"""4 MB, eight times a usual second-level cache, read through between two samples."""
PEERS = ("numpy, whole epoch", "torch CPU, whole epoch", "scikit-learn Ridge.predict", "mne-lsl get_data + predict")
Windows = NDArray[np.float32]


class Rewindable(LinearDecoder):
    """A decoder that can be put back to just before a window's last sample, so that thousands need not be summed."""

    def rewind(self, trial: int, seen: int, total: Windows) -> None:
        """Make `total` the sum of the first `seen` samples of `trial`."""
        self._open[trial].total[:] = total
        self._open[trial].seen = seen

    def so_far(self, trial: int) -> tuple[int, Windows]:
        """Return how many samples of `trial` are summed, and the sum."""
        return self._open[trial].seen, self._open[trial].total


def run(quick: bool = False) -> dict[str, Any]:
    """Measure on one thread with the garbage collector off; headline figures are for 64 channels × 250 samples."""
    epochs, turns = (200, 5) if quick else (5_000, 200)
    with one_thread():
        bandwidth = memory_bandwidth(1 << 26 if quick else 1 << 28)
        rows = [row for size in (SIZES[:2] if quick else SIZES) for row in _size(*size, epochs, turns, bandwidth)]
        heads = _heads(epochs)
        blas = sorted(
            {
                f"{one['internal_api']} {one.get('version', '')} {one.get('architecture', '')}".strip()
                for one in threadpool_info()
            }
        )
    headline = next(row for row in rows if (row["channels"], row["times"], row["open_epochs"]) == (64, 250, 1))
    result = {
        "p50_us": headline["ours_us"]["p50"],
        "p99_us": headline["ours_us"]["p99"],
        "whole_epoch_p50_us": headline["peers_us"][PEERS[0]]["p50"],
        "speedup": headline["speedup"],
        "speedup_interval": headline["speedup_interval"],
        "floor_us": headline["floor_us"],
        "product_us": headline["product_us"],
        "two_heads_us": heads["map alone"],
        "two_heads_residual_us": heads["with residual"],
        "head_dims": HEAD_DIMS,
        "epochs": epochs,
        "peer_epochs": turns,
        "threads": 1,
        "blas": blas,
        "bandwidth_gb_s": round(bandwidth / 1e9, 2),
        "garbage_collector": "off",
        "versions": versions("numpy", "torch", "scikit-learn", "mne-lsl"),
        "machine": machine(),
        "rows": rows,
    }
    _print(result)
    return result


def _size(channels: int, times: int, epochs: int, turns: int, bandwidth: float) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((times, channels, DIMS), dtype=np.float32)
    bias = rng.standard_normal(DIMS, dtype=np.float32)
    windows = rng.standard_normal((4, times, channels), dtype=np.float32)
    expected = windows.reshape(4, -1) @ weights.reshape(-1, DIMS) + bias
    decoder = Rewindable(weights, bias)
    with filled_epochs(windows) as fetch:
        peers = _peers(weights, bias, windows, fetch)
        for name, peer in peers.items():
            np.testing.assert_allclose(peer().ravel(), expected[0], rtol=5e-3, atol=5e-2, err_msg=name)
        rows = []
        for open_epochs in OPEN_EPOCHS:
            ours = _Ours(decoder, windows, expected, open_epochs)
            gc.disable()
            try:
                ahead = [ours.time(trial, read_ahead=True) for trial in range(epochs)]
                cold = [ours.time(trial, read_ahead=False)[0] for trial in range(max(turns, epochs // 10))]
                chosen = peers if open_epochs == 1 else {PEERS[0]: peers[PEERS[0]]}
                beside = interleaved({"ours": ours, **chosen}, turns)
                beside["ours"] = ours.taken[-turns:]
            finally:
                gc.enable()
            ours.close()
            ratio = paired_ratio(beside["ours"], beside[PEERS[0]])
            rows.append(
                {
                    "channels": channels,
                    "times": times,
                    "open_epochs": open_epochs,
                    "ours_us": percentiles(closing for closing, _ in ahead),
                    "all_windows_us": percentiles(every for _, every in ahead),
                    "not_read_ahead_us": percentiles(cold),
                    "product_us": _product_us(weights[-1], turns),
                    "floor_us": round(channels * DIMS * 4 / bandwidth * 1e6, 2),
                    "peers_us": {name: percentiles(beside[name]) for name in chosen},
                    "speedup": round(ratio[0], 1),
                    "speedup_interval": [round(ratio[1], 1), round(ratio[2], 1)],
                }
            )
    return rows


def _heads(epochs: int) -> dict[str, dict[str, float]]:
    """Return the microseconds from the last sample to both outputs, without and with the second one's residual."""
    rng = np.random.default_rng(1)
    channels, times = 64, 250
    columns = DIMS + HEAD_DIMS
    weights = rng.standard_normal((times, channels, columns), dtype=np.float32)
    bias = rng.standard_normal(columns, dtype=np.float32)
    windows = rng.standard_normal((4, times, channels), dtype=np.float32)
    summed = windows.reshape(4, -1) @ weights.reshape(-1, columns) + bias
    hidden = rng.standard_normal((HEAD_DIMS, UNITS), dtype=np.float32) / np.float32(HEAD_DIMS**0.5)
    residual = Residual(
        hidden - hidden.mean(axis=0),
        np.zeros(UNITS, np.float32),
        rng.standard_normal((UNITS, HEAD_DIMS), dtype=np.float32),
        np.zeros(HEAD_DIMS, np.float32),
    )
    found = {}
    for name, corrects in (("map alone", None), ("with residual", residual)):
        decoder = Rewindable(weights, bias, corrects)
        expected = summed.copy()
        if corrects is not None:
            expected[:, DIMS:] = corrects(expected[:, DIMS:])
        ours = _Ours(decoder, windows, expected, open_epochs=1)
        gc.disable()
        try:
            found[name] = percentiles(ours.time(trial, read_ahead=True)[0] for trial in range(epochs))
        finally:
            gc.enable()
        ours.close()
    return found


class _Ours:
    """The moment at which a window's last sample comes while others are open, again and again.

    Calling it is one such moment; `taken` holds the microseconds of each.
    """

    def __init__(self, decoder: Rewindable, windows: Windows, expected: Windows, open_epochs: int) -> None:
        self._decoder, self._windows, self._expected = decoder, windows, expected
        self._others = range(1, open_epochs)
        self._last = decoder.n_times - 1
        self._middle = windows[0, :1]
        self._partial = []
        for trial, window in enumerate(windows):
            decoder.open(trial)
            decoder.add(trial, 0, window[:-1])
            self._partial.append(decoder.so_far(trial)[1].copy())
            decoder.drop(trial)
        for other in self._others:
            decoder.open(-other)
        self.taken: list[float] = []

    def __call__(self) -> None:
        self.taken.append(self.time(len(self.taken), read_ahead=True)[0])

    def time(self, trial: int, *, read_ahead: bool) -> tuple[float, float]:
        """Return the microseconds from the last sample of a window to its embedding, and until all have that sample.

        The window that closes is the oldest, and the session serves the oldest first.
        """
        decoder, which = self._decoder, trial % len(self._windows)
        place = trial % self._last
        decoder.open(trial)
        decoder.rewind(trial, self._last, self._partial[which])
        for other in self._others:
            # spread over the window, as epochs that opened one after another are
            decoder.rewind(-other, (place + other * self._last // 7) % self._last, self._partial[0])
        positions = [decoder.so_far(-other)[0] for other in self._others]
        last = self._windows[which, -1:]
        OTHER_WORK.sum()
        if read_ahead:
            decoder.read_ahead(1)
        begin = time.perf_counter_ns()
        decoder.add(trial, self._last, last)
        embedding = decoder.close(trial)
        closed = time.perf_counter_ns()
        for other, position in zip(self._others, positions, strict=True):
            decoder.add(-other, position, self._middle)
        end = time.perf_counter_ns()
        np.testing.assert_allclose(embedding, self._expected[which], rtol=5e-3, atol=5e-2)
        return (closed - begin) / 1e3, (end - begin) / 1e3

    def close(self) -> None:
        for other in self._others:
            self._decoder.drop(-other)


def _peers(
    weights: Windows, bias: Windows, windows: Windows, fetch: Callable[[], Windows]
) -> dict[str, Callable[[], Any]]:
    """Return what one would use instead, each with the map as it wants it: from the first window to its embedding."""
    import torch
    from sklearn.linear_model import Ridge

    flat = weights.reshape(-1, DIMS)
    epoch = windows[0]
    torch_flat, torch_bias = torch.from_numpy(flat), torch.from_numpy(bias)
    ridge = Ridge().fit(windows.reshape(len(windows), -1), np.zeros((len(windows), DIMS), np.float32))
    ridge.coef_, ridge.intercept_ = np.ascontiguousarray(flat.T), bias

    def numpy_whole() -> Any:
        return epoch.reshape(-1) @ flat + bias

    def torch_whole() -> Any:
        with torch.inference_mode():
            return torch.addmv(torch_bias, torch_flat.T, torch.from_numpy(epoch).reshape(-1)).numpy()

    def predict() -> Any:
        return ridge.predict(epoch.reshape(1, -1))

    def fetch_and_predict() -> Any:
        return ridge.predict(fetch().reshape(1, -1))

    return dict(zip(PEERS, (numpy_whole, torch_whole, predict, fetch_and_predict), strict=True))


def _product_us(last: Windows, turns: int) -> float:
    """Return what the product alone takes, its weights in the cache and nothing of Python around it but the call."""
    sample, out = np.ones(last.shape[0], np.float32), np.empty(DIMS, np.float32)
    times = interleaved({"product": lambda: np.matmul(sample, last, out=out)}, 5 * turns)["product"]
    return round(float(np.median(times)), 2)


def _print(result: dict[str, Any]) -> None:
    rows = result["rows"]
    print_table(
        f"last sample → embedding of {DIMS} dims, {result['epochs']} epochs, 1 thread, garbage collector off (µs); "
        f"floor: bytes of the last slice from memory at {result['bandwidth_gb_s']} GB/s; a cache is faster",
        (
            "channels × samples",
            "open",
            "ours p50",
            "p95",
            "p99",
            "max",
            "not read ahead p50",
            "the product alone",
            "floor",
            "all open windows p50",
            "whole epoch : ours",
        ),
        [
            (
                f"{row['channels']} × {row['times']}",
                row["open_epochs"],
                *(row["ours_us"][key] for key in ("p50", "p95", "p99", "max")),
                row["not_read_ahead_us"]["p50"],
                row["product_us"],
                row["floor_us"],
                row["all_windows_us"]["p50"],
                "{:.0f} × ({:.0f} to {:.0f})".format(row["speedup"], *row["speedup_interval"]),
            )
            for row in rows
        ],
    )
    print_table(
        f"last sample → an embedding of {DIMS} and an output of {HEAD_DIMS} dims, 64 channels × 250 samples (µs)",
        ("", "p50", "p95", "p99", "max"),
        [
            (name, *(result[key][one] for one in ("p50", "p95", "p99", "max")))
            for name, key in (("one product", "two_heads_us"), ("and the residual", "two_heads_residual_us"))
        ],
    )
    names = result["versions"]
    print_table(
        f"the same embedding by others, in turns with ours, {result['peer_epochs']} epochs each (p50 / p99, µs); "
        + ", ".join(f"{name} {number}" for name, number in names.items()),
        ("channels × samples", *PEERS),
        [
            (
                f"{row['channels']} × {row['times']}",
                *(f"{row['peers_us'][name]['p50']:.0f} / {row['peers_us'][name]['p99']:.0f}" for name in PEERS),
            )
            for row in rows
            if row["open_epochs"] == 1
        ],
    )


if __name__ == "__main__":
    run()
