"""``perceptogram doctor``: what works here, and what to do about the rest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from perceptogram.console import console, write_json

COLOURS = {"ok": "green", "warning": "yellow", "broken": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def doctor(
        config: str | None = typer.Option(None, help="Watch the EEG stream that this YAML file or preset names, too."),
        folder: Path = typer.Option(Path(), help="Where a session would be recorded."),
        json_file: Path | None = typer.Option(None, "--json", help="Write what was found to this file."),
    ) -> None:
        """Check what a session needs: packages, LSL, GPU, disk, broker, and the EEG stream itself.

        Example: perceptogram doctor --config my_lab.yaml
        """
        from configs.schema import load_config
        from realtime.health import check_all, check_stream

        settings = None if config is None else load_config(config)
        with console.status("looking; the disk and LSL take a few seconds"):
            found = check_all(folder)
            if settings is not None:
                found.append(check_stream(settings.stream))
        for check in found:
            console.print(f"[{COLOURS[check.status]}]{check.status:>7}[/]  {check.name}: {check.found}")
            if check.status != "ok":
                console.print(f"         {check.advice}", style="dim")
        if json_file is not None:
            write_json(json_file, [asdict(check) for check in found])
        if any(check.status == "broken" for check in found):
            raise typer.Exit(1)
