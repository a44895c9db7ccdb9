"""``perceptogram film``: a session that is over, as a film."""

from __future__ import annotations

from pathlib import Path

import typer

from perceptogram.console import console


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def film(
        folder: Path = typer.Argument(..., help="Folder that a session left behind."),
        out: Path = typer.Option(..., help="The film: .mp4 or .gif."),
        speed: float = typer.Option(1.0, min=0.01, help="How much faster than the session."),
        seconds: float | None = typer.Option(
            None, min=2.0, help="Longest that it may be; a longer one is faster still."
        ),
    ) -> None:
        """Make a film of a session: what was shown beside what was reconstructed, with the evidence.

        Example: perceptogram film session1 --out session1.mp4 --speed 4
        """
        from perceptogram.live.film import make_film
        from perceptogram.live.recorded import read_session

        length_s = make_film(read_session(folder), out, speed, seconds)
        console.print(f"{out}: {length_s:.1f} s, {out.stat().st_size / 1e6:.1f} MB")
