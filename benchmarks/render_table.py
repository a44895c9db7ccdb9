"""Write ``results/render.md`` from ``results/render-*.json``: ``python -m benchmarks.render_table``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from configs.files import write_whole

RESULTS = Path(__file__).parent / "results"
GPU_COLUMNS = (
    "generator, steps, size, device, memory (GB), p50, p95, p99, per step, decode, copy, stock p50, "
    "compiled stock p50, speed-up over both, floor, aim (H100)"
)
CPU_COLUMNS = (
    "generator, steps, size, device, arithmetic, weights, pictures, p50, per step, decode, stock p50, "
    "stock p50 with tiny decoder, compiled stock p50, speed-up over stock and compiled, floor"
)
WORKER_COLUMNS = "generator, steps, size, device, renderers, requests of each, p50, p95, p99"
BESIDE_COLUMNS = "generator, steps, size, device, pictures painted, p50, p95, p99"
SHARES = ("p50", "p95", "p99")
ABSENT = "n/a"
AIMS: tuple[tuple[str, int, int, float | None], ...] = (
    ("sd15-few-step", 1, 512, 9.0),
    ("sdxl-turbo", 1, 512, 13.0),
    ("sdxl-turbo", 4, 512, 50.0),
    ("unclip", 8, 512, 60.0),
    ("kandinsky22", 10, 512, None),
    ("sd15-few-step", 4, 512, None),
    ("sdxl-turbo", 2, 512, None),
)
"""Generator, steps, size, and the p50 in ms to reach on an H100, where one was set."""
FLOORS_MS = {
    ("sd15-few-step", 1): 0.97,
    ("sdxl-turbo", 1): 1.91,
    ("sdxl-turbo", 4): 6.57,
    ("unclip", 8): 12.28,
    ("kandinsky22", 10): 18.46,
    ("sd15-few-step", 4): 3.39,
    ("sdxl-turbo", 2): 3.46,
}
"""For an H100 at 512 pixels, as `render_floor` counts them; a test keeps them true."""


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the page."""
    others = [result for result in results if result.get("row", "pictures") not in ("pictures", "compiled")]
    results = [result for result in results if result not in others]
    gpu = [result for result in results if result["kind"] == "cuda"]
    on_cpu = [
        (
            *(result[key] for key in ("generator", "steps", "size", "device", "dtype", "weights", "repeats")),
            *(result[key] for key in ("p50_ms", "per_step_ms", "decode_ms", "stock_pipeline_p50_ms")),
            result["variants_ms"].get("stock pipeline, tiny decoder", {}).get("p50", "–"),
            *_against_stock(result),
            f"{result['floor_ms']} ({result['floor']['source']})" + ", narrow networks" * result.get("narrow", False),
        )
        for result in results
        if result["kind"] == "cpu"
    ]
    lines = [
        "# From an embedding to a picture",
        "",
        "Embedding in host memory to picture in host memory, batch 1, in milliseconds; made by `perceptogram bench",
        "render`. The floor is, for each call of a network, the longer of its arithmetic and of reading its weights at",
        "the data sheet's figures (989 TFLOP/s and 3.35 TB/s for an H100); activations are free. The stock pipeline is",
        "diffusers' as it comes: eager, with the full autoencoder; compiled, it is its fastest form: network and",
        "decoder by `torch.compile`, with the tiny decoder that ours has too. Speed does not depend on what the",
        "weights are: where real ones are absent they are random.",
        "",
        "## On a GPU",
        "",
        *_rows(
            GPU_COLUMNS,
            _on_gpu(gpu),
        ),
        "",
        "## Through the renderer's process",
        "",
        "From a request to its final picture in the session's memory; where there are two, both paint on one card.",
        "",
        *_rows(WORKER_COLUMNS, _through(others)),
        "",
        "## EEG beside it",
        "",
        "From the last sample to the embedding, in microseconds, while the renderer paints without a break : while it",
        "is stopped.",
        "",
        *_rows(BESIDE_COLUMNS, _beside(others)),
        "",
        "## On a CPU",
        "",
        "Not meant for use: that the same code runs.",
        "",
        *(_rows(CPU_COLUMNS, on_cpu) if on_cpu else [f"{ABSENT.capitalize()}."]),
        "",
        "## How they were made",
        "",
        *_rows(
            "generator, steps, size, device, cores, load, driver, torch, weights, commit",
            [
                (
                    *(result[key] for key in ("generator", "steps", "size", "device")),
                    *(result["machine"][key] for key in ("cores", "load")),
                    *(result[key] or "–" for key in ("driver", "torch", "weights", "commit")),
                )
                for result in results
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _on_gpu(results: Sequence[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return a row for every aim, measured or not, and for every other measurement."""
    keys = (
        "device",
        "memory_gb",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "per_step_ms",
        "decode_ms",
        "copy_ms",
        "stock_pipeline_p50_ms",
    )
    rows: list[tuple[object, ...]] = []
    left = list(results)
    for generator, steps, size, aim in AIMS:
        found = [r for r in left if (r["generator"], r["steps"], r["size"]) == (generator, steps, size)]
        left = [r for r in left if r not in found]
        if not found:
            floor = FLOORS_MS[generator, steps]
            rows.append((generator, steps, size, *(ABSENT,) * 11, floor, _at_most(aim)))
        rows += [_measured(result, keys, _at_most(aim)) for result in found]
    return rows + [_measured(result, keys, "") for result in left]


def _at_most(aim: float | None) -> str:
    return "" if aim is None else f"≤ {aim:g}"


def _through(results: Sequence[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return a row for every measurement through renderers' processes, or one that says that there is none."""
    rows: list[tuple[object, ...]] = [
        (
            *(r[key] for key in ("generator", "steps", "size", "device", "workers", "requests")),
            *(r["ms"][share] for share in SHARES),
        )
        for r in results
        if "workers" in r
    ]
    return rows or [(ABSENT,) * 9]


def _beside(results: Sequence[dict[str, Any]]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [
        (
            *(r[key] for key in ("generator", "steps", "size", "device", "pictures")),
            *(f"{r['us']['saturated'][share]} : {r['us']['idle'][share]}" for share in SHARES),
        )
        for r in results
        if "us" in r
    ]
    return rows or [(ABSENT,) * 8]


def _measured(result: dict[str, Any], keys: Iterable[str], aim: str) -> tuple[object, ...]:
    first = (result["generator"], result["steps"], result["size"])
    return (
        *first,
        *(ABSENT if result.get(key) is None else result[key] for key in keys),
        *_against_stock(result),
        result["floor_ms"],
        aim,
    )


def _against_stock(result: dict[str, Any]) -> tuple[object, str]:
    """Return the compiled stock pipeline's p50, or why there is none, and how many times faster ours is than both."""
    compiled = result.get("stock_compiled_p50_ms")
    if compiled is None:
        why = result.get("stock_compiled_absent")
        return ABSENT if why is None else f"n/a ({why})", f"{result['speedup']:.1f} ×, –"
    return compiled, f"{result['speedup']:.1f} ×, {compiled / result['p50_ms']:.1f} ×"


def _rows(header: str, rows: Iterable[Sequence[object]]) -> list[str]:
    names = header.split(", ")
    return [f"| {' | '.join(str(cell) for cell in row)} |" for row in (names, ["---"] * len(names), *rows)]


def write_page(folder: Path = RESULTS) -> Path:
    """Write the page of a folder's rows beside them."""
    results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("render-*.json"))]
    page = folder / "render.md"
    write_whole(page, table(results))
    return page


if __name__ == "__main__":
    write_page()
