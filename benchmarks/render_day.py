"""All that a GPU is to be measured for, in one command: ``perceptogram bench render --gpu-day``.

Every row is measured by a process of its own and written at once. What an earlier run has written is not measured
again, so a run that was cut short goes on where it ended; what the time does not suffice for stays ``n/a``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.harness import machine, percentiles, print_table
from benchmarks.render_table import AIMS, write_page
from benchmarks.report import RESULTS
from configs.errors import InputError
from configs.files import write_whole
from configs.schema import RenderSettings

HOUSE = Path(__file__).resolve().parents[1]
PICTURES = 50
"""Of each variant in a row; `REQUESTS` of ours through the renderer's process."""
REQUESTS = 300
READY_S = 120.0
PICTURE_S = 60.0


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes
    ----------
    kind
        ``"pictures"``: ours and the stock pipeline in turns; ``"compiled"``: the stock pipeline compiled too, in turns
        with both; ``"worker"``: from a request to the picture in the session's memory, through the renderer's process;
        ``"pair"``: the same for two renderers on one GPU; ``"session"``: the EEG's decoding beside it.
    generator, steps, size
        What is painted.
    limit_s
        Seconds after which it is given up.
    """

    kind: Literal["pictures", "worker", "pair", "session", "compiled"]
    generator: str
    steps: int
    size: int = 512
    limit_s: float = 120.0

    @property
    def name(self) -> str:
        """Name for people and of the file."""
        what = f"{self.generator}-{self.steps}-{self.size}"
        return what if self.kind in ("pictures", "compiled") else f"{self.kind}-{what}"

    def measured(self, content: Mapping[str, Any]) -> bool:
        """Return whether a file's content is this row's, of as many pictures."""
        tried = any(content.get(key) is not None for key in ("stock_compiled_p50_ms", "stock_compiled_absent"))
        return self.kind != "compiled" or tried


ROWS = (
    *(Row("pictures", generator, steps, size) for generator, steps, size, _ in AIMS),
    Row("worker", "sdxl-turbo", 1),
    Row("worker", "sdxl-turbo", 4),
    Row("pair", "sdxl-turbo", 4),
    Row("session", "sdxl-turbo", 4),
    Row("compiled", "sd15-few-step", 1, limit_s=240.0),
    Row("compiled", "sdxl-turbo", 4, limit_s=300.0),
    Row("compiled", "unclip", 8, limit_s=240.0),
    Row("compiled", "kandinsky22", 10, limit_s=240.0),
)
"""In the order of their worth: the first minutes settle most."""
QUICK_ROWS = (
    Row("pictures", "kandinsky22", 1, 64),
    Row("worker", "sd15-few-step", 1, 64),
    Row("pair", "sd15-few-step", 1, 64),
    Row("session", "sd15-few-step", 1, 64),
    Row("compiled", "sd15-few-step", 1, 64, limit_s=240.0),
)
"""One of each kind."""


def run(out: Path | None = None, *, minutes: float = 8.0, quick: bool = False) -> dict[str, Any]:
    """Measure every row that has not been, and write the page.

    Parameters
    ----------
    out
        Folder of the rows and the page; ``benchmarks/results`` when left out, of a quick run a temporary one.
    minutes
        How long it may take.
    quick
        Narrow networks and few rows, on whatever is here: that it runs to its end.

    Raises
    ------
    InputError
        If there is no GPU, and the run is not quick.
    """
    device = gpu_name()
    if device is None and not quick:
        msg = "bench render --gpu-day needs a GPU; with --quick it runs to its end without one, on narrow networks"
        raise InputError(msg)
    if out is None and quick:
        with tempfile.TemporaryDirectory() as temporary:
            return run(Path(temporary), minutes=minutes, quick=quick)
    folder = RESULTS if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * minutes
    rows = QUICK_ROWS if quick else ROWS
    states = {
        f"{row.name}{', compiled' * (row.kind == 'compiled')}": _row(row, folder, device or "cpu", ends, quick=quick)
        for row in rows
    }
    page = write_page(folder)
    print_table(f"rows on {device or 'the CPU'}, page: {page}", ("row", "state"), list(states.items()))
    return {"device": device, "rows": states, "machine": machine()}


def gpu_name() -> str | None:
    """Return the first GPU's name; None where there is none."""
    command = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip().partition("\n")[0] or None


