"""The companion process of `realtime.rendering.remote`: talks to the workers and decodes their pictures."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
import uuid
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from pylsl import local_clock

from realtime.companion import STOP
from realtime.control_process import Topics
from realtime.control_schema import to_json
from realtime.mqtt_link import Letter, Link
from realtime.rendering.dispatch import Dispatch, GivenUp, Order
from realtime.rendering.frames import Frame, RenderRequest, RenderState
from realtime.rendering.wire import (
    SCHEMA,
    Contract,
    WireError,
    decode_jpeg,
    read_failure,
    read_picture,
    read_worker,
    request_json,
)

if TYPE_CHECKING:
    from realtime.mqtt_address import Address

logger = logging.getLogger(__name__)

LOOK_S = 0.05
CAME = "came"
"""The one time in the ledger of a frame on its way to the session: when it came here."""


@dataclass(frozen=True)
class Status:
    """How the remote workers are; told to the session whenever it changes."""

    state: RenderState
    workers: tuple[str, ...] = ()
    dropped: int = 0
    handed_over: int = 0


def run_remote(inbox: Connection, reports: Connection, address: Address, topics: Topics, contract: Contract) -> None:
    """Feed workers until the session says `STOP` or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the session's to handle; it then ends this process
    _Remote(reports, address, topics, contract).serve(inbox)


class _Remote:
    """The companion process: the book of requests, the broker, and the decoding of pictures."""

    def __init__(self, reports: Connection, address: Address, topics: Topics, contract: Contract) -> None:
        self._reports = reports
        self._topics = topics
        self._contract = contract
        self._run = uuid.uuid4().hex[:12]
        self._dispatch = Dispatch(contract, self._run)
        self._lock = threading.RLock()
        self._told: Status | None = None
        self._workers = Topics(topics.root, "workers")
        self._group = Topics(topics.root, "render").of(contract.key, "cmd")
        heard = [self._workers.of("+", "state"), topics.of("remote", "frame"), topics.of("remote", "event")]
        farewell = to_json({"schema": SCHEMA, "state": "offline"})
        self._link = Link(address, topics.of("remote", "state"), farewell, heard, self._hear, self._changed)

    def serve(self, inbox: Connection) -> None:
        self._link.set_state(to_json({"schema": SCHEMA, "state": "online"}))
        self._link.start()
        with contextlib.suppress(EOFError, OSError):  # the session is gone
            while True:
                if inbox.poll(LOOK_S):
                    item = inbox.recv()
                    if item == STOP:
                        break
                    self._submit(*item)
                self._act()
        self._link.stop(1.0)

    def _submit(self, number: int, request: RenderRequest) -> None:
        with self._lock:
            for given_up in self._dispatch.submit(number, request):
                self._report(given_up)

    def _act(self) -> None:
        """Send what is due and tell the session what changed."""
        now = time.monotonic()
        with self._lock:
            if self._link.connected:
                for item in self._dispatch.due(now, self._link.shared):
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

    def _send(self, order: Order) -> None:
        topic = self._group if order.worker is None else self._workers.of(order.worker, "cmd")
        payload = request_json(self._topics.session, self._run, order.number, order.request)
        self._link.send("event", Letter(topic, payload, qos=1))

    def _report(self, item: Frame | Status | GivenUp) -> None:
        with contextlib.suppress(OSError):  # a session that is gone is noticed by the inbox
            self._reports.send(item)

    def _changed(self, connected: bool) -> None:
        if connected:
            with self._lock:
                self._dispatch.reconnected(time.monotonic())

    def _hear(self, letter: Letter) -> None:
        now, stamp = time.monotonic(), local_clock()
        try:
            if letter.topic == self._topics.of("remote", "frame"):
                self._hear_frame(letter.payload, now, stamp)
            elif letter.topic == self._topics.of("remote", "event"):
                failure = read_failure(letter.payload)
                if failure.run == self._run:
                    with self._lock:
                        for given_up in self._dispatch.failed(failure.request, failure.text):
                            self._report(given_up)
            else:
                worker = letter.topic.rsplit("/", 2)[-2]
                with self._lock:
                    if letter.payload:
                        self._dispatch.worker(replace(read_worker(letter.payload), id=worker), now)
                    else:
                        self._dispatch.gone(worker)
        except WireError as error:
            logger.warning("%s: %s", letter.topic, error)
        self._act()

    def _hear_frame(self, payload: bytes, now: float, stamp: float) -> None:
        picture = read_picture(payload)
        if picture.run != self._run:
            return  # asked by an earlier run of the session
        image = decode_jpeg(payload)  # before it counts as delivered, so that a torn one is asked for again
        with self._lock:
            if self._dispatch.frame(picture.request, picture.worker, picture.step, picture.of, now):
                self._report(Frame(picture.trial, picture.step, picture.of, image, {CAME: stamp}, picture.request))
