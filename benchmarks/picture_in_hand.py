"""How long a painted picture waits before the session has it, however seldom samples come.

An amplifier in a process of its own sends chunks of one sample up to chunks of half a second; the renderer's process
notes when each picture was painted, and this process when the session yielded it, both by the LSL clock.
"""

from __future__ import annotations

from typing import Any

from benchmarks.harness import machine, percentiles, print_table
from benchmarks.lsl_sender import Amplifier, sending
from benchmarks.random_bundle import random_bundle
from configs.schema import Config
from realtime.rendering.messages import Frame
from realtime.rendering.worker import RenderWorker
from realtime.session import Session
from realtime.sources.lsl import LslSource

RATE_HZ = 250.0
CHANNELS = 8
SIZES = (1, 25, 125)
"""Samples a chunk: 4 ms, 0.1 s and 0.5 s."""
EVERY_S = 1.0
WINDOW_S = 0.2
READY_S = 300.0
PATIENCE_S = 30.0


def run(quick: bool = False) -> dict[str, Any]:
    """Time pictures at each size of chunk with the small generator's own process."""
    pictures = 10 if quick else 100
    rows = [_size(size, pictures) for size in SIZES]
    print_table(
        f"picture painted → in hand ({CHANNELS} channels at {RATE_HZ:g} Hz, {pictures} pictures each; ms)",
        ("samples a chunk", "a chunk every", "p50", "p95", "p99", "max"),
        [
            (
                row["size"],
                f"{1e3 * row['size'] / RATE_HZ:g} ms",
                *(row["ms"][key] for key in ("p50", "p95", "p99", "max")),
            )
            for row in rows
        ],
    )
    return {"rows": rows, "machine": machine()}


def _size(size: int, pictures: int) -> dict[str, Any]:
    """Run a session on chunks of `size` samples until `pictures` have come, and time those."""
    import pylsl

    waits: list[float] = []
    with sending(Amplifier(CHANNELS, RATE_HZ, size, onset_every_s=EVERY_S)) as amplifier:
        config = Config.model_validate(
            {
                "stream": {"source_id": amplifier.tag, "timeout_s": PATIENCE_S},
                "markers": {"source_id": f"{amplifier.tag}-markers"},
                "filters": {"highpass_hz": None, "lowpass_hz": None},
                "artefacts": {"peak_to_peak_uv": None, "flat_uv": None},
                "window": {"stop_s": WINDOW_S},
            }
        )
        with RenderWorker(config.render) as renderer:
            space = renderer.wait_ready(READY_S)
            source = LslSource(config.stream, config.markers)
            try:
                bundle = random_bundle(config, source.spec, space)
                for event in Session(config, bundle, source, renderer, pylsl.local_clock).run():
                    if isinstance(event, Frame) and event.final:
                        waits.append(1e3 * (pylsl.local_clock() - event.ledger["final_picture"]))
                        if len(waits) == pictures:
                            break
            finally:
                source.close()
    return {"size": size, "ms": percentiles(waits)}


if __name__ == "__main__":
    run()
