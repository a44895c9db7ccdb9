"""A stream, a bundle and a renderer small enough to check a session by hand."""

from itertools import pairwise

import numpy as np

from configs.schema import parse_config
from realtime.decoding.bundle import Bundle
from realtime.decoding.early_answers import EarlyAnswers
from realtime.decoding.gallery import Gallery
from realtime.epoching.pipeline import Pipeline
from realtime.rendering.messages import Frame, RenderState
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.spaces import EmbeddingSpace

RATE = 250.0
DIMS = 8
SPEC = StreamSpec("Amp", "EEG", "amp-1", RATE, ("O1", "Oz", "O2"), "microvolts")
CONFIG = parse_config(
    {
        "filters": {"highpass_hz": 1.0, "lowpass_hz": 40.0, "rate_hz": 125.0},
        "window": {"start_s": 0.0, "stop_s": 0.4},
        "artefacts": {"peak_to_peak_uv": None, "flat_uv": None},
    },
    "test",
)


def recording(seconds=14.0, seed=0, drop=None, first=5.0):
    """Timestamps, samples and markers every half second; `drop` is a slice of samples that never came."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    timestamps = 100.0 + np.arange(n) / RATE
    samples = rng.standard_normal((n, 3)).astype(np.float32).cumsum(axis=0)
    onsets = np.arange(100.0 + first, 100.0 + seconds - 1.0, 0.5) + 0.0013
    markers = [Marker(float(t), "picture", f"p{k % 4}") for k, t in enumerate(onsets)]
    if drop is not None:
        timestamps, samples = np.delete(timestamps, drop), np.delete(samples, drop, axis=0)
    return timestamps, samples, markers


class ListSource:
    """Chunks cut at `cuts`, each marker before the first chunk that ends after it (`late`: this much later)."""

    def __init__(self, timestamps, samples, markers, cuts, late=0.0, spec=SPEC, live=False):
        self.spec = spec
        self._items = []
        waiting = list(markers)
        edges = sorted({0, len(timestamps), *(int(c) for c in cuts if 0 < c < len(timestamps))})
        for first, last in pairwise(edges):
            while waiting and waiting[0].timestamp + late <= timestamps[last - 1]:
                self._items.append(waiting.pop(0))
            arrived = float(timestamps[last - 1]) if live else None
            self._items.append(Chunk(timestamps[first:last], samples[first:last], arrived))
        self._items += waiting
        self.closed = False

    def events(self):
        for item in self._items:
            if self.closed:
                return
            yield item

    def wake(self):
        """It never waits."""

    def close(self):
        self.closed = True


def bundle(seed=1):
    """A random map for `CONFIG`, with four pictures to search."""
    pipeline = Pipeline(CONFIG, SPEC)
    rng = np.random.default_rng(seed)
    shape = (pipeline.n_times, 3)
    embeddings = rng.standard_normal((4, DIMS)).astype(np.float32)
    names = ("p0", "p1", "p2", "p3")
    return Bundle(
        spec=SPEC,
        filters=pipeline.filters,
        rate_hz=pipeline.rate_hz,
        first_s=float(pipeline.times_s[0]),
        weights=rng.standard_normal((*shape, DIMS)).astype(np.float32),
        bias=rng.standard_normal(DIMS).astype(np.float32),
        mean_input=np.zeros(shape, np.float32),
        space=EmbeddingSpace("tiny", "random", DIMS),
        gallery=Gallery(names, names, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0)),
    )


def early_answers(seed=2):
    """What `bundle` needs to answer before its windows end."""
    n_times = Pipeline(CONFIG, SPEC).n_times
    root = np.random.default_rng(seed).standard_normal((n_times, 2 * n_times))
    noise = (root @ root.T / (2 * n_times)).astype(np.float32)
    return EarlyAnswers(noise, (0.1, 0.2, 0.4), (1.5, 1.2, 1.0), (0.2, 0.6, 1.0))


class SlowRenderer:
    """Paints only when told to; keeps the newest request alone, as the real one does."""

    def __init__(self):
        self.request = None
        self.number = 0
        self.state = RenderState("ready", "")
        self._done = []
        self.came = lambda: None

    def told(self):
        return []

    def submit(self, request):
        self.request, self.number = request, self.number + 1
        return self.number

    def paint(self):
        for step in (1, 2):
            image = np.zeros((4, 4, 3), np.uint8)
            told = (self.request.trial, step, 2, image, dict(self.request.ledger), self.number)
            self._done.append(Frame(*told, at_s=self.request.at_s, preview=self.request.preview))

    def frames(self):
        done, self._done = self._done, []
        return done

    def wait(self, timeout_s):
        self.paint()
        return True
