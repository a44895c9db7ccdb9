"""``perceptogram monitor``: the page of a session that runs elsewhere."""

from __future__ import annotations

import signal
import threading

import typer

from perceptogram.console import errors


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def monitor(
        broker: str | None = typer.Option(None, help="Broker of the session: mqtt://host:port or mqtts://host:port."),
        session: str | None = typer.Option(None, help="Name of the session; the config's, or 'session'."),
        config: str | None = typer.Option(None, help="The session's YAML file or preset, for its name and broker."),
        host: str | None = typer.Option(None, help="Address to listen on; 0.0.0.0 lets other machines in."),
        port: int | None = typer.Option(None, min=0, max=65535, help="Port to listen on."),
    ) -> None:
        """Serve a page on which browsers watch and steer a running session, until Ctrl-C.

        A page that other machines can reach asks for a token, from PERCEPTOGRAM_WEB_TOKEN or made up and printed.

        Example: perceptogram monitor --broker mqtt://127.0.0.1:1883 --session session
        """
        from configs.schema import Config, load_config, parse_config, with_broker
        from perceptogram.live.monitor import Monitor
        from realtime.mqtt.address import broker_address
        from realtime.web.door import open_door

        settings = Config() if config is None else load_config(config)
        if broker is not None:
            settings = with_broker(settings, broker)
        broker_address(settings.control)  # refused before a port is opened
        place = {"host": host, "port": port}
        content = settings.model_dump(exclude_unset=True)
        content["web"] = content.get("web", {}) | {key: value for key, value in place.items() if value is not None}
        settings = parse_config(content, "and options")
        over = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: over.set())
        with open_door(settings.web) as door, Monitor(settings.control, session or settings.name, door):
            errors.print(f"page at {door.invitation}; Ctrl-C ends it")
            over.wait()
