"""How time and memory grow with the problem: four curves, each with the exponent of the power law fitted to it.

Decode time by channels × dims, fit time by trials and by features, memory by minutes of EEG, pictures a second by
renderers. The figure goes to ``--out``, or with ``--publish`` beside the committed results.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import fitted_power, interleaved, machine, one_thread, print_table
from benchmarks.report import RESULTS
from configs.files import whole_file
from configs.schema import Config, RenderSettings
from realtime.decoding.linear_decoder import LinearDecoder
from realtime.epoching.epochs import Closed
from realtime.epoching.pipeline import Pipeline
from realtime.recording.xdf_writer import XdfWriter
from realtime.sources.base import Chunk, Marker, StreamSpec

Curve = dict[str, list[float]]
RATE_HZ = 250.0
CHANNELS = 64
READY_S = 120.0
ALPHAS = tuple(10.0**k for k in range(10))
PRODUCT = 1 << 16
"""Channels × dims from which on the product takes longer than the calls around it."""
CORES = max(2, os.cpu_count() or 1)
"""Renderers up to which the power law is fitted: two points at least."""
INK, SECOND = "#1f6f8b", "#b5654a"


def run(quick: bool = False, out: Path | None = None, publish: bool = False) -> dict[str, Any]:
    """Measure the four curves and draw them, where there is a folder to draw them into."""
    with one_thread():
        curves = {
            "decode": _decode(quick),
            **_fit(quick),
            **_memory((1, 2, 4) if quick else (1, 2, 4, 8, 16)),
        }
    curves["renderers"] = _renderers((1, 2) if quick else (1, 2, 3, 4), 2.0 if quick else 10.0)
    exponents = {name: round(fitted_power(*_fitted(name, curve)), 2) for name, curve in curves.items()}
    folder = RESULTS if publish else out
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        _draw(curves, exponents, folder / "scaling.png")
    print_table(
        "how it grows: value ~ size ^ exponent, "
        f"fitted to all points (decoding: from {PRODUCT:,} on; renderers: up to the cores)",
        ("curve", "sizes", "values", "exponent"),
        [
            (
                ABOUT[name],
                ", ".join(f"{x:g}" for x in curve["x"]),
                ", ".join(f"{y:.3g}" for y in curve["y"]),
                exponents[name],
            )
            for name, curve in curves.items()
        ],
    )
    return {"curves": curves, "exponents": exponents, "machine": machine()}


ABOUT = {
    "decode": "a window of four samples, one at a time, to its embedding (µs) by channels × dims",
    "fit trials": "ridge fit (s) by trials, 200 features",
    "fit features": "ridge fit (s) by features, 2,000 trials",
    "live path": "live path's memory (MB) by minutes of EEG",
    "trials": "trials handed out (MB) by minutes of EEG",
    "file": "recording on disk (MB) by minutes of EEG",
    "renderers": "pictures a second by renderer processes",
}


def _fitted(name: str, curve: Curve) -> tuple[list[float], list[float]]:
    """Return the points that the power law is fitted to.

    Of decoding, those where the product outweighs the calls; of renderers, no more than the machine has cores for.
    """
    least = PRODUCT if name == "decode" else 0
    most = CORES if name == "renderers" else math.inf
    chosen = [(x, y) for x, y in zip(curve["x"], curve["y"], strict=True) if least <= x <= most]
    return [x for x, _ in chosen], [y for _, y in chosen]


def _decode(quick: bool) -> Curve:
    sizes = [(c, d) for d in (256, 1024) for c in (16, 64, 256)]
    sizes = sizes if quick else sorted((c, d) for d in (128, 512, 2048) for c in (8, 32, 128, 512))
    curve: Curve = {"x": [], "y": [], "channels": [], "dims": []}
    for channels, dims in sizes:
        weights = np.random.default_rng(0).standard_normal((4, channels, dims), dtype=np.float32)
        decoder = LinearDecoder(weights, weights[0, 0])
        window = np.ones((4, channels), np.float32)
        took = interleaved({"last": _Last(decoder, window)}, 50 if quick else 2000)["last"]
        for key, value in (("x", channels * dims), ("y", float(np.median(took)))):
            curve[key].append(value)
        curve["channels"].append(channels)
        curve["dims"].append(dims)
    return curve


class _Last:
    """The last sample of a window of four; the three before it are the same price, so a quarter of a call is one."""

    def __init__(self, decoder: LinearDecoder, window: Any) -> None:
        self._decoder, self._rows = decoder, [window[k : k + 1] for k in range(len(window))]

    def __call__(self) -> None:
        self._decoder.open(0)
        for place, row in enumerate(self._rows):
            self._decoder.add(0, place, row)
        self._decoder.close(0)


def _fit(quick: bool) -> dict[str, Curve]:
    from calibration.model.ridge import fit_ridge

    def seconds(trials: int, features: int) -> float:
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((trials, features)), rng.standard_normal((trials, 64))
        folds = np.arange(trials) // 10 % 5
        rounds = 1 if quick else 3
        return float(np.median(interleaved({"fit": lambda: fit_ridge(x, y, folds, ALPHAS)}, rounds)["fit"])) / 1e6

    trials = (1000, 2000, 4000) if quick else (1000, 2000, 4000, 8000, 16000)
    features = (50, 100, 200) if quick else (100, 200, 400, 800, 1600)
    return {
        "fit trials": {"x": list(trials), "y": [seconds(n, 200) for n in trials]},
        "fit features": {"x": list(features), "y": [seconds(2000, n) for n in features]},
    }


def _memory(minutes: Sequence[int]) -> dict[str, Curve]:
    """Push noise and markers through the live path and into a recording; weigh what it keeps and what it hands out."""
    spec = StreamSpec("scaling", "EEG", "scaling", RATE_HZ, tuple(f"E{k}" for k in range(CHANNELS)))
    live, kept, file = ({"x": [float(m) for m in minutes], "y": []} for _ in range(3))
    size = int(RATE_HZ)
    samples = np.random.default_rng(0).normal(0, 10, (size, CHANNELS)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scaling.xdf"
        writer = XdfWriter(path)
        writer.stream_header(1, "<?xml version='1.0'?><info><name>scaling</name></info>")
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            pipeline, trials = Pipeline(Config(), spec), 0
            for second in range(60 * max(minutes)):
                timestamps = 1000.0 + second + np.arange(size) / RATE_HZ
                shown = [Marker(float(timestamps[0]) + 0.2 * k, "picture", f"p{second}", {}) for k in range(5)]
                items: list[Chunk | Marker] = [*shown, Chunk(timestamps, samples)]
                for item in items:
                    for event in pipeline.push(item):
                        trials += event.epoch.samples.nbytes if isinstance(event, Closed) else 0
                writer.numbers(1, timestamps.tolist(), samples)
                if (second + 1) / 60 in minutes:
                    writer.sync()
                    live["y"].append((tracemalloc.get_traced_memory()[0] - before) / 2**20)
                    kept["y"].append(trials / 2**20)
                    file["y"].append(path.stat().st_size / 2**20)
        finally:
            tracemalloc.stop()
            writer.close()
    return {"live path": live, "trials": kept, "file": file}


def _renderers(counts: Sequence[int], seconds: float) -> Curve:
    """Let 1, 2, … renderer processes of one thread paint without a break, and count."""
    from realtime.rendering.worker import RenderWorker

    settings = RenderSettings(steps=1)
    curve: Curve = {"x": [float(count) for count in counts], "y": []}
    with ExitStack() as stack:
        workers: list[RenderWorker] = []
        for count in counts:
            while len(workers) < count:
                workers.append(stack.enter_context(RenderWorker(settings, threads=1)))
            dims = min(worker.wait_ready(READY_S).dims for worker in workers)
            curve["y"].append(_painted(workers, dims, seconds) / seconds)
    return curve


def _painted(workers: Sequence[Any], dims: int, seconds: float) -> int:
    """Return how many pictures come in `seconds`; each renderer always has one request waiting."""
    from realtime.rendering.messages import RenderRequest

    embeddings = np.random.default_rng(0).standard_normal((64, dims), dtype=np.float32)
    asked = painted = 0

    def ask(worker: Any) -> None:
        nonlocal asked
        asked += 1
        worker.submit(RenderRequest(asked, embeddings[asked % 64], asked, 1))

    for worker in workers:
        worker.frames()
        ask(worker)
        ask(worker)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for worker in workers:
            worker.wait(0.002)
            for frame in worker.frames():
                painted += frame.final
                if frame.final:
                    ask(worker)
    return painted


def _draw(curves: dict[str, Curve], exponents: dict[str, float], file: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(10, 8.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2).ravel()

    def line(place: int, name: str, colour: str, label: str) -> None:
        curve, power = curves[name], exponents[name]
        x, y = (np.asarray(values) for values in _fitted(name, curve))
        through = np.exp(np.mean(np.log(y) - power * np.log(x)))
        ends = np.array([x.min(), x.max()])
        axes[place].loglog(curve["x"], curve["y"], "o", color=colour, markersize=5)
        told = f"{label}: exponent {power:.2f}"
        axes[place].loglog(ends, through * ends**power, "-", color=colour, linewidth=1, alpha=0.7, label=told)

    line(0, "decode", INK, f"a window of four samples, from {PRODUCT:,} on")
    line(1, "fit trials", INK, "trials (200 features)")
    line(1, "fit features", SECOND, "features (2,000 trials)")
    line(2, "live path", INK, "live path")
    line(2, "trials", SECOND, "the trials handed out")
    line(2, "file", "#8a949e", "recording on disk")
    line(3, "renderers", INK, f"embedded generator, 1 step, up to {CORES}")
    for axis, title, xlabel, ylabel in zip(
        axes,
        ("Decoding", "Fitting, 5 folds × 10 alphas, 64 targets", "Memory and disk", "Rendering"),
        (
            "channels × dims",
            "trials or features",
            "minutes of EEG: 64 channels, 250 Hz, 5 pictures a second",
            "renderers",
        ),
        ("µs", "s", "MB", "pictures a second"),
        strict=True,
    ):
        axis.set(title=title, xlabel=xlabel, ylabel=ylabel)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(visible=True, which="major", alpha=0.2)
        axis.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16))
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_formatter("{x:g}")
            scale.set_minor_formatter("")
    for place, name in ((2, "file"), (3, "renderers")):
        axes[place].set_xticks(curves[name]["x"], [f"{x:g}" for x in curves[name]["x"]])
        axes[place].minorticks_off()
    told = machine()
    figure.suptitle(f"{told['cpu']}, {told['cores']} cores; lines: power laws fitted to the points", fontsize=10)
    with whole_file(file) as part:
        figure.savefig(part, format="png", dpi=110)


if __name__ == "__main__":
    run()
