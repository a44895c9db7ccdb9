"""A worker: paints what sessions on other machines ask for over MQTT."""

from __future__ import annotations

import logging
import os
import platform
import queue
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from realtime.mqtt.json import to_json
from realtime.mqtt.link import Letter, Link
from realtime.mqtt.topics import Topics
from realtime.rendering.contract import Contract
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.base import Generator
from realtime.rendering.generators.make import make_generator
from realtime.rendering.remote.wire import Job, WireError, WorkerState, frame_jpeg, proof, read_job, worker_json
from realtime.rendering.worker import RenderWorker

if TYPE_CHECKING:
    from configs.schema import RenderSettings
    from realtime.mqtt.address import Address

logger = logging.getLogger(__name__)

BEAT_S = 0.5
LOOK_S = 0.05
MAX_JOBS = 64
"""Sessions whose requests wait here; of each only the newest does."""


def worker_name() -> str:
    """Return an id that no other worker has and that a topic can hold."""
    host = "".join(letter if letter.isalnum() else "-" for letter in platform.node()) or "worker"
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


class RemoteWorker:
    """Serves sessions until told to stop.

    Parameters
    ----------
    address, root
        The broker and the first part of the topics.
    settings, make, threads
        The generator, as in `RenderWorker`.
    say
        Called with one line for people whenever the state changes.
    """

    def __init__(
        self,
        address: Address,
        root: str,
        settings: RenderSettings,
        make: Callable[[RenderSettings], Generator] = make_generator,
        threads: int | None = None,
        say: Callable[[str], None] = logger.info,
    ) -> None:
        self.id = worker_name()
        self._address = address
        self._root = root
        self._settings = settings
        # the last picture may be another session's
        alone = settings.model_copy(update={"reuse_above": None, "warm_above": None})
        self._renderer = RenderWorker(alone, make, threads)
        self._say = say
        self._topics = Topics(root, "workers")
        self._inbox: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        self._jobs: OrderedDict[str, Job] = OrderedDict()  # by run of a session, in the order in which they are painted
        self._painting: tuple[int, Job] | None = None
        self._idle_since: float | None = None
        self._link: Link | None = None
        self._contract: Contract | None = None
        self._beat_due = 0.0
        self._said = ""

    def serve(self, stop: threading.Event) -> None:
        """Load the generator, then paint, until `stop` is set.

        Raises
        ------
        GeneratorError
            If the generator cannot be started.
        """
        with self._renderer:
            try:
                while not stop.is_set():
                    if self._renderer.state.kind == "dead":
                        raise GeneratorError(self._renderer.state.text)
                    if self._contract is None and self._renderer.space is not None:
                        self._meet(Contract.of(self._renderer.space, self._renderer.settings))
                    self._listen()
                    self._paint()
                    self._beat()
            finally:
                if self._link is not None:
                    self._link.stop()

    def _meet(self, contract: Contract) -> None:
        """Open the ears once it is known which requests can be painted here."""
        self._contract = contract
        state, asked = self._topics.of(self.id, "state"), self._topics.of(self.id, "cmd")
        self._link = Link(self._address, state, b"", [asked], self._inbox.put, self._changed).start()

    def _changed(self, _connected: bool) -> None:
        self._beat_due = 0.0

    def _listen(self) -> None:
        """Take in requests; wait a moment where there is nothing else to do."""
        wait = self._painting is None and not self._jobs
        while True:
            try:
                letter = self._inbox.get(timeout=LOOK_S) if wait else self._inbox.get_nowait()
            except queue.Empty:
                return
            wait = False
            try:
                job = read_job(letter.payload)
            except WireError as error:
                logger.warning("a request that cannot be read: %s", error)
                continue
            self._beat_due = 0.0
            self._take(job)

    def _take(self, job: Job) -> None:
        """Let a request wait: in the place of an older one of the same session, else behind those of others."""
        assert self._contract is not None
        if job.contract != self._contract.key:
            self._fail(job, f"worker {self.id} does not paint what is asked: its contract is {self._contract.key}")
            return
        painted = 0 if self._painting is None or self._painting[1].run != job.run else self._painting[1].request
        waiting = self._jobs[job.run].request if job.run in self._jobs else 0
        if job.request <= max(painted, waiting):
            return  # sent again because we were not heard; the beat says that we have it
        if not waiting and len(self._jobs) >= MAX_JOBS:
            logger.warning("requests of %d sessions wait already; request %s is left to others", MAX_JOBS, job.name)
            return
        self._jobs[job.run] = job

    def _paint(self) -> None:
        if self._painting is None and self._jobs and self._renderer.state.kind in ("ready", "busy"):
            _, job = self._jobs.popitem(last=False)
            try:
                self._painting = (self._renderer.submit(job.to_request()), job)
            except ValueError as error:  # WireError too
                self._fail(job, str(error))
            self._idle_since = None
        if self._painting is None:
            return
        self._renderer.wait(LOOK_S)
        number, job = self._painting
        for frame in self._renderer.frames():
            if frame.request == number:
                self._idle_since = None
                label = {"run": job.run, "request": job.request, "worker": self.id}
                label["proof"] = proof(job.key, self.id, str(frame.step))
                topic = Topics(self._root, job.session).of("remote", "frame")
                self._send("event" if frame.final else "frame", Letter(topic, frame_jpeg(frame, **label), qos=1))
                if frame.final:
                    self._painting, self._beat_due = None, 0.0
        if self._painting is not None:
            self._look_for_failure(job)

    def _look_for_failure(self, job: Job) -> None:
        """Say so where the renderer is idle, yet the final picture did not come."""
        state = self._renderer.state
        if state.kind != "ready":
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()  # the last frames may be on their way
        elif time.monotonic() - self._idle_since > 2 * LOOK_S:
            self._painting, self._beat_due = None, 0.0
            self._fail(job, f"worker {self.id}: {state.text}")

    def _fail(self, job: Job, text: str) -> None:
        logger.warning("%s", text)
        record = {"run": job.run, "request": job.request, "worker": self.id, "text": text[:1000]}
        record["proof"] = proof(job.key, self.id, "failed")
        self._send("event", Letter(Topics(self._root, job.session).of("remote", "event"), to_json(record), qos=1))

    def _send(self, lane: str, letter: Letter) -> None:
        assert self._link is not None
        self._link.send(lane, letter)

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._beat_due:
            return
        self._beat_due = now + BEAT_S
        state = self._renderer.state
        link = self._link
        if link is None or self._contract is None:
            line = state.text
        elif not link.connected:
            line = link.text
        else:
            line = f"{link.text}: {state.text}"
            painting = () if self._painting is None else (self._painting[1],)
            has = tuple(f"{job.name}/{proof(job.key, self.id, 'has')}" for job in (*painting, *self._jobs.values()))
            says = WorkerState(self.id, state.kind, state.text, self._contract, has, bool(painting))
            link.set_state(worker_json(says))
        if line != self._said:
            self._said = line
            self._say(line)
