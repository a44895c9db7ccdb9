"""``perceptogram view``: a session that is over, in the browser."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import typer

from perceptogram.console import errors


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def view(
        folder: Path = typer.Argument(..., help="Folder that a session left behind."),
        host: str = typer.Option("127.0.0.1", help="Address to listen on; 0.0.0.0 lets other machines in."),
        port: int = typer.Option(8420, min=0, max=65535, help="Port to listen on; 0 takes any that is free."),
    ) -> None:
        """Serve a page on which browsers look through a session that is over, until Ctrl-C.

        Example: perceptogram view session1
        """
        from configs.schema import WebSettings
        from perceptogram.live.recorded import read_session
        from realtime.web.door import open_door
        from realtime.web.server import PastSession, Web

        session = read_session(folder)
        over = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: over.set())
        with open_door(WebSettings(host=host, port=port)) as door:
            recorded = PastSession(session.json_bytes(), session.pictures)
            web = Web(door, lambda _payload: None, recorded=recorded).start()
            errors.print(f"page at {door.invitation}; Ctrl-C ends it")
            over.wait()
            web.stop()
