"""``perceptogram worker``: paint for sessions on other machines."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def worker(
        broker: str = typer.Option(..., help="Broker: mqtt://host:port or, with TLS, mqtts://host:port."),
        generator: str = typer.Option("embedded", help="Which generator; the session's config must name the same."),
        weights: str | None = typer.Option(None, help="Hub id or local folder of its weights."),
        root: str = typer.Option("perceptogram", help="First part of the topics, as in the session's config."),
        credentials: Path | None = typer.Option(None, help="File of two lines: user, password."),
        ca_file: Path | None = typer.Option(None, help="Certificates to trust, as PEM."),
        allow_remote: bool = typer.Option(False, help="Another machine's broker even without TLS and credentials."),
        protocol: str = typer.Option("auto", help="MQTT version: auto, 5 or 3.1.1."),
        threads: int | None = typer.Option(None, min=1, help="Torch threads; half of the cores when left out."),
    ) -> None:
        """Paint for sessions on other machines, until Ctrl-C. Several workers share the load.

        User and password can also come from PERCEPTOGRAM_MQTT_USER and PERCEPTOGRAM_MQTT_PASSWORD.

        Example: perceptogram worker --broker mqtts://lab-server:8883 --generator sdxl-turbo
        """
        from rich.console import Console

        from configs.schema import parse_config
        from realtime.mqtt_address import broker_address
        from realtime.rendering.serving import RemoteWorker

        control = {"url": broker, "root": root, "allow_remote": allow_remote, "protocol": protocol}
        control |= {key: file for key, file in (("credentials", credentials), ("ca_file", ca_file)) if file is not None}
        config = parse_config({"control": control, "render": {"generator": generator, "weights": weights}}, "options")
        console = Console(stderr=True)
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        serving = RemoteWorker(
            broker_address(config.control),
            config.control.root,
            config.render,
            threads=threads,
            say=lambda line: console.print(f"worker {serving.id}: {line}", highlight=False, soft_wrap=True),
        )
        with contextlib.suppress(KeyboardInterrupt):
            serving.serve(stop)
