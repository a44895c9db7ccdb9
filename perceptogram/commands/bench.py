"""``perceptogram bench``: measure, print a table, write the numbers."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import typer

from configs.errors import InputError

BENCHMARKS = {
    "decode": "decode_latency",
    "embedded": "embedded",
    "faults": "faults",
    "fit": "fit",
    "interference": "interference",
    "render": "render",
    "session": "session",
    "soak": "soak",
    "throughput": "throughput",
}

WHICH = f"Which: {', '.join(BENCHMARKS)}, or all."


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def bench(
        names: list[str] = typer.Argument(..., help=WHICH),
        quick: bool = typer.Option(False, help="Smaller sizes, for a first look."),
        json_file: Path | None = typer.Option(None, "--json", help="Write the numbers to this file."),
        out: Path | None = typer.Option(None, help="Folder for pictures, where the benchmark makes some."),
        generator: str = typer.Option("sd15-few-step", help="render: which generator."),
        steps: int = typer.Option(1, min=1, help="render: denoising steps."),
        size: int = typer.Option(512, min=64, help="render: width and height in pixels."),
        minutes: float = typer.Option(10.0, min=1.0, help="soak: how long."),
        seed: int = typer.Option(0, help="soak: which faults, and when."),
    ) -> None:
        """Measure, print a table, write the numbers.

        Example: perceptogram bench decode --json decode.json
        """
        chosen = list(BENCHMARKS) if names == ["all"] else names
        unknown = [name for name in chosen if name not in BENCHMARKS]
        if unknown:
            msg = f"no benchmark {unknown[0]!r}: choose from {', '.join(BENCHMARKS)}, or all"
            raise InputError(msg)
        offered: dict[str, Any] = {"quick": quick, "out": out, "generator": generator, "steps": steps, "size": size}
        offered |= {"minutes": minutes, "seed": seed}
        results = {}
        for name in chosen:
            run = _load(BENCHMARKS[name]).run
            wanted = inspect.signature(run).parameters
            results[name] = run(**{key: value for key, value in offered.items() if key in wanted})
        if json_file is not None:
            content = results[chosen[0]] if len(chosen) == 1 else results
            part = json_file.with_name(json_file.name + ".part")
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            part.rename(json_file)


def _load(module: str) -> Any:
    """Import a benchmark from the repository's ``benchmarks`` folder, which is not installed."""
    house = Path(__file__).resolve().parents[2]
    if not (house / "benchmarks" / f"{module}.py").exists():
        msg = f"benchmarks/{module}.py not found in {house}: benchmarks run from a clone of the repository"
        raise InputError(msg)
    if str(house) not in sys.path:
        sys.path.insert(0, str(house))
    return importlib.import_module(f"benchmarks.{module}")
