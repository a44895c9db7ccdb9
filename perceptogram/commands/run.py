"""``perceptogram run``: decode a live stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from perceptogram.commands.replay import summary_rows
from perceptogram.console import console, print_rows

if TYPE_CHECKING:
    from realtime.sources.lsl import LslSource


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def run(
        config: str = typer.Option(..., help="YAML file or preset: which streams, which pictures."),
        bundle: Path = typer.Option(..., help="Calibration bundle, made by 'perceptogram fit'."),
        out: Path = typer.Option(..., help="Folder for percepts, pictures, recording and summary.json."),
        headless: bool = typer.Option(False, "--headless", help="Open no window."),
        render: bool = typer.Option(True, help="Paint pictures."),
        record: bool = typer.Option(True, help="Record the streams to recording.xdf."),
        seconds: float | None = typer.Option(None, min=0.1, help="Stop after this long; else on Ctrl-C."),
    ) -> None:
        """Decode a live EEG stream and show what is seen.

        Example: perceptogram run --config my_lab.yaml --bundle bundle --out session1
        """
        import signal
        import time

        from configs.schema import load_config
        from perceptogram.decoding import decode
        from realtime.bundle import load_bundle
        from realtime.recorder import Recorder, RecorderError, Wanted
        from realtime.sources.lsl import LslSource

        settings, calibration = load_config(config), load_bundle(bundle)
        markers = settings.markers.model_copy(update={"classes": calibration.classes})
        settings = settings.model_copy(update={"markers": markers})
        out.mkdir(parents=True, exist_ok=True)
        source = LslSource(settings.stream, settings.markers)
        recorder = None
        if record:
            stream = Wanted(source.spec.name, source.spec.type, source.spec.source_id or None)
            wanted = [stream, Wanted(markers.name, markers.type, markers.source_id)]
            recorder = Recorder(out / "recording.xdf", wanted)
            try:
                recorder.start()
            except RecorderError:
                source.close()
                raise
        console.print(f"decoding [bold]{source.spec.name}[/], {len(source.spec.channels)} channels; Ctrl-C stops")
        # The first Ctrl-C ends the stream, so that everything is written; a second one breaks off.
        signal.signal(signal.SIGINT, lambda *_: _end(source))
        stop_at = None if seconds is None else time.monotonic() + seconds
        try:
            finished = decode(
                source,
                settings,
                calibration,
                out,
                render=render,
                live=True,
                ended=lambda: stop_at is not None and time.monotonic() > stop_at,
                window=not headless and settings.display.enabled,
            )
        finally:
            if recorder is not None:
                recorder.stop()
        print_rows(f"session in {out}", summary_rows(finished.summary))


def _end(source: LslSource) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)
    source.close()
