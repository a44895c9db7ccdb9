"""A map with random weights, for sessions whose times are measured and not what they decode."""

from __future__ import annotations

import numpy as np

from configs.schema import Config
from realtime.decoding.bundle import Bundle
from realtime.decoding.gallery import Gallery
from realtime.epoching.pipeline import Pipeline
from realtime.sources.base import StreamSpec
from realtime.spaces import EmbeddingSpace


def random_bundle(config: Config, spec: StreamSpec, space: EmbeddingSpace) -> Bundle:
    """Return a bundle that decodes a stream as `config` says to two pictures that do not exist."""
    pipeline = Pipeline(config, spec)
    rng = np.random.default_rng(0)
    names = ("p1", "p2")
    embeddings = rng.standard_normal((len(names), space.dims), dtype=np.float32)
    shape = (pipeline.n_times, len(pipeline.channels), space.dims)
    return Bundle(
        spec=spec,
        filters=pipeline.filters,
        rate_hz=pipeline.rate_hz,
        first_s=float(pipeline.times_s[0]),
        weights=rng.standard_normal(shape, dtype=np.float32) / np.float32(100),
        bias=embeddings[0],
        mean_input=np.zeros(shape[:2], np.float32),
        space=space,
        gallery=Gallery(names, names, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0)),
    )
