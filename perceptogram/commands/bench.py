"""``perceptogram bench``: measure, print tables, write the numbers."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from configs.errors import InputError
from configs.files import write_whole
from realtime.processes.apart import run_program

BENCHMARKS = {
    "decode": "decode_latency",
    "end-to-end": "end_to_end",
    "throughput": "throughput",
    "fit": "fit",
    "reading": "reading",
    "render": "render",
    "render-layouts": "render_layouts",
    "faults": "faults",
    "families": "families",
    "live-families": "live_families",
    "boards": "board_faults",
    "maps": "maps",
    "real-eeg": "real_eeg",
    "accuracy": "accuracy",
    "transfer": "transfer",
    "heads": "heads",
    "degrade": "degrade",
    "real-maps": "real_maps",
    "live-pattern": "live_pattern",
    "session": "session",
    "embedded": "embedded",
    "stream-soak": "stream_soak",
    "session-soak": "session_soak",
    "kill-matrix": "kill_matrix",
    "interference": "interference",
    "scaling": "scaling",
    "multi-room": "multi_room",
    "picture-in-hand": "picture_in_hand",
    "startup": "startup",
}

SETS = {"all": tuple(BENCHMARKS), "soak": ("stream-soak", "session-soak", "kill-matrix")}
WHICH = f"Which: {', '.join(BENCHMARKS)}; soak for {', '.join(SETS['soak'])}; or all."


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def bench(
        names: list[str] = typer.Argument(..., help=WHICH),
        quick: bool = typer.Option(False, help="Smaller sizes, for a first look."),
        json_file: Path | None = typer.Option(None, "--json", help="Write the numbers to this file."),
        results: Path | None = typer.Option(None, help="Write the tables, as Markdown and JSON, into this folder."),
        publish: bool = typer.Option(
            False, "--publish", help="Write them into benchmarks/results, and into README and docs, of this clone."
        ),
        out: Path | None = typer.Option(
            None, help="Folder for pictures; accuracy, heads, faults, degrade: for what a later run goes on from."
        ),
        generator: str = typer.Option("sd15-few-step", help="render: which generator."),
        steps: int = typer.Option(1, min=1, help="render: denoising steps."),
        size: int = typer.Option(512, min=64, help="render: width and height in pixels."),
        gpu_day: bool = typer.Option(False, "--gpu-day", help="render: all that a GPU is measured for, row by row."),
        minutes: float | None = typer.Option(
            None,
            min=1.0,
            help="soaks: how long; the stream 10, the session 12; --gpu-day 8; faults: one run of several.",
        ),
        seed: int = typer.Option(0, help="stream-soak: which faults, and when."),
    ) -> None:
        """Measure beside what one would use instead and print tables; files are written only where an option says so.

        Example: perceptogram bench decode throughput --json numbers.json
        """
        chosen = [one for name in names for one in SETS.get(name, (name,))]
        unknown = [name for name in chosen if name not in BENCHMARKS]
        if unknown:
            msg = f"no benchmark {unknown[0]!r}: choose from {', '.join(BENCHMARKS)}, or {' or '.join(SETS)}"
            raise InputError(msg)
        if publish and (quick or results is not None):
            msg = "--publish writes full runs into benchmarks/results: leave out --quick and --results"
            raise InputError(msg)
        offered: dict[str, Any] = {"generator": generator, "steps": steps, "size": size}
        offered |= {"seed": seed} | ({} if minutes is None else {"minutes": minutes})
        if len(chosen) == 1:
            offered |= {"quick": quick, "out": out, "publish": publish, "gpu_day": gpu_day}
            content = _measure(chosen[0], offered, results, publish=publish)
        else:
            given = [f"--{key}={value}" for key, value in offered.items()]
            given += ["--quick"] * quick + ["--gpu-day"] * gpu_day + ["--publish"] * publish
            given += [f"--{key}={value}" for key, value in (("results", results), ("out", out)) if value is not None]
            content = _measure_apart(chosen, given)
        if json_file is not None:
            write_whole(json_file, json.dumps(content, indent=1) + "\n")
        failed = [name for name in chosen if len(chosen) > 1 and name not in content]
        if failed:
            typer.echo(f"failed: {', '.join(failed)}", err=True)
            raise typer.Exit(1)


def _measure(name: str, offered: dict[str, Any], results: Path | None, *, publish: bool) -> Any:
    """Run one benchmark in this process, its LSL streams kept on this machine; file its tables where that is asked."""
    from realtime.sources import lsl_config

    run = _load(BENCHMARKS[name]).run
    wanted = inspect.signature(run).parameters
    with tempfile.TemporaryDirectory() as folder:
        if not lsl_config.chosen():
            lsl_config.use(lsl_config.loopback(), Path(folder) / "lsl_api.cfg")
        result = run(**{key: value for key, value in offered.items() if key in wanted})
    harness, report = _load("harness"), _load("report")
    if not report.PRINTED:
        figures = [(key, value) for key, value in result.items() if isinstance(value, int | float | str)]
        harness.print_table(name, ("figure", "value"), figures)
    if publish or results is not None:
        today = datetime.now(UTC).date().isoformat()
        page = report.save(name, result, report.PRINTED, harness.machine(), today, results or report.RESULTS)
        typer.echo(f"written: {page}", err=True)
        if publish:
            _load("readme_table").main([])
    return result


def _measure_apart(names: list[str], given: list[str]) -> dict[str, Any]:
    """Run each benchmark in a process of its own: what one leaves behind must not be in the next one's way."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            file = Path(folder) / f"{name}.json"
            run_program([sys.executable, "-m", "perceptogram", "bench", name, f"--json={file}", *given])
            if file.exists():
                found[name] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _load(module: str) -> Any:
    """Import a benchmark from the repository's ``benchmarks`` folder, which is not installed."""
    house = Path(__file__).resolve().parents[2]
    if not (house / "benchmarks" / f"{module}.py").exists():
        msg = f"benchmarks/{module}.py not found in {house}: benchmarks run from a clone of the repository"
        raise InputError(msg)
    if str(house) not in sys.path:
        sys.path.insert(0, str(house))
    return importlib.import_module(f"benchmarks.{module}")
