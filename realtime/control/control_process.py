"""The process beside `realtime.control.control`: writes what the session says, and reads and checks what is asked.

It speaks to a broker, to browsers, and to programs that listen to Open Sound Control, to some of them or all.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pylsl import local_clock

from configs.version import software_version
from realtime.control.messages import (
    SCHEMA,
    AckMessage,
    CommandError,
    EventMessage,
    PerceptMessage,
    StateMessage,
    embedding_record,
    parse_command,
    schema,
)
from realtime.control.osc import OscLink
from realtime.control.percept_record import percept_record
from realtime.decoding.evidence import Percept
from realtime.mqtt.json import to_json
from realtime.mqtt.link import Letter, Link
from realtime.mqtt.topics import Topics
from realtime.processes.companion import STOP
from realtime.processes.signals import leave_to_session
from realtime.processes.supervised import Connection, Reports
from realtime.rendering.messages import Frame
from realtime.rendering.remote.wire import frame_jpeg
from realtime.web.server import Web
from realtime.web.stage import StageRoutes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from realtime.control.messages import Event
    from realtime.control.osc import OscTarget
    from realtime.mqtt.address import Address
    from realtime.spaces import EmbeddingSpace
    from realtime.web.door import Door
    from realtime.web.page_clock import ClockFit
    from realtime.web.stage import Stage
    from stimuli.markers import Marker

logger = logging.getLogger(__name__)

NICENESS = 5
"""Niceness of this process: pressing pictures into JPEG must not take the processor from the EEG."""
STATUS_S = 0.2
HUNG_S = 20.0
"""Longest that one turn may take before this process is replaced."""
FLUSH_S = 2.0
"""Seconds that what waits is given to reach the broker at the end."""


REPORTS = {"command": 1000, "status": 1, "marker": 1000}
"""What waits for a session that does not listen: of the connection only how it is now."""


@dataclass(frozen=True)
class Publication:
    """Something the session publishes, with its number and its times on both clocks."""

    what: Percept | Frame | Event
    seq: int
    t_lsl: float
    t_unix: float


@dataclass(frozen=True)
class PageAligned:
    """What is known of the clock of a page that sends markers, and the address that it comes from."""

    page: str
    clock: ClockFit

    @property
    def text(self) -> str:
        """One line for people."""
        clock = self.clock
        return (
            f"markers come from a page at {self.page}: its clock is known to {1e3 * clock.error_s:.1f} ms (round trip "
            f"{1e3 * clock.round_trip_s:.1f} ms, jitter {1e3 * clock.jitter_s:.1f} ms)"
        )


@dataclass(frozen=True)
class LinkStatus:
    """How the connection is: letters sent, dropped for lack of room, commands refused, how often it connected.

    `away` says that the last try to reach the broker failed. Without a broker it is the page that is connected.
    """

    connected: bool = False
    away: bool = False
    text: str = "starting"
    sent: int = 0
    dropped: int = 0
    refused: int = 0
    connections: int = 0


def offline() -> bytes:
    """Return the last will."""
    will = StateMessage(schema=SCHEMA, t_lsl=0.0, t_unix=0.0, state="offline", version=software_version(), details={})
    return will.json_bytes()


def encode_event(told: Publication, space: EmbeddingSpace | None) -> bytes:
    """Return a percept or an event as JSON that keeps to its schema.

    Raises
    ------
    ValueError, TypeError
        If an event holds what JSON cannot.
    """
    timestamp = {"schema": SCHEMA, "seq": told.seq, "t_lsl": told.t_lsl, "t_unix": told.t_unix}
    what = told.what
    if isinstance(what, Percept):
        embedding = {"embedding": embedding_record(what.embedding, space)}
        record = timestamp | {"kind": "percept"} | percept_record(what) | embedding
        PerceptMessage.model_validate(record)
    else:
        assert not isinstance(what, Frame)
        record = timestamp | {"kind": what.kind, "data": dict(what.data)}
        EventMessage.model_validate(record)
    return to_json(record)


def run_control(
    pipe: Connection,
    address: Address | None,
    topics: Topics,
    space: EmbeddingSpace | None,
    door: Door | None = None,
    targets: Sequence[OscTarget] = (),
    stage: Stage | None = None,
) -> None:
    """Serve one session until it says `STOP` or is gone.

    Parameters
    ----------
    pipe
        The session's end of it sends what to write, and hears what is asked.
    address
        Which broker to speak to; None for none.
    topics
        The topics of this session.
    space
        The space that a request's embedding must be of; None where nothing is painted.
    door
        Where to serve the page; None for no page.
    targets
        Programs that are told over Open Sound Control.
    stage
        What pages may show themselves; None where they send no markers.
    """
    leave_to_session()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    reports = Reports(pipe, REPORTS, HUNG_S)
    _Control(reports, address, topics, space, door, targets, stage).serve(pipe)
    reports.close(FLUSH_S)


class _Control:
    def __init__(
        self,
        reports: Reports,
        address: Address | None,
        topics: Topics,
        space: EmbeddingSpace | None,
        door: Door | None,
        targets: Sequence[OscTarget],
        stage: Stage | None,
    ) -> None:
        self._reports = reports
        self._topics = topics
        self._space = space
        self._refused = self._unsaid = 0
        self._status = LinkStatus()
        wanted, state = [topics.of("session", "cmd")], topics.of("session", "state")
        self._broker = None if address is None else Link(address, state, offline(), wanted, self._take, self._changed)
        beside = () if stage is None else StageRoutes(stage, local_clock, self._mark, self._aligned).routes()
        self._web = None if door is None else Web(door, self._hear, offline(), beside=beside)
        self._told = [OscLink(target) for target in targets]
        self._links = tuple(link for link in (self._broker, self._web) if link is not None)

    def serve(self, inbox: Connection) -> None:
        for link in self._links:
            link.start()
        if self._web is not None:
            self._web.send("urgent", Letter("schema", to_json(schema())))
        due = time.monotonic()
        try:
            while True:
                self._reports.turn()
                if time.monotonic() >= due:
                    self._tell_status()
                    due = time.monotonic() + STATUS_S
                if not inbox.poll(max(0.0, due - time.monotonic())):
                    continue
                item = inbox.recv()
                if item == STOP:
                    break
                self._say(item)
        except (EOFError, OSError):
            logger.info("the session is gone; the control process says so and ends")
        if self._web is not None:
            self._web.stop(FLUSH_S)
        if self._broker is not None and not self._broker.stop(FLUSH_S):
            logger.warning("not everything could be told: %s", self._broker.text)
        self._tell_status()

    def _tell_status(self) -> None:
        link = self._broker
        if link is not None:
            how = link.connected, link.away, link.text
            status = LinkStatus(*how, link.sent, link.dropped + self._unsaid, self._refused, link.connections)
        else:
            status = LinkStatus(connected=True, text="", dropped=self._unsaid, refused=self._refused)
        if status != self._status:
            self._status = status
            self._reports.say(status, "status")

    def _changed(self, connected: bool) -> None:
        if connected and self._broker is not None:
            letter = Letter(self._topics.of("session", "schema"), to_json(schema()), qos=1, retain=True)
            self._broker.send("urgent", letter)
        self._tell_status()

    def _take(self, letter: Letter) -> None:
        if not letter.payload:
            return  # somebody clears a command that the broker kept
        try:
            if letter.retain:
                msg = "a command must not be retained: it would be done again at every start"
                raise CommandError(msg)
            self._reports.say(parse_command(letter.payload))
        except CommandError as error:
            self._refused += 1
            self._answer(AckMessage.to(error.command_id, str(error)))

    def _hear(self, payload: bytes) -> bytes | None:
        """Take what a page asks, and return the answer where it cannot be read, which is the page's alone."""
        try:
            self._reports.say(parse_command(payload))
        except CommandError as error:
            self._refused += 1
            return AckMessage.to(error.command_id, str(error)).json_bytes()
        return None

    def _mark(self, marker: Marker) -> None:
        self._reports.say(marker, "marker")

    def _aligned(self, page: str, clock: ClockFit) -> None:
        self._reports.say(PageAligned(page, clock), "marker")

    def _answer(self, answer: AckMessage) -> None:
        self._send("urgent", "session", "ack", answer.json_bytes())

    def _send(self, lane: str, component: str, what: str, payload: bytes) -> None:
        letter = Letter(self._topics.of(component, what), payload, qos=0 if lane == "frame" else 1)
        for link in self._links:
            link.send(lane, letter)

    def _say(self, item: Publication | AckMessage | StateMessage) -> None:
        if not isinstance(item, AckMessage):
            for told in self._told:
                told.tell(item.what if isinstance(item, Publication) else item)
        if isinstance(item, AckMessage):
            self._answer(item)
        elif isinstance(item, Publication) and isinstance(item.what, Frame):
            self._show(item.what)
        else:
            try:
                if isinstance(item, StateMessage):
                    for link in self._links:
                        link.set_state(item.json_bytes())
                else:
                    self._send("event", "session", "event", encode_event(item, self._space))
            except (ValueError, TypeError) as error:
                self._unsaid += 1
                logger.error("what cannot be put in JSON cannot be published: %s", " ".join(str(error).split()))

    def _show(self, frame: Frame) -> None:
        """Press a picture into JPEG, once for everybody; old ones are of no use to a broker that comes back."""
        away = self._broker is not None and not self._broker.connected
        if away:
            self._unsaid += 1
        if self._web is None and (self._broker is None or away):
            return
        letter = Letter(self._topics.of("renderer", "frame"), frame_jpeg(frame))
        if self._web is not None:
            self._web.send("frame", letter)
        if self._broker is not None and not away:
            self._broker.send("frame", letter)
