"""``perceptogram doctor``: what works here, and what to do about the rest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from perceptogram.console import console, styled, waiting, write_json

COLOURS = {"ok": "green", "warning": "yellow", "broken": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def doctor(
        config: str | None = typer.Option(
            None, help="YAML file or preset that names the EEG stream to watch; else the only one there is."
        ),
        folder: Path = typer.Option(Path(), help="Where a session would be recorded."),
        json_file: Path | None = typer.Option(None, "--json", help="Write what was found to this file."),
    ) -> None:
        """Check what a session needs: packages, LSL, GPU, disk, broker, and the EEG stream itself.

        Example: perceptogram doctor --config lab.yaml
        """
        from configs.schema import load_config
        from realtime.doctor.machine import check_all
        from realtime.doctor.stream import check_any_stream, check_stream

        settings = None if config is None else load_config(config)
        with waiting("looking; a stream is watched for ten seconds"):
            found = check_all(folder, None if settings is None else settings.control)
            found += check_any_stream() if settings is None else check_stream(settings.stream)
        for check in found:
            console.print(styled((f"{check.status:>7}", COLOURS[check.status]), f"  {check.name}: {check.found}"))
            if check.status != "ok":
                console.print(f"         {check.advice}", style="dim")
        if json_file is not None:
            write_json(json_file, [asdict(check) for check in found])
        if any(check.status == "broken" for check in found):
            raise typer.Exit(1)