def _row(row: Row, folder: Path, device: str, ends: float, *, quick: bool) -> str:
    """Measure a row in a process of its own, and return what became of it."""
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    file = folder / f"render-{row.name}-{slug}.json"
    if file.exists() and row.measured(json.loads(file.read_text(encoding="utf-8"))):
        return "measured before"
    left_s = min(row.limit_s, ends - time.monotonic())
    if left_s <= 0:
        return "n/a: no time was left"
    what = [row.kind, row.generator, str(row.steps), str(row.size)]
    command = [sys.executable, "-m", "benchmarks.render_day", *what, str(file), *["--quick"] * quick]
    try:
        done = subprocess.run(command, cwd=HOUSE, timeout=left_s, capture_output=True, text=True, check=False)
    except subprocess.TimeoutExpired:
        return f"n/a: not done after {left_s:.0f} s"
    if done.returncode:
        return f"n/a: {(done.stderr.strip() or 'no word').splitlines()[-1][:160]}"
    return "measured"


def measure(row: Row, *, quick: bool) -> dict[str, Any]:
    """Return a row's figures; a quick one's of narrow networks and few pictures."""
    from benchmarks.render import time_one
    from benchmarks.render_narrow import narrow

    if quick:
        narrow()
    if row.kind in ("pictures", "compiled"):
        compiled = row.kind == "compiled"
        found = time_one(
            row.generator,
            row.steps,
            row.size,
            lambda _: 3 if quick else PICTURES,
            compiled_ours=compiled,
            compiled_stock=compiled,
            random=True,
        )
    else:
        from benchmarks.render_models import make_narrow, make_random

        settings = RenderSettings(generator=row.generator, steps=row.steps, size=row.size)  # type: ignore[arg-type]
        make = make_narrow if quick else make_random
        requests = 3 if quick else REQUESTS
        if row.kind == "session":
            found = beside(settings, make, quick=quick)
        else:
            found = through_workers(settings, make, 2 if row.kind == "pair" else 1, requests)
        import torch

        cuda = torch.cuda.is_available()
        found |= {"device": torch.cuda.get_device_name() if cuda else machine()["cpu"]}
        found["kind"] = "cuda" if cuda else "cpu"
        found |= {"generator": row.generator, "steps": row.steps, "size": row.size, "machine": machine()}
    return found | {"row": row.kind, "narrow": quick}


def through_workers(settings: RenderSettings, make: Any, count: int, requests: int) -> dict[str, Any]:
    """Return times in ms from a request to its final picture in this process, of all workers at once.

    Parameters
    ----------
    settings, make
        The generator is ``make(settings)``.
    count
        Number of renderers that paint at the same time.
    requests
        Pictures of each.
    """
    from contextlib import ExitStack

    from realtime.rendering.messages import RenderRequest
    from realtime.rendering.worker import RenderWorker

    times: list[float] = []
    with ExitStack() as stack:
        workers = [stack.enter_context(RenderWorker(settings, make, threads=1)) for _ in range(count)]
        (dims,) = {worker.wait_ready(READY_S).dims for worker in workers}
        embeddings = np.random.default_rng(0).standard_normal((16, dims)).astype(np.float32)
        for trial in range(requests):
            asked = {}
            for worker in workers:
                asked[worker] = time.perf_counter()
                worker.submit(RenderRequest(trial, embeddings[trial % 16], 0, settings.steps))
            for worker in workers:
                while not any(frame.final and frame.trial == trial for frame in worker.frames()):
                    if not worker.wait(PICTURE_S):
                        msg = f"no picture within {PICTURE_S:g} s: {worker.state.text}"
                        raise TimeoutError(msg)
                times.append(1e3 * (time.perf_counter() - asked[worker]))
    return {"workers": count, "requests": requests, "ms": percentiles(times)}


def beside(settings: RenderSettings, make: Any, *, quick: bool) -> dict[str, Any]:
    """Return the EEG's decoding times in µs beside a renderer that paints without a break, and one that is stopped."""
    from benchmarks.interference import ROUNDS, take_turns

    times, painted = take_turns(settings, make, epochs=3 if quick else 50, turns=2 if quick else ROUNDS)
    return {"us": {name: percentiles(values) for name, values in times.items()}, "pictures": painted}


def main(arguments: list[str]) -> None:
    """Measure one row and write its file: ``KIND GENERATOR STEPS SIZE FILE [--quick]``."""
    kind, generator, steps, size, file, *quick = arguments
    found = measure(Row(kind, generator, int(steps), int(size)), quick=bool(quick))  # type: ignore[arg-type]
    write_whole(Path(file), json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
