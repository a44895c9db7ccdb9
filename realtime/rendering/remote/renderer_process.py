"""The companion process of `realtime.rendering.remote.renderer`: talks to the workers and decodes their pictures."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pylsl import local_clock

from realtime.mqtt.foreign_text import one_line
from realtime.mqtt.json import to_json
from realtime.mqtt.link import Letter, Link
from realtime.mqtt.topics import Topics
from realtime.processes.companion import STOP
from realtime.processes.signals import leave_to_session
from realtime.processes.supervised import Connection, Reports
from realtime.rendering.messages import Frame, RendererNotice, RenderRequest, RenderState
from realtime.rendering.remote.dispatch import Dispatch, GivenUp, Order
from realtime.rendering.remote.wire import (
    MAX_NAME,
    SCHEMA,
    WireError,
    decode_jpeg,
    read_failure,
    read_picture,
    read_worker,
    request_json,
)

if TYPE_CHECKING:
    from realtime.mqtt.address import Address
    from realtime.rendering.contract import Contract

logger = logging.getLogger(__name__)

LOOK_S = 0.05
HUNG_S = 20.0
"""Longest that one turn may take before this process is replaced."""
REPORTS = {"word": 256, "frame": 16, "status": 1}
"""What waits for a session that does not listen."""
CAME = "came"
"""The one time in the ledger of a frame on its way to the session: when it came here."""


@dataclass(frozen=True)
class Status:
    """How the remote workers are; told to the session whenever it changes."""

    state: RenderState
    workers: tuple[str, ...] = ()
    dropped: int = 0
    handed_over: int = 0


LANES: dict[type, str] = {Frame: "frame", Status: "status"}


def run_remote(pipe: Connection, address: Address, topics: Topics, contract: Contract, size: tuple[int, int]) -> None:
    """Feed workers until the session says `STOP` or is gone.

    Parameters
    ----------
    pipe
        To the session.
    address, topics
        The broker, and the session's topics there.
    contract
        What a worker must agree on.
    size
        Height and width of the pictures that are asked for.
    """
    leave_to_session()
    reports = Reports(pipe, REPORTS, HUNG_S)
    _Remote(reports, address, topics, contract, size).serve(pipe)
    reports.close(1.0)


class _Remote:
    """The companion process: the book of requests, the broker, and the decoding of pictures."""

    def __init__(
        self, reports: Reports, address: Address, topics: Topics, contract: Contract, size: tuple[int, int]
    ) -> None:
        self._reports = reports
        self._topics = topics
        self._contract = contract
        self._size = size
        self._run = uuid.uuid4().hex[:12]
        self._dispatch = Dispatch(contract, self._run)
        self._lock = threading.RLock()
        self._told: Status | None = None
        self._workers = Topics(topics.root, "workers")
        heard = [self._workers.of("+", "state"), topics.of("remote", "frame"), topics.of("remote", "event")]
        farewell = to_json({"schema": SCHEMA, "state": "offline"})
        self._link = Link(address, topics.of("remote", "state"), farewell, heard, self._hear, self._changed)

    def serve(self, inbox: Connection) -> None:
        self._link.set_state(to_json({"schema": SCHEMA, "state": "online"}))
        self._link.start()
        with contextlib.suppress(EOFError, OSError):  # the session is gone
            while True:
                self._reports.turn()
                if inbox.poll(LOOK_S):
                    item = inbox.recv()
                    if item == STOP:
                        break
                    self._submit(*item)
                self._act()
        self._link.stop(1.0)

    def _submit(self, number: int, request: RenderRequest) -> None:
        with self._lock:
            self._report(*self._dispatch.submit(number, request))

    def _act(self) -> None:
        """Send what is due and tell the session what changed."""
        now = time.monotonic()
        with self._lock:
            if self._link.connected:
                for item in self._dispatch.due(now):
                    if isinstance(item, Order):
                        self._send(item)
                    else:
                        self._report(item)
                state, fit = self._dispatch.state(now), tuple(self._dispatch.fit(now))
            else:
                state, fit = RenderState("dead" if self._link.connections else "loading", self._link.text), ()
            status = Status(state, fit, self._dispatch.dropped, self._dispatch.handed_over)
            if status != self._told:
                self._told = status
                self._report(status)
            self._report(*(RendererNotice("worker", text) for text in self._dispatch.remarks))
            self._dispatch.remarks.clear()

    def _send(self, order: Order) -> None:
        number, key, request = order.number, order.key, order.request
        payload = request_json(self._topics.session, self._run, number, key, self._contract.key, request)
        self._link.send("event", Letter(self._workers.of(order.worker, "cmd"), payload, qos=1))

    def _report(self, *items: Frame | Status | GivenUp | RendererNotice) -> None:
        for item in items:
            self._reports.say(item, LANES.get(type(item), "word"))

    def _changed(self, connected: bool) -> None:
        if connected:
            with self._lock:
                self._dispatch.reconnected(time.monotonic())

    def _hear(self, letter: Letter) -> None:
        now, timestamp = time.monotonic(), local_clock()
        try:
            if letter.topic == self._topics.of("remote", "frame"):
                self._hear_frame(letter.payload, now, timestamp)
            elif letter.topic == self._topics.of("remote", "event"):
                failure = read_failure(letter.payload)
                if failure.run == self._run:
                    with self._lock:
                        told = self._dispatch.failed(failure.request, failure.worker, failure.proof, failure.text)
                        self._report(*told)
            else:
                self._hear_worker(letter.topic.rsplit("/", 2)[-2], letter.payload, now)
        except WireError as error:
            logger.warning("%s: %s", one_line(letter.topic), error)
        self._act()

    def _hear_worker(self, name: str, payload: bytes, now: float) -> None:
        if len(name) > MAX_NAME or not name.isprintable():
            msg = f"a worker's name of {len(name)} letters; at most {MAX_NAME} that can be printed are taken"
            raise WireError(msg)
        with self._lock:
            if not payload:
                self._dispatch.gone(name)
                return
            try:
                self._dispatch.worker(read_worker(payload, name), now)
            except WireError as error:
                self._dispatch.stranger(name, f"what it says of itself cannot be read ({error})", now)

    def _hear_frame(self, payload: bytes, now: float, timestamp: float) -> None:
        height, width = self._size
        picture = read_picture(payload, height * width)
        if picture.run != self._run:
            return  # asked by an earlier run of the session
        with self._lock:
            request = self._dispatch.wanted(picture)
        if request is None:
            return
        if picture.size != self._size:
            msg = f"worker {picture.worker}: a picture of {picture.size} pixels where {self._size} are asked for"
            raise WireError(msg)
        image = decode_jpeg(payload)  # before it counts as delivered, so that a torn one is asked for again
        with self._lock:
            deliver, abandoned = self._dispatch.frame(picture.request, picture.step, now)
            self._report(*abandoned)
            if deliver:
                came, of = {CAME: timestamp}, request.steps
                told = (request.trial, picture.step, of, image, came, picture.request, picture.origin)
                frame = Frame(*told, request.at_s, request.preview)
                self._report(frame)
