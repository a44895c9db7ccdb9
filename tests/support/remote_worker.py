"""Remote workers in processes of their own, which tests may kill and freeze."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from multiprocessing import get_context

import numpy as np

from configs.schema import ControlSettings, RenderSettings
from realtime.mqtt.address import broker_address
from realtime.spaces import EmbeddingSpace

SPACE = EmbeddingSpace("plain", "drawn", 4)
FAILING_SEED = 13
SLOW_SEED = 7
"""Of pictures that take 50 ms a step."""


class PlainGenerator:
    """Paints grey that tells seed, step and embedding; no network, so that a test can ask for hundreds."""

    space = SPACE

    def __init__(self, picture_s=0.0):
        self.picture_s = picture_s

    def prepare(self):
        pass

    def stream(self, embedding, seed, steps):
        if seed == FAILING_SEED:
            msg = "out of memory"
            raise MemoryError(msg)
        for step in range(1, steps + 1):
            if seed == SLOW_SEED:
                threading.Event().wait(0.05)
            threading.Event().wait(self.picture_s / steps)
            yield picture(embedding, step, steps)


def picture(embedding, step, steps):
    levels = np.clip(128 + 40 * np.asarray(embedding), 0, 255).astype(np.uint8)
    image = np.repeat(np.repeat(levels[None, :, None], 128, axis=0), 32, axis=1)
    return np.broadcast_to((image * (step / steps)).astype(np.uint8), (128, 128, 3)).copy()


def plain(settings, picture_s=0.0):
    return PlainGenerator(picture_s)


def serve(url, wire, picture_s, settings):
    import warnings

    from realtime.rendering.remote.worker import RemoteWorker

    warnings.simplefilter("ignore")
    address = broker_address(ControlSettings(url=url))
    stop = threading.Event()
    worker = RemoteWorker(address, "perceptogram", settings, partial(plain, picture_s=picture_s), threads=1)
    wire.send(worker.id)
    threading.Thread(target=lambda: (_end(wire), stop.set()), daemon=True).start()
    worker.serve(stop)


def _end(wire):
    try:
        wire.recv()
    except (EOFError, OSError):
        return


class WorkerProcess:
    """`perceptogram worker` without the command; it has a renderer process of its own below it.

    A picture takes `picture_s`.
    """

    def __init__(self, url, picture_s=0.0, settings=None):
        context = get_context("spawn")
        self._wire, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(url, theirs, picture_s, settings or RenderSettings()))
        self._process.start()
        theirs.close()
        self.id = self._wire.recv()
        self._frozen = False

    def kill(self):
        self._process.kill()
        self._process.join()
        self._wire.close()

    def freeze(self):
        os.kill(self._process.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self):
        os.kill(self._process.pid, signal.SIGCONT)
        self._frozen = False

    def stop(self):
        if self._process.is_alive():
            if self._frozen:
                self.thaw()
            self._wire.close()
            self._process.join(20)
            if self._process.is_alive():
                self.kill()
