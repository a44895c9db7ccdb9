"""From a percept's embedding to the small heads on the screen: the maps alone, and with the heads drawn."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from benchmarks.harness import interleaved, machine, one_thread, percentiles, print_table
from realtime.decoding.filtered_patterns import PatternAttribute, Patterns
from realtime.electrodes import CHANNELS_64, scalp_image

DIMS = 1024
HEAD_PIXELS = 76
COLUMNS: dict[str, tuple[Literal["categorical", "continuous", "circular"], int]] = {
    "class": ("categorical", 8),
    "hue": ("circular", 2),
    "texture": ("continuous", 1),
    "contrast": ("continuous", 1),
}
LIMIT_MS = 5.0


def run(quick: bool = False) -> dict[str, Any]:
    """Measure on one thread at the size of the largest encoder, with 64 electrodes and four attributes."""
    patterns = _patterns()
    embeddings = np.random.default_rng(1).standard_normal((64, DIMS), dtype=np.float32)
    turn = iter(range(1 << 30))

    def maps() -> object:
        return patterns.heads(embeddings[next(turn) % len(embeddings)])

    def pictures() -> object:
        heads = patterns.heads(embeddings[next(turn) % len(embeddings)])
        return [scalp_image(CHANNELS_64, head.values_uv, head.limit_uv, HEAD_PIXELS) for head in heads]

    with one_thread():
        times = interleaved({"pattern of a percept": maps, "with four heads drawn": pictures}, 200 if quick else 5_000)
    rows = {name: percentiles((value / 1e3 for value in values), 4) for name, values in times.items()}
    print_table(
        f"percept → patterns: {DIMS} dims, 64 electrodes, {len(COLUMNS)} attributes, 1 thread (ms)",
        ("what", "p50", "p95", "p99", "max"),
        [(name, *row.values()) for name, row in rows.items()],
    )
    return {
        "live_pattern_p50_ms": rows["pattern of a percept"]["p50"],
        "live_pattern_p99_ms": rows["pattern of a percept"]["p99"],
        "with_heads_p99_ms": rows["with four heads drawn"]["p99"],
        "limit_ms": LIMIT_MS,
        "repeats": len(times["pattern of a percept"]),
        "machine": machine(),
    }


def _patterns() -> Patterns:
    rng = np.random.default_rng(0)
    attributes = tuple(
        PatternAttribute(name, kind, tuple("abcdefgh"[: max(2, n)]), n, 0.15, 3.0, 0.5, 0.005)
        for name, (kind, n) in COLUMNS.items()
    )
    columns = sum(n for _, n in COLUMNS.values())
    shapes = ((DIMS,), (DIMS,), (DIMS, columns), (columns, len(CHANNELS_64)))
    return Patterns(attributes, *(rng.standard_normal(shape, dtype=np.float32) for shape in shapes))
