"""A small MQTT broker for one machine, in a process of its own, where no mosquitto is installed.

It listens on loopback only and has no passwords; for several machines use mosquitto. It speaks MQTT 3.1.1.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Self

from realtime.mqtt.address import BrokerError, is_loopback
from realtime.processes.signals import leave_to_session
from realtime.processes.started import Started
from realtime.processes.supervised import Connection, Supervised

START_S = 20.0
STOP_S = 3.0
LISTENING = ""


def check_broker(host: str) -> None:
    """Refuse what this broker cannot do.

    Raises
    ------
    BrokerError
        If `host` is not loopback or amqtt is not installed.
    """
    if not is_loopback(host):
        msg = f"the built-in broker has no passwords and listens on loopback only (given: {host}); use mosquitto"
        raise BrokerError(msg)
    if find_spec("amqtt") is None:
        msg = "the built-in broker needs amqtt: pip install 'perceptogram-live[broker]', or install mosquitto"
        raise BrokerError(msg)


def run_broker(host: str, port: int, listening: Callable[[], None], stop: Callable[[], None]) -> None:
    """Serve until `stop` returns; it is called in a thread of its own, after `listening`.

    Parameters
    ----------
    host, port
        Where to listen; loopback only.
    listening
        Called once the port is open.
    stop
        Blocks until the broker shall end.

    Raises
    ------
    BrokerError
        If the port cannot be had, or as `check_broker`.
    """
    check_broker(host)
    asyncio.run(_serve(host, port, listening, stop))


async def _serve(host: str, port: int, listening: Callable[[], None], stop: Callable[[], None]) -> None:
    from amqtt.broker import Broker
    from amqtt.errors import BrokerError as AmqttError

    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they tell every client that comes and goes
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": bind}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    try:
        await broker.start()
    except (AmqttError, OSError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        msg = f"cannot listen on {bind}: {reason}; choose another port or stop the broker that is there"
        raise BrokerError(msg) from error
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch() -> None:
        stop()
        loop.call_soon_threadsafe(ended.set)

    listening()
    threading.Thread(target=watch, name="broker-stop", daemon=True).start()
    try:
        await ended.wait()
    finally:
        await broker.shutdown()


class EmbeddedBroker(Started):
    """The broker in a process of its own.

    Parameters
    ----------
    port, host
        Where it listens.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        check_broker(host)
        self._host, self._port = host, port
        self._process: Supervised | None = None

    @property
    def url(self) -> str:
        """What to write in ``control.url``."""
        return f"mqtt://{self._host}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Id of the process."""
        return None if self._process is None else self._process.pid

    def start(self) -> Self:
        """Start it and wait until it listens.

        Raises
        ------
        BrokerError
            If it cannot.
        """
        self._process = process = Supervised("broker", _broker_process, (self._host, self._port))
        answer = next(process.hear(START_S), None)
        if answer != LISTENING:
            answer = answer or f"it does not listen: its process {process.trouble or 'says nothing'}"
            self.stop()
            raise BrokerError(answer)
        return self

    def wait(self) -> int | None:
        """Wait until the process has ended by itself, and return its exit code."""
        if self._process is None:
            return None
        self._process.wait()
        return self._process.exit_code

    def stop(self) -> None:
        """End it. Safe to call twice."""
        if self._process is not None:
            self._process.close(STOP_S)


def _broker_process(wire: Connection, host: str, port: int) -> None:
    leave_to_session()

    def owner_gone() -> None:
        try:
            wire.recv()
        except (EOFError, OSError):
            return

    try:
        run_broker(host, port, lambda: wire.send(LISTENING), owner_gone)
    except BrokerError as error:
        wire.send(str(error))
