"""``perceptogram record``: everything on the wire into XDF."""

from __future__ import annotations

from pathlib import Path

import typer

from perceptogram.console import console


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def record(
        out: Path = typer.Argument(..., help="XDF file to write; it must not exist."),
        config: str | None = typer.Option(None, help="Record the streams that this YAML file or preset names."),
        seconds: float | None = typer.Option(None, min=0.1, help="Stop after this long; else on Ctrl-C."),
    ) -> None:
        """Record LSL streams to an XDF file that is whole at every moment.

        Without --config, every stream is recorded, those that appear later too.

        Example: perceptogram record session1.xdf --seconds 600
        """
        import threading
        import time

        from configs.schema import load_config
        from realtime.processes.signals import ended_by_signals
        from realtime.recording.recorder import Recorder, Wanted

        wanted = [Wanted()]
        later: list[Wanted] = []
        if config is not None:
            settings = load_config(config)
            wanted = [Wanted.by(settings.stream)]
            (wanted if settings.markers.required else later).append(Wanted.by(settings.markers))
        recorder = Recorder(out, wanted)
        recorder.start()
        for stream in later:
            recorder.add(stream)
        stop_at = None if seconds is None else time.monotonic() + seconds
        asked = threading.Event()
        console.print(f"recording to {out}; Ctrl-C stops")
        with ended_by_signals(asked.set):
            while not asked.is_set() and (stop_at is None or time.monotonic() < stop_at):
                for notice in recorder.notices(wait_s=0.2):
                    console.print(notice.text)
        console.print("finishing the file")
        recorded = recorder.stop()
        for name, count in recorded.samples.items():
            console.print(f"{name}: {count} samples")
