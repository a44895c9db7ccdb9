"""The live stream of a calibration as trials, block by block: the same pipeline as everywhere else."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from calibration.data.trials import Refusal, Trials
from configs.schema import Config
from realtime.epoching.epochs import Closed, Epoch, Refused, Retracted
from realtime.epoching.pipeline import Pipeline
from realtime.epoching.signal_quality import signal_quality
from realtime.sources.base import Chunk, Marker, Notice, Source, StreamSpec
from realtime.timeline.sample_grid import Fault

Item = Chunk | Marker | Notice


class Collector:
    """Cuts epochs as the stream comes and hands them out by blocks.

    Parameters
    ----------
    config
        Settings of the session.
    spec
        The stream.

    Attributes
    ----------
    pipeline
        For its settings and counts.
    first, newest
        Stamps of the first and of the newest sample.
    refused
        Stimuli without a usable window.
    """

    def __init__(self, config: Config, spec: StreamSpec) -> None:
        self._config, self._spec = config, spec
        self.pipeline = Pipeline(config, spec)
        self.first, self.newest = math.nan, -math.inf
        self.refused: list[Refusal] = []
        self._closed: dict[int, Epoch] = {}

    @property
    def seconds(self) -> float:
        """How much of the stream has come."""
        return self.newest - self.first if math.isfinite(self.newest) else 0.0

    def push(self, item: Item) -> Iterator[Fault | Notice]:
        """Take in the next item of the stream; yield what is wrong with it."""
        if isinstance(item, Chunk) and len(item.stamps):
            self.first = float(item.stamps[0]) if math.isnan(self.first) else self.first
            self.newest = max(self.newest, float(item.stamps[-1]))
        for event in self.pipeline.push(item):
            if isinstance(event, Closed):
                self._closed[event.trial] = event.epoch
            elif isinstance(event, Refused | Retracted):
                self._closed.pop(event.trial, None)
                name = event.marker.picture or event.marker.kind
                self.refused.append(Refusal(0, event.marker.stamp, name, event.reason))
            elif isinstance(event, Fault | Notice):
                yield event

    def take(self) -> Trials:
        """Return the trials that have closed since this was last asked."""
        epochs = [self._closed.pop(trial) for trial in sorted(self._closed)]
        pipeline = self.pipeline
        shape = (len(epochs), pipeline.n_times, len(pipeline.channels))
        return Trials(
            samples=np.array([epoch.samples for epoch in epochs], dtype=np.float32).reshape(shape),
            names=np.array([epoch.marker.picture or epoch.marker.kind for epoch in epochs], dtype=np.str_),
            onsets=np.array([epoch.onset for epoch in epochs], dtype=np.float64),
            recordings=np.zeros(len(epochs), dtype=np.int64),
            times_s=pipeline.times_s,
            rate_hz=pipeline.rate_hz,
            spec=replace(self._spec, channels=pipeline.channels),
            filters=pipeline.filters,
            flags=tuple(epoch.flags for epoch in epochs),
            simulated=self._config.simulated,
        )


def block_quality(trials: Trials, config: Config) -> dict[str, float | None]:
    """Return the mean signal quality of each channel over the trials."""
    if not len(trials):
        return {}
    found = [signal_quality(samples, trials.spec.channels, config.artefacts) for samples in trials.samples]
    means: dict[str, float | None] = {}
    for name in trials.spec.channels:
        known = [value for one in found if (value := one[name]) is not None]
        means[name] = float(np.mean(known)) if known else None
    return means


class Ear:
    """Reads a source in a thread, so that the stream is taken in while a block is scored.

    Parameters
    ----------
    source
        Closed by `close`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._items: queue.SimpleQueue[Item | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._listen, name="calibration stream", daemon=True)
        self._thread.start()

    def hear(self, timeout_s: float) -> Iterator[Item]:
        """Yield what has come, after waiting at most `timeout_s` for something.

        What the source raises is raised here.
        """
        try:
            item = self._items.get(timeout=timeout_s)
            while True:
                if isinstance(item, BaseException):
                    raise item
                yield item
                item = self._items.get_nowait()
        except queue.Empty:
            return

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        self._source.close()
        self._thread.join(5.0)

    def _listen(self) -> None:
        try:
            for item in self._source.events():
                self._items.put(item)
        except BaseException as error:
            self._items.put(error)
