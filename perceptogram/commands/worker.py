"""``perceptogram worker``: paint for sessions on other machines."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path

import typer

from perceptogram.console import errors


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def worker(
        broker: str | None = typer.Option(None, help="Broker: mqtt://host:port or, with TLS, mqtts://host:port."),
        config_file: Path | None = typer.Option(
            None, "--config", help="The session's settings; its render and control."
        ),
        generator: str | None = typer.Option(None, help="Which generator; the session's config must name the same."),
        weights: str | None = typer.Option(None, help="Hub id or local folder of its weights."),
        credentials: Path | None = typer.Option(None, help="File of two lines: user, password."),
        ca_file: Path | None = typer.Option(None, help="Certificates to trust, as PEM."),
        allow_remote: bool | None = typer.Option(
            None, "--allow-remote", help="Another machine's broker even without TLS and credentials."
        ),
        threads: int | None = typer.Option(None, min=1, help="Torch threads; half of the cores when left out."),
    ) -> None:
        """Paint for sessions on other machines, until Ctrl-C. Several workers share the load.

        User and password can also come from PERCEPTOGRAM_MQTT_USER and PERCEPTOGRAM_MQTT_PASSWORD.

        Example: perceptogram worker --broker mqtt://127.0.0.1:1883
        """
        from configs.schema import Config, load_config, parse_config
        from realtime.mqtt.address import broker_address
        from realtime.rendering.remote.worker import RemoteWorker

        content = (Config() if config_file is None else load_config(config_file)).model_dump(exclude_unset=True)
        asked: dict[str, dict[str, object]] = {
            "control": {"url": broker, "credentials": credentials, "ca_file": ca_file, "allow_remote": allow_remote},
            "render": {"generator": generator, "weights": weights},
        }
        for section, given in asked.items():
            told = {key: value for key, value in given.items() if value is not None}
            content[section] = content.get(section, {}) | told
        config = parse_config(content, "options" if config_file is None else f"{config_file} and options")
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        serving = RemoteWorker(
            broker_address(config.control),
            config.control.root,
            config.render,
            threads=threads,
            say=lambda line: errors.print(f"worker {serving.id}: {line}"),
        )
        with contextlib.suppress(KeyboardInterrupt):
            serving.serve(stop)
