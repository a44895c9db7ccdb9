"""mne-lsl's `EpochsStream` with epochs in it, driven as its documentation says.

It refuses streams of string markers, so events go as a numeric stream with a channel for each kind.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.sources.base import StreamSpec
from realtime.sources.publish import stream_info

RATE_HZ = 500.0
PATIENCE_S = 20.0


@contextmanager
def filled_epochs(windows: NDArray[np.float32]) -> Iterator[Callable[[], NDArray[Any]]]:
    """Send the first of `windows` ``[n, times, channels]`` over LSL; give a call that returns it by `get_data`.

    Raises
    ------
    TimeoutError
        If the epoch does not come.
    """
    import pylsl
    from mne_lsl.stream import EpochsStream, StreamLSL

    n_times, n_channels = windows.shape[1:]
    tag = uuid.uuid4().hex[:12]
    spec = StreamSpec(tag, "EEG", tag, RATE_HZ, tuple(f"E{k}" for k in range(n_channels)))
    outlet = pylsl.StreamOutlet(stream_info(spec, tag, tag))
    events = pylsl.StreamOutlet(event_info(f"{tag}-events"))
    stream = StreamLSL(bufsize=4 * n_times / RATE_HZ, name=tag).connect(acquisition_delay=None, timeout=PATIENCE_S)
    marks = StreamLSL(bufsize=10, name=f"{tag}-events").connect(acquisition_delay=None, timeout=PATIENCE_S)
    span = {"tmin": 0.0, "tmax": n_times / RATE_HZ, "baseline": None}
    epochs = EpochsStream(stream, 1, {"picture": 1}, "picture", marks, **span).connect(acquisition_delay=None)
    begin = pylsl.local_clock()
    rest = np.zeros((n_times, n_channels), np.float32)
    block = np.concatenate([rest, windows[0], rest[: n_times // 2]])
    outlet.push_chunk(block, (begin + np.arange(len(block)) / RATE_HZ).tolist())
    events.push_sample([1], begin + n_times / RATE_HZ - 0.1 / RATE_HZ)
    deadline = time.monotonic() + PATIENCE_S
    try:
        while epochs.n_new_epochs == 0:
            if time.monotonic() > deadline:
                msg = f"mne-lsl cut no epoch within {PATIENCE_S:g} s"
                raise TimeoutError(msg)
            for one in (stream, marks, epochs):
                one.acquire()
            time.sleep(0.01)
        yield lambda: epochs.get_data(n_epochs=1)[0].T
    finally:
        for one in (epochs, marks, stream):
            one.disconnect()


def event_info(name: str) -> Any:
    """Return the metadata of a stream of numeric events of one kind."""
    import pylsl

    info = pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, "int32", name)
    channel = info.desc().append_child("channels").append_child("channel")
    for key, value in (("label", "picture"), ("type", "stim"), ("unit", "none")):
        channel.append_child_value(key, value)
    return info
