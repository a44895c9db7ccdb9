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
        json_file: Path | None = typer.Option(None, "--json", help="Write what was found to this file."),
    ) -> None:
        """Check what a session needs: packages, LSL, screen, GPU, disk.

        Example: perceptogram doctor
        """
        from realtime.health import checks

        found = []
        for check in checks():
            found.append(check)
            console.print(f"[{COLOURS[check.status]}]{check.status:>7}[/]  {check.name}: {check.found}")
            if check.status != "ok":
                console.print(f"         {check.advice}", style="dim")
        if json_file is not None:
            write_json(json_file, [asdict(check) for check in found])
        if any(check.status == "broken" for check in found):
            raise typer.Exit(1)
