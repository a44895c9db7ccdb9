"""``perceptogram broker``: a small MQTT broker on this machine."""

from __future__ import annotations

import contextlib

import typer

from perceptogram.console import errors


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def broker(
        port: int = typer.Option(1883, min=1, max=65535, help="Port to listen on."),
        host: str = typer.Option("127.0.0.1", help="Loopback address to listen on."),
    ) -> None:
        """Run a small MQTT broker on this machine, until Ctrl-C. For several machines use mosquitto.

        It needs amqtt: pip install 'perceptogram-live[broker]'.

        Example: perceptogram broker --port 1883
        """
        from realtime.mqtt.embedded_broker import EmbeddedBroker

        with EmbeddedBroker(port, host) as running:
            errors.print(f"broker on {running.url}; Ctrl-C ends it")
            with contextlib.suppress(KeyboardInterrupt):
                msg = f"the broker ended by itself, with exit code {running.wait()}"
                raise RuntimeError(msg)
