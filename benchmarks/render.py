"""Embedding to picture: our hot loop against diffusers' pipelines, as they come and compiled, beside the floor."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from pydantic import ValidationError
from rich.console import Console
from rich.progress import track

from benchmarks.harness import machine, percentiles, print_table
from configs.errors import InputError
from configs.schema import RenderSettings
from configs.torchvision_shim import load_torchvision

GENERATORS = ("sd15-few-step", "sdxl-turbo", "unclip", "kandinsky22")
COMPARED = ("stock pipeline", "stock pipeline, tiny decoder", "stock pipeline, tiny decoder, compiled")
REPEATS = {"cuda": (300, 50), "cpu": (5, 2)}
"""Pictures of each variant: in a full and in a quick run."""
SEED = 0


def run(
    generator: str = "sd15-few-step",
    steps: int = 1,
    size: int = 512,
    quick: bool = False,
    gpu_day: bool = False,
    out: Path | None = None,
    minutes: float = 8.0,
) -> dict[str, Any]:
    """Time one generator; or, on a GPU day, all that a GPU is to be measured for.

    Parameters
    ----------
    generator, steps, size
        What is painted: `steps` steps at ``size × size``.
    quick
        Fewer pictures, and ours not compiled; of a GPU day narrow networks on whatever is here.
    gpu_day
        Whether to measure all rows of `render_day` in place of one.
    out, minutes
        Folder of a GPU day's rows, and how long it may take.

    Raises
    ------
    InputError
        If there is no such generator, or no such size.
    """
    if gpu_day:
        from benchmarks.render_day import run as measure_all

        return measure_all(out, minutes=minutes, quick=quick)
    return time_one(generator, steps, size, pictures=lambda kind: REPEATS[kind][quick], compiled_ours=not quick)


def time_one(
    generator: str,
    steps: int,
    size: int,
    pictures: Callable[[str], int],
    *,
    compiled_ours: bool = True,
    compiled_stock: bool = True,
    random: bool = False,
) -> dict[str, Any]:
    """Time `steps` steps at ``size × size``; on a GPU with and without graphs.

    Parameters
    ----------
    generator, steps, size
        What is painted.
    pictures
        From the kind of device to the number of pictures of each variant.
    compiled_ours, compiled_stock
        Whether ours, on a GPU, and the stock pipeline are compiled too, which takes minutes.
    random
        Whether the weights are random even where real ones are here, which take their time to load.

    Raises
    ------
    InputError
        If there is no such generator, or no such size.
    """
    settings = _settings(generator, steps, size)  # before the seconds that the imports take
    load_torchvision()
    import torch

    from benchmarks.render_floor import peak_of, work_of
    from benchmarks.render_models import random_parts, stock_pipeline
    from realtime.rendering.diffusion.model_loading import Parts
    from realtime.rendering.errors import GeneratorError
    from realtime.rendering.generators.latent import LatentGenerator, device_and_dtype
    from realtime.rendering.generators.make import make_generator

    device, dtype = device_and_dtype(settings)
    made = cast(LatentGenerator, make_generator(settings))
    family = made.family
    load: Callable[[], Parts]
    began = time.perf_counter()
    try:
        if random:
            raise GeneratorError
        load, weights = partial(made.load, device, dtype), made.model.where
        parts = load()
    except GeneratorError:
        load, weights = partial(random_parts, family, device, dtype), "random"
        parts = load()
        began = time.perf_counter()  # random numbers are not loaded
    embedding = 1.5 * np.random.default_rng(SEED).standard_normal(made.space.dims).astype(np.float32)

    with torch.no_grad():
        sampler = made.make_sampler(parts)
    for _ in sampler.stream(embedding, SEED, steps):
        pass
    prepare_s = time.perf_counter() - began

    stock_parts = load()
    paint_full, paint_tiny = (stock_pipeline(family, stock_parts, settings, full=full) for full in (True, False))
    given = torch.from_numpy(embedding)
    paint_compiled, why_not = None, None
    if compiled_stock:
        paint_compiled, why_not = _compiled(family, stock_parts, settings, given, steps)
    ours = "ours" if device.type == "cpu" else "ours: graphs"
    variants: dict[str, Callable[[], Any]] = {
        COMPARED[0]: lambda: paint_full(given, SEED, steps),
        **({} if settings.autoencoder == "full" else {COMPARED[1]: lambda: paint_tiny(given, SEED, steps)}),
        ours: lambda: list(sampler.stream(embedding, SEED, steps)),
    }
    if paint_compiled is not None:
        variants[COMPARED[2]] = lambda: paint_compiled(given, SEED, steps)
    if device.type == "cuda":
        condition = sampler.condition
        eager = made.loop(parts, condition, compiled=False, graphs=False)
        variants["ours: eager"] = lambda: list(eager.stream(embedding, SEED, steps))
        if compiled_ours:
            compiled = made.loop(parts, condition, compiled=True)
            variants["ours: compiled, graphs"] = lambda: list(compiled.stream(embedding, SEED, steps))

    repeats = pictures(device.type)
    times = _interleaved(variants, repeats, device)
    stages = _stages(sampler, embedding, steps, repeats, device)
    peak, work = peak_of(device, dtype), work_of(made, family, steps, dtype)
    p50 = {name: percentiles(values)["p50"] for name, values in times.items()}
    best = percentiles(times[ours])
    result = {
        "generator": generator,
        "steps": steps,
        "size": size,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else machine()["cpu"],
        "kind": device.type,
        "weights": weights,
        "dtype": str(dtype).removeprefix("torch."),
        "guidance": made.guidance,
        "prepare_s": round(prepare_s, 2),
        "p50_ms": best["p50"],
        "p95_ms": best["p95"],
        "p99_ms": best["p99"],
        "per_step_ms": round(float(np.mean([percentiles(stages[f"step {k + 1}"])["p50"] for k in range(steps)])), 3),
        "condition_ms": percentiles(stages["condition"], 3)["p50"],
        "decode_ms": percentiles(stages["decode"], 3)["p50"],
        "copy_ms": percentiles(stages["copy"], 3)["p50"],
        "stock_pipeline_p50_ms": p50[COMPARED[0]],
        "stock_compiled_p50_ms": p50.get(COMPARED[2]),
        "stock_compiled_absent": why_not,
        "speedup": round(p50[COMPARED[0]] / best["p50"], 2),
        "floor_ms": round(work.floor_ms(peak), 3),
        "floor": {"flops_s": peak.flops, "bytes_s": peak.bytes_s, "source": peak.source, "work": work.parts},
        "variants_ms": {name: percentiles(values) for name, values in times.items()},
        "repeats": repeats,
        "memory_gb": round(torch.cuda.max_memory_allocated(device) / 1e9, 2) if device.type == "cuda" else None,
        "torch": torch.__version__,
        "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "commit": _output("git", "rev-parse", "--short", "HEAD"),
        "machine": machine(),
    }
    _print(result, stages, work.floor_ms(peak))
    return result


def _print(row: dict[str, Any], stages: dict[str, list[float]], floor_ms: float) -> None:
    absent = row["stock_compiled_absent"]
    print_table(
        f"{row['generator']}, {row['steps']} step(s), {row['size']} × {row['size']}, {row['dtype']}, {row['device']}, "
        f"weights: {row['weights']}; embedding in host memory → picture in host memory (ms, {row['repeats']} pictures, "
        f"floor {row['floor_ms']})",
        ("variant", "p50", "p95", "p99", "× floor"),
        [
            (name, *(times[key] for key in ("p50", "p95", "p99")), f"{times['p50'] / floor_ms:.1f}")
            for name, times in row["variants_ms"].items()
        ]
        + ([] if absent is None else [(COMPARED[2], *("n/a",) * 3, absent)]),
    )
    print_table(
        "stages of ours (ms)",
        ("stage", "p50", "p99"),
        [(name, *(percentiles(values, 3)[key] for key in ("p50", "p99"))) for name, values in stages.items()],
    )


def _compiled(
    family: Any, parts: Any, settings: RenderSettings, given: Any, steps: int
) -> tuple[Callable[[Any, int, int], Any] | None, str | None]:
    """Return the stock pipeline compiled, its first picture painted; or, where it cannot be, why not."""
    from benchmarks.render_models import stock_pipeline

    try:
        paint = stock_pipeline(family, parts, settings, full=False, compiled=True)
        paint(given, SEED, steps)
    except Exception as error:  # a compiler that is absent or gives up says so in many kinds
        return None, " ".join(f"{type(error).__name__}: {error}".split())[:160]
    return paint, None


def _settings(generator: str, steps: int, size: int) -> RenderSettings:
    if generator not in GENERATORS:
        known = get_args(RenderSettings.model_fields["generator"].annotation)
        hint = "perceptogram bench embedded" if generator in known else ", ".join(GENERATORS)
        msg = f"bench render does not time generator {generator!r}: try {hint}"
        raise InputError(msg)
    try:
        return RenderSettings(generator=generator, steps=steps, size=size)  # type: ignore[arg-type]
    except ValidationError as error:
        fault = error.errors()[0]
        msg = f"bench render: {fault['loc'][0]}: {fault['msg']} (given: {fault['input']!r})"
        raise InputError(msg) from error


def _interleaved(variants: dict[str, Callable[[], Any]], repeats: int, device: Any) -> dict[str, list[float]]:
    """Return times in ms of each variant; they take turns, so that a slow spell of the machine strikes them all."""
    for paint in variants.values():
        paint()
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in track(range(repeats), "pictures", console=Console(stderr=True), transient=True):
        for name, paint in variants.items():
            _wait(device)
            started = time.perf_counter()
            paint()
            times[name].append(1e3 * (time.perf_counter() - started))
    return times


def _stages(sampler: Any, embedding: Any, steps: int, repeats: int, device: Any) -> dict[str, list[float]]:
    """Return times in ms of the parts of our hot loop, each between two events of the device itself."""
    times: dict[str, list[float]] = {}
    parts = sampler.stages(steps)
    for _ in track(range(repeats), "stages", console=Console(stderr=True), transient=True):
        sampler.begin(embedding, SEED, steps)
        for name, part in parts.items():
            times.setdefault(name, []).append(_time_on(device, part))
        _wait(device)
        started = time.perf_counter()
        sampler.fetch()
        times.setdefault("copy", []).append(1e3 * (time.perf_counter() - started))
    return times


def _time_on(device: Any, function: Callable[[], None]) -> float:
    import torch

    if device.type != "cuda":
        started = time.perf_counter()
        with torch.inference_mode():
            function()
        return 1e3 * (time.perf_counter() - started)
    event: Any = torch.cuda.Event
    before, after = (event(enable_timing=True) for _ in range(2))
    before.record()
    function()
    after.record()
    after.synchronize()
    return float(before.elapsed_time(after))


def _wait(device: Any) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def _output(*command: str) -> str | None:
    """Return the first line that a program prints; None where there is no such program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip().partition("\n")[0] or None
