"""Whether what goes on beside it slows the EEG side down: a renderer that paints without a break, and all who watch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness import machine, print_ratios
from benchmarks.watched import measure
from configs.schema import RenderSettings
from realtime.decoding.linear_decoder import LinearDecoder
from realtime.rendering.generators.base import Generator
from realtime.rendering.generators.make import make_generator
from realtime.rendering.messages import RenderRequest
from realtime.rendering.worker import RenderWorker

CHANNELS, TIMES, DIMS = 64, 250, 1024
SAMPLE_S = 1 / 250
ROUNDS = 20
READY_S = 300.0
SATURATED, IDLE = "saturated", "idle"


def run(quick: bool = False) -> dict[str, Any]:
    """Take turns of decoding with the renderer painting without a break, and stopped; the map is used as live."""
    settings = RenderSettings()
    times, painted = take_turns(settings, make_generator, 50 if quick else 250, ROUNDS)
    found = print_ratios(
        f"last sample → embedding ({CHANNELS} channels × {TIMES} samples → {DIMS} dims), beside the "
        f"{settings.generator} renderer (µs, {len(times[IDLE])} epochs each, {painted} pictures painted meanwhile)",
        "renderer",
        times,
    )
    return {
        **{f"{name}_us": row for name, row in found["times"].items()},
        "ratio": found["ratio"],
        "frames": painted,
        "epochs": len(times[IDLE]),
        "watched": measure(2, 20) if quick else measure(),
        "generator": settings.generator,
        "machine": machine(),
    }


def take_turns(
    settings: RenderSettings, make: Callable[[RenderSettings], Generator], epochs: int, turns: int
) -> tuple[dict[str, list[float]], int]:
    """Return decoding times in µs beside a renderer that paints and one that is stopped, and how much was painted.

    Parameters
    ----------
    settings, make
        The generator is ``make(settings)``.
    epochs
        Epochs of a turn.
    turns
        Turns of each of both.
    """
    times: dict[str, list[float]] = {SATURATED: [], IDLE: []}
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((TIMES, CHANNELS, DIMS), dtype=np.float32)
    decoder = LinearDecoder(weights, weights[0, 0])
    windows = rng.standard_normal((16, TIMES, CHANNELS), dtype=np.float32)
    with threadpool_limits(1), RenderWorker(settings, make) as renderer:
        dims = renderer.wait_ready(READY_S).dims
        embeddings = rng.standard_normal((16, dims), dtype=np.float32)
        painted = 0
        for turn in range(2 * turns):
            name = (SATURATED, IDLE)[turn % 2]
            if name == IDLE:
                renderer.pause()
            else:
                renderer.resume()
                painted += _until_painted(renderer, RenderRequest(turn, embeddings[turn % 16], 0, settings.steps))
            for trial in range(epochs):
                if name == SATURATED:
                    # a new request at each sample: the renderer always has one waiting
                    renderer.submit(RenderRequest(trial, embeddings[trial % 16], 0, settings.steps))
                    painted += len(renderer.frames())
                times[name].append(_decode(decoder, trial, windows[trial % 16]))
        renderer.resume()
    return times, painted


def _until_painted(renderer: RenderWorker, request: RenderRequest) -> int:
    """Wait until the renderer paints, as it may take up a frozen picture first, and return how many pictures came."""
    number, came = renderer.submit(request), 0
    while True:
        frames = renderer.frames()
        came += len(frames)
        if any(frame.request >= number for frame in frames):
            return came
        if not renderer.wait(READY_S):
            msg = f"nothing was painted within {READY_S:g} s: {renderer.state.text}"
            raise TimeoutError(msg)


def _decode(decoder: LinearDecoder, trial: int, window: Any) -> float:
    """Return the microseconds from the last sample to the embedding, the sample waited for as live."""
    decoder.open(trial)
    decoder.add(trial, 0, window[:-1])
    last = window[-1:]
    time.sleep(SAMPLE_S)
    decoder.read_ahead(1)
    start = time.perf_counter_ns()
    decoder.add(trial, TIMES - 1, last)
    decoder.close(trial)
    return (time.perf_counter_ns() - start) / 1e3
