"""The work that the guard times, run from whichever tree it is told: ``python guard_work.py TREE``.

Each line on standard input names a piece of work; the answer is a line of JSON, ``{"s": seconds}`` or ``{"error": …}``.
It must run on the commit before as well, so it touches only what is public, and what has gone is an error, not a fall.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANNELS, TIMES, DIMS = 64, 100, 256
RATE_HZ = 250.0


def decode() -> Callable[[], Any]:
    """Windows summed sample by sample."""
    import numpy as np

    from realtime.decoding.linear_decoder import LinearDecoder

    rng = np.random.default_rng(0)
    weights = rng.standard_normal((TIMES, CHANNELS, DIMS), dtype=np.float32)
    window = rng.standard_normal((TIMES, CHANNELS), dtype=np.float32)
    decoder = LinearDecoder(weights, weights[0, 0])

    def work() -> None:
        for trial in range(10):
            decoder.open(trial)
            for first in range(TIMES):
                decoder.add(trial, first, window[first : first + 1])
            decoder.close(trial)

    return work


def pipeline() -> Callable[[], Any]:
    """Time axis, filters and epochs of two seconds of 64 channels in chunks of five."""
    import numpy as np

    from configs.schema import Config
    from realtime.epoching.pipeline import Pipeline
    from realtime.sources.base import Chunk, Marker, StreamSpec

    spec = StreamSpec("guard", "EEG", "guard", RATE_HZ, tuple(f"E{k}" for k in range(CHANNELS)))
    samples = np.random.default_rng(0).normal(0, 10, (500, CHANNELS)).astype(np.float32)
    timestamps = 100.0 + np.arange(500) / RATE_HZ
    chunks = [Chunk(timestamps[k : k + 5], samples[k : k + 5]) for k in range(0, 500, 5)]

    def work() -> None:
        line = Pipeline(Config(), spec)
        for number, chunk in enumerate(chunks):
            if number % 10 == 0:
                list(line.push(Marker(float(chunk.timestamps[0]), "picture", "p", {})))
            list(line.push(chunk))

    return work


def ridge() -> Callable[[], Any]:
    """Five folds, ten alphas."""
    import numpy as np

    from calibration.model.ridge import fit_ridge

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((400, 150)), rng.standard_normal((400, 64))
    folds, alphas = np.arange(400) // 10 % 5, tuple(10.0**k for k in range(10))
    return lambda: fit_ridge(x, y, folds, alphas)


def paint() -> Callable[[], Any]:
    """One picture of the generator that ships, in one step."""
    import numpy as np
    import torch

    from realtime.rendering.embedded.generator import EmbeddedGenerator

    torch.set_num_threads(1)
    generator = EmbeddedGenerator()
    generator.prepare()
    embedding = np.random.default_rng(0).standard_normal(generator.space.dims).astype(np.float32)
    return lambda: list(generator.stream(embedding, 0, 1))


WORK: dict[str, Callable[[], Callable[[], Any]]] = {
    "decode": decode,
    "pipeline": pipeline,
    "ridge": ridge,
    "paint": paint,
}


def answer(name: str, made: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Do the work once, made and warmed up on first call, and say how long it took or why it cannot be done."""
    try:
        if name not in made:
            made[name] = WORK[name]()
            made[name]()
        begin = time.perf_counter()
        made[name]()
        return {"s": time.perf_counter() - begin}
    except Exception as error:  # whatever the other tree raises is the answer
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def serve(tree: Path) -> None:
    """Answer each line of standard input from the code in `tree`."""
    sys.path[0] = str(tree)
    import realtime

    if Path(realtime.__file__ or "").resolve().parents[1] != tree:
        msg = f"the code came from {realtime.__file__}, not from {tree}"
        raise SystemExit(msg)
    made: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        print(json.dumps(answer(line.strip(), made)), flush=True)


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    serve(Path(sys.argv[1]).resolve())
