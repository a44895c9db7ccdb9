"""A process beside the session for work that must never hold up the EEG, such as pressing pictures into JPEG.

What the session says goes through a bounded outbox, so saying never waits; what the companion says is handed to a
callback. A companion that dies is started again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from multiprocessing import connection, get_context
from typing import TYPE_CHECKING, Any

from realtime.processes.outbox import Outbox

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

logger = logging.getLogger(__name__)

STOP = "stop"
"""The last thing a companion hears."""
RESTART_S = 0.5
_LOOK_S = 0.2


class Companion:
    """Keeps one process running.

    Parameters
    ----------
    name
        For people.
    target, arguments
        The process runs ``target(inbox, reports, *arguments)`` with two `Connection`; it must end on `STOP` and when
        the inbox ends, which means that the session is gone.
    lanes
        Capacities of the outbox.
    take
        Called with each thing that the companion says, in a thread of its own.
    greet
        Called before each start; says (with `put`) what a new companion must know.

    Attributes
    ----------
    tell
        Called with a line, in a thread of its own, when the process has died; may be set at any time.
    """

    def __init__(
        self,
        name: str,
        target: Callable[..., None],
        arguments: tuple[Any, ...],
        lanes: Mapping[str, int],
        take: Callable[[Any], None],
        greet: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._target = target
        self._arguments = arguments
        self._take = take
        self._greet = greet
        self._context = get_context("spawn")
        self._outbox: Outbox[Any] = Outbox(lanes)
        self._news = threading.Condition()
        self._stopping = self._given_up = False
        self._process: SpawnProcess | None = None
        self._keeper = threading.Thread(target=self._keep, name=name, daemon=True)
        self.restarts = 0
        self.tell: Callable[[str], None] = logger.warning

    def start(self) -> None:
        """Start the process and return at once."""
        self._keeper.start()

    def put(self, lane: str, item: Any) -> bool:
        """Leave `item` for the process, without waiting; returns False if an older one was dropped for it."""
        kept = self._outbox.put(lane, item)
        with self._news:
            self._news.notify()
        return kept

    @property
    def dropped(self) -> int:
        """How many items were dropped because the process did not take them in time, or died."""
        return self._outbox.dropped

    @property
    def pid(self) -> int | None:
        """Id of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    def stop(self, timeout_s: float) -> None:
        """Let the process finish for `timeout_s`, then end it. Safe to call twice."""
        with self._news:
            self._stopping = True
            self._news.notify()
        if not self._keeper.is_alive():
            return
        self._keeper.join(timeout_s)
        if self._keeper.is_alive():
            self._given_up = True
            process = self._process
            if process is not None:
                process.kill()
            self._keeper.join()

    def _keep(self) -> None:
        while True:
            self._greet()
            self._run_once()
            if self._done():
                return
            self.tell(f"the {self._name} process died; it is started again")
            self.restarts += 1
            with self._news:
                self._news.wait_for(lambda: self._stopping, RESTART_S)
            if self._done():
                return

    def _done(self) -> bool:
        """Return whether no process is needed any more: what still waits is worth another one, unless time is up."""
        return self._given_up or (self._stopping and not len(self._outbox))

    def _run_once(self) -> None:
        theirs_in, inbox = self._context.Pipe(duplex=False)
        reports, theirs_out = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=self._target, args=(theirs_in, theirs_out, *self._arguments), name=self._name, daemon=True
        )
        process.start()
        theirs_in.close()  # so that the pipes end when the process does
        theirs_out.close()
        self._process = process
        gone = threading.Event()
        feeder = threading.Thread(target=self._feed, args=(inbox, gone), name=f"{self._name}-feed", daemon=True)
        feeder.start()
        try:
            self._listen(process, reports)
        finally:
            self._process = None
            process.kill()
            process.join()
            gone.set()
            with self._news:
                self._news.notify()
            feeder.join()
            inbox.close()
            reports.close()

    def _listen(self, process: SpawnProcess, reports: Connection) -> None:
        """Take what the process says until it ends."""
        while True:
            ready = connection.wait([reports, process.sentinel])
            if reports not in ready:
                return
            try:
                item = reports.recv()
            except (EOFError, OSError):
                process.join(_LOOK_S)
                return
            try:
                self._take(item)
            except Exception:  # what one report does must not cost the process
                logger.exception("a report of the %s process could not be handled", self._name)

    def _feed(self, inbox: Connection, gone: threading.Event) -> None:
        """Hand over what waits until the process is gone or everything is said."""
        while not gone.is_set():
            item = self._outbox.take()
            if item is None:
                with self._news:
                    self._news.wait_for(lambda: len(self._outbox) or self._stopping or gone.is_set())
                    if self._stopping and not len(self._outbox):
                        break
                continue
            try:
                inbox.send(item)
            except OSError:
                self._outbox.count_dropped()
                return
        with contextlib.suppress(OSError):
            inbox.send(STOP)
