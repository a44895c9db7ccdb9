"""A connection to an MQTT broker that comes back by itself and that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import random
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from realtime.processes.outbox import Outbox

if TYPE_CHECKING:
    import aiomqtt

    from realtime.mqtt.address import Address

logger = logging.getLogger(__name__)

LANES = {"urgent": 4096, "event": 2000, "frame": 8}
"""Letters that wait for a lost broker, by lane: answers, then events, then pictures."""
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
ANSWER_S = 5.0
"""Seconds of silence of the broker after which the connection is given up."""
KEEPALIVE_S = 10

_REFUSED = 0x80
_UNSUPPORTED = 0x84  # "unsupported protocol version" in MQTT 5, to which aiomqtt also maps code 1 of 3.1.1


@dataclass(frozen=True)
class Letter:
    """A message, going or coming.

    Attributes
    ----------
    topic, payload
        Where and what.
    qos
        0: at most once; 1: sent again until the broker confirms it.
    retain
        Going: the broker keeps it for later subscribers. Coming: it was kept, so it is not news; over MQTT 5 also
        whether it was sent to be kept.
    """

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 0
    retain: bool = False


def _without_closed_sockets(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what a callback raised, but for a socket that paho closed before aiomqtt came to watch it."""
    error = context.get("exception")
    if not (isinstance(error, OSError) and error.errno == errno.EBADF):
        loop.default_exception_handler(context)


