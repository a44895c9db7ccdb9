"""The live stream of a calibration as trials, block by block: the same pipeline as everywhere else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import numpy as np

from calibration.data.reading import Item
from calibration.data.trials import Trials
from configs.schema import Config
from realtime.epoching.signal_quality import signal_quality
from realtime.sources.base import Source


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
