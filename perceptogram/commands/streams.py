"""``perceptogram streams``: what is on the network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from perceptogram.console import console, write_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def streams(
        wait_s: float = typer.Option(2.0, "--wait", min=0.1, help="Seconds to look for streams."),
        json_file: Path | None = typer.Option(None, "--json", help="Write what was found to this file."),
    ) -> None:
        """List the LSL streams that can be seen from here.

        Example: perceptogram streams --wait 5
        """
        from rich.table import Table

        from realtime.sources.lsl import find_streams

        found = find_streams(wait_s)
        if json_file is not None:
            write_json(json_file, [asdict(stream) for stream in found])
        if not found:
            console.print(f"no LSL stream answered within {wait_s:g} s; is the amplifier's program running?")
            console.print(
                "'perceptogram doctor' checks whether LSL works here; 'perceptogram simulate' starts a stream"
            )
            return
        table = Table("name", "type", "channels", "rate", "source id", "host")
        for stream in found:
            rate = f"{stream.rate_hz:g} Hz" if stream.rate_hz else "irregular"
            table.add_row(stream.name, stream.type, str(len(stream.channels)), rate, stream.source_id, stream.host)
        console.print(table)
