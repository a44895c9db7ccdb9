"""From LSL to an embedding, three ways: this project's, mne-lsl's `EpochsStream`, and a loop over pylsl.

Each runs in a process of its own and does the same work: windows of one second from a marker on, unfiltered, through
the same linear map, on one thread. The peers are driven as their documentation says; they look for no lost samples.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from benchmarks.lsl_sender import Amplifier, pushed_at
from configs.schema import Config
from realtime.decoding.linear_decoder import LinearDecoder
from realtime.epoching.epochs import Closed, Opened, Refused, Retracted, Samples
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import Chunk
from realtime.sources.lsl import LslSource

WINDOW_S = 1.0
DIMS = 1024
WARM_UP = 8
"""Embeddings before the clock starts."""
POLL_S = 0.001
PATIENCE_S = 30.0
Receiver = Callable[[Amplifier, Any], Generator[float, None, None]]


def ours(amplifier: Amplifier, weights: Any) -> Generator[float, None, None]:
    """Reader process, time axis, epochs, map summed sample by sample."""
    import pylsl

    config = Config.model_validate(
        {
            "stream": {"source_id": amplifier.tag, "timeout_s": PATIENCE_S},
            "markers": {"source_id": f"{amplifier.tag}-markers"},
            "filters": {"highpass_hz": None, "lowpass_hz": None},
            "window": {"stop_s": WINDOW_S},
        }
    )
    source = LslSource(config.stream, config.markers)
    try:
        pipeline = Pipeline(config, source.spec)
        decoder = LinearDecoder(weights, weights[0, 0])
        added = 1
        for item in source.events():
            for event in pipeline.push(item):
                match event:
                    case Opened(trial):
                        decoder.open(trial)
                    case Samples(trial, first, samples):
                        decoder.add(trial, first, samples)
                        added = len(samples)
                    case Closed(trial, epoch):
                        decoder.close(trial)
                        yield pylsl.local_clock() - float(pushed_at(epoch.samples[-1:])[0])
                    case Refused(trial) | Retracted(trial):
                        decoder.drop(trial)
            if isinstance(item, Chunk):
                decoder.read_ahead(added)
    finally:
        source.close()


def mne_lsl(amplifier: Amplifier, weights: Any) -> Generator[float, None, None]:
    """`EpochsStream` with all of LSL's timestamp processing, polled, and scikit-learn's `Ridge.predict`."""
    import pylsl
    from mne_lsl import set_log_level
    from mne_lsl.stream import EpochsStream, StreamLSL
    from sklearn.linear_model import Ridge

    set_log_level("WARNING")
    flat = weights.transpose(1, 0, 2).reshape(-1, DIMS)
    ridge = Ridge().fit(np.eye(2, len(flat), dtype=np.float32), np.zeros((2, DIMS), np.float32))
    ridge.coef_, ridge.intercept_ = np.ascontiguousarray(flat.T), weights[0, 0]
    how = {"acquisition_delay": POLL_S, "processing_flags": "all", "timeout": PATIENCE_S}
    stream = StreamLSL(bufsize=3 * WINDOW_S, name=amplifier.tag).connect(**how)
    events = StreamLSL(bufsize=20, name=f"{amplifier.tag}-events").connect(**how)
    span = {"tmin": 0.0, "tmax": WINDOW_S, "baseline": None}
    epochs = EpochsStream(stream, 10, {"picture": 1}, "picture", events, **span).connect(acquisition_delay=POLL_S)
    try:
        while True:
            if epochs.n_new_epochs == 0:
                time.sleep(POLL_S)
                continue
            data = epochs.get_data(n_epochs=epochs.n_new_epochs)
            ridge.predict(data.reshape(len(data), -1))
            now = pylsl.local_clock()
            yield from (now - pushed_at(data[:, :, -1])).tolist()
    finally:
        for one in (epochs, events, stream):
            one.disconnect()


def pylsl_loop(amplifier: Amplifier, weights: Any) -> Generator[float, None, None]:
    """Blocking `pull_sample`, windows cut by sample count, one product of the whole window."""
    import pylsl

    def inlet(source_id: str) -> Any:
        found = pylsl.resolve_byprop("source_id", source_id, timeout=PATIENCE_S)
        return pylsl.StreamInlet(found[0], processing_flags=pylsl.proc_clocksync)

    stream, markers = inlet(amplifier.tag), inlet(f"{amplifier.tag}-markers")
    flat, bias = weights.reshape(-1, DIMS), weights[0, 0]
    n_times = len(weights)
    size = 4 * n_times
    ring, timestamps = np.zeros((size, amplifier.channels), np.float32), np.full(size, -np.inf)
    onsets: deque[float] = deque()
    first: int | None = None
    number = 0
    markers.open_stream()
    while True:
        ring[number % size], timestamps[number % size] = stream.pull_sample()
        marker, onset = markers.pull_sample(timeout=0.0)
        if marker is not None:
            onsets.append(onset)
        number += 1
        while onsets:
            if first is None:
                behind = int((timestamps >= onsets[0] - 0.25 / amplifier.rate_hz).sum())
                if not behind:
                    break
                first = number - behind
            if number - first < n_times:
                break
            window = ring[np.arange(first, first + n_times) % size]
            window.reshape(-1) @ flat + bias
            yield pylsl.local_clock() - float(pushed_at(window[-1:])[0])
            onsets.popleft()
            first = None


def receive(pipe: Connection, receiver: Receiver, amplifier: Amplifier, epochs: int) -> None:
    """Report the milliseconds from push to embedding of `epochs` windows, and the share of a core that it took."""
    n_times = round(WINDOW_S * amplifier.rate_hz)
    weights = np.random.default_rng(0).standard_normal((n_times, amplifier.channels, DIMS), dtype=np.float32)
    delays: list[float] = []
    begun = used = 0.0
    with threadpool_limits(1):
        came = receiver(amplifier, weights)
        for number, delay_s in enumerate(came):
            if number == WARM_UP:
                begun, used = time.monotonic(), cpu_s()
            elif number > WARM_UP:
                delays.append(1e3 * delay_s)
            if len(delays) == epochs:
                break
        share = (cpu_s() - used) / (time.monotonic() - begun)
        came.close()
    pipe.send({"ms": delays, "core": share})


def cpu_s(without: int = 0) -> float:
    """Return the seconds of processor time that this process and those below it have used, all but one's."""
    here = psutil.Process()
    used = 0.0
    for process in (here, *here.children(recursive=True)):
        if process.pid == without:
            continue
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system
    return used
