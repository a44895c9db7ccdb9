"""The page of a session that runs elsewhere: what the broker tells goes in, what a page asks goes back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from pydantic import TypeAdapter, ValidationError

from realtime.control.control_process import offline
from realtime.control.messages import (
    AckMessage,
    CommandError,
    EventMessage,
    PerceptMessage,
    StateMessage,
    parse_command,
)
from realtime.mqtt.address import broker_address
from realtime.mqtt.link import Letter, Link
from realtime.mqtt.topics import Topics, topic_name
from realtime.processes.started import Started
from realtime.web.server import Web

if TYPE_CHECKING:
    from configs.schema import ControlSettings
    from realtime.web.door import Door

logger = logging.getLogger(__name__)

MOST_BYTES = 1 << 22
"""Bytes of the longest message that is passed on; a picture may be as long."""
READ: dict[str, TypeAdapter[PerceptMessage | EventMessage] | TypeAdapter[StateMessage] | TypeAdapter[AckMessage]] = {
    "state": TypeAdapter(StateMessage),
    "ack": TypeAdapter(AckMessage),
    "event": TypeAdapter(PerceptMessage | EventMessage),
}


class Monitor(Started):
    """Serves the page of one session that a broker tells about, also before it starts and after it has ended.

    Parameters
    ----------
    settings
        The broker.
    session
        The session's name, as in its config.
    door
        Where to serve; left open.

    Raises
    ------
    BrokerError
        If the broker cannot be used as configured.
    """

    def __init__(self, settings: ControlSettings, session: str, door: Door) -> None:
        self._topics = topics = Topics(settings.root, topic_name(session))
        heard = [*(topics.of("session", what) for what in (*READ, "schema")), topics.of("renderer", "frame")]
        self._link = Link(broker_address(settings), None, b"", heard, self._hear, self._changed)
        self._web = Web(door, self._ask)

    def start(self) -> Self:
        """Start serving and connecting, and return at once."""
        self._web.start()
        self._link.start()
        return self

    def stop(self) -> None:
        """End both."""
        self._link.stop()
        self._web.stop()

    def _changed(self, connected: bool) -> None:
        """Tell pages that nothing is known of a session whose broker is lost; one that is back tells its state."""
        if not connected:
            self._web.set_state(offline())

    def _hear(self, letter: Letter) -> None:
        """Pass on what keeps to its schema: anybody whom the broker lets in may have sent it."""
        reader = READ.get(letter.topic.rsplit("/", 1)[-1])
        try:
            if len(letter.payload) > MOST_BYTES:
                msg = f"{len(letter.payload)} bytes"
                raise ValueError(msg)
            if reader is not None:
                reader.validate_json(letter.payload)
        except (ValidationError, ValueError):
            logger.info("a message on %s is ignored: it does not keep to its schema", letter.topic)
            return
        self._web.send("event", letter)

    def _ask(self, payload: bytes) -> bytes | None:
        """Pass a command on, or say why not; one that came after minutes would be a surprise."""
        try:
            command = parse_command(payload)
        except CommandError as error:
            return AckMessage.to(error.command_id, str(error)).json_bytes()
        if not self._link.connected:
            return AckMessage.to(command.id, self._link.text).json_bytes()
        self._link.send("urgent", Letter(self._topics.of("session", "cmd"), payload, qos=1))
        return None