class Link:
    """One client of a broker, in a thread of its own.

    The state is retained on its topic while connected and replaced by the farewell when this ends or is cut off; a
    client that only listens has neither.

    Parameters
    ----------
    address
        The broker.
    state_topic, farewell
        Where the state is retained, and the last will; None for none.
    subscriptions
        Topic filters.
    take
        Called in the link's thread with every letter that comes.
    changed
        Called in the link's thread with True after connecting and with False after losing the connection.
    """

    def __init__(
        self,
        address: Address,
        state_topic: str | None,
        farewell: bytes,
        subscriptions: Sequence[str],
        take: Callable[[Letter], None],
        changed: Callable[[bool], None] = lambda _connected: None,
    ) -> None:
        self._address = address
        self._state_topic = state_topic
        self._farewell = farewell
        self._subscriptions = tuple(subscriptions)
        self._take = take
        self._changed = changed
        self._outbox: Outbox[Letter] = Outbox(LANES)
        self._held: Letter | None = None
        self._state: bytes | None = None
        self._state_said: bytes | None = None
        self._protocol: Literal["5", "3.1.1"] = "3.1.1" if address.protocol == "3.1.1" else "5"
        self._connected = threading.Event()
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self.text = f"connecting to {address}"
        self.away = False  # whether the last try to reach the broker failed
        self.sent = 0
        self.connections = 0

    def start(self) -> Link:
        """Start connecting and return at once."""
        self._thread.start()
        return self

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now."""
        return self._connected.is_set()

    @property
    def dropped(self) -> int:
        """How many letters were dropped because too many waited."""
        return self._outbox.dropped

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait for the broker and return whether it is there."""
        return self._connected.wait(timeout_s)

    def send(self, lane: str, letter: Letter) -> None:
        """Leave `letter` to be sent, without waiting; what waits outlives a lost connection."""
        self._outbox.put(lane, letter)
        self._rouse()

    def set_state(self, payload: bytes) -> None:
        """Retain `payload` on the state topic, now and after every reconnection."""
        self._state = payload
        self._rouse()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Send what waits and the farewell, for `timeout_s` at most, and return whether all of it went."""
        self._stopping = True
        self._rouse()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return self._held is None and len(self._outbox) == 0

    def _rouse(self) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed a moment ago
                loop.call_soon_threadsafe(self._wake.set)

    def _run(self) -> None:
        asyncio.run(self._keep_connected())

    async def _keep_connected(self) -> None:
        from aiomqtt import MqttError

        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_without_closed_sockets)
        delay_s = FIRST_DELAY_S
        while not self._stopping:
            try:
                async with self._client() as client:
                    await self._enter(client)
                    delay_s = FIRST_DELAY_S
                    await self._converse(client)
            except (MqttError, OSError, ValueError) as error:
                if self._fall_back(error):
                    continue
                self._leave(error)
            if self._stopping:
                return
            await self._rest(delay_s * random.uniform(0.7, 1.0))  # so that not all clients come back at once
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)

    def _client(self) -> aiomqtt.Client:
        from aiomqtt import Client, ProtocolVersion, Will

        return Client(
            self._address.host,
            self._address.port,
            username=self._address.user,
            password=self._address.password,
            protocol=ProtocolVersion.V5 if self._protocol == "5" else ProtocolVersion.V311,
            will=None if self._state_topic is None else Will(self._state_topic, self._farewell, qos=1, retain=True),
            tls_context=self._address.tls_context(),
            keepalive=KEEPALIVE_S,
            timeout=ANSWER_S,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # letters are small and must not wait
        )

    def _fall_back(self, error: Exception) -> bool:
        """Try the older protocol next, where the broker refused the newer one and the choice is ours."""
        code = getattr(getattr(error, "rc", None), "value", None)
        if self._address.protocol != "auto" or self._protocol != "5" or code != _UNSUPPORTED:
            return False
        self._protocol = "3.1.1"
        return True

    async def _enter(self, client: aiomqtt.Client) -> None:
        for one in self._subscriptions:
            await self._subscribe(client, one)
        self._state_said = None
        self.connections += 1
        self.text, self.away = f"connected to {self._address} (MQTT {self._protocol})", False
        logger.info("%s", self.text)
        self._connected.set()
        self._changed(True)

    async def _subscribe(self, client: aiomqtt.Client, topics: str) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        if self._protocol == "5":  # which alone tells who listens already that a letter was sent to be kept
            (answer,) = await client.subscribe(topics, options=SubscribeOptions(qos=1, retainAsPublished=True))
        else:
            (answer,) = await client.subscribe(topics, qos=1)
        code = answer if isinstance(answer, int) else answer.value
        if code >= _REFUSED:
            logger.error("the broker %s refuses to tell about %s (code %d)", self._address, topics, code)

    def _leave(self, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        self.text, self.away = f"no connection to {self._address}: {reason}", True
        if self.connected:
            logger.warning("lost the broker %s (%s); connecting again", self._address, reason)
            self._connected.clear()
            self._changed(False)

    async def _converse(self, client: aiomqtt.Client) -> None:
        """Read and write until stopped; a lost connection raises."""
        tasks = [asyncio.create_task(self._read(client)), asyncio.create_task(self._write(client))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            try:
                self._take(Letter(message.topic.value, payload, 1 if message.qos else 0, message.retain))
            except Exception:  # one letter that cannot be handled must not cost the connection
                logger.exception("a letter on %s could not be handled", message.topic.value)

    async def _write(self, client: aiomqtt.Client) -> None:
        while True:
            self._wake.clear()
            state = self._state
            if self._state_topic is not None and state is not None and state is not self._state_said:
                await client.publish(self._state_topic, state, qos=1, retain=True)
                self._state_said = state
            if self._held is None:
                self._held = self._outbox.take()
            letter = self._held
            if letter is not None:
                await client.publish(letter.topic, letter.payload, qos=letter.qos, retain=letter.retain)
                self._held = None
                self.sent += 1
            elif self._stopping:
                if self._state_topic is not None:
                    await client.publish(self._state_topic, self._farewell, qos=1, retain=True)
                return
            else:
                await self._wake.wait()

    async def _rest(self, delay_s: float) -> None:
        """Wait for `delay_s`, or less when stopped."""
        loop = asyncio.get_running_loop()
        until = loop.time() + delay_s
        while not self._stopping and loop.time() < until:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), until - loop.time())
