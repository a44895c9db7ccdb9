"""A process beside the session for work that must never hold up the EEG, such as pressing pictures into JPEG.

What the session says goes through a bounded outbox, so saying never waits; what the companion says is handed to a
callback. A companion that dies or is stopped is replaced.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from realtime.processes.outbox import Outbox
from realtime.processes.supervised import KILLED_S, Supervised

logger = logging.getLogger(__name__)

STOP = "stop"
"""The last thing a companion hears."""
RESTART_S = 0.5
"""Time from a companion's death to the next one; doubled with each that dies before its first word."""
RESTART_MOST_S = 8.0


class Companion:
    """Keeps one process running.

    Parameters
    ----------
    name
        For people.
    target, arguments
        The process runs ``target(pipe, *arguments)``; it must speak through `Reports`, and end on `STOP` and when the
        pipe ends, which means that the session is gone.
    lanes
        Capacities of the outbox.
    take
        Called with each thing that the companion says, in a thread of its own.
    greet
        Called before each start; says (with `put`) what a new companion must know.

    Attributes
    ----------
    tell
        Called with a line, in a thread of its own, when the process has died or hangs; may be set at any time.
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
        self._outbox: Outbox[Any] = Outbox(lanes)
        self._stopping = threading.Event()
        self._given_up = False
        self._process: Supervised | None = None
        self._keeper = threading.Thread(target=self._keep, name=name, daemon=True)
        self.restarts = 0
        self.tell: Callable[[str], None] = logger.warning

    def start(self) -> None:
        """Start the process and return at once."""
        self._keeper.start()

    def put(self, lane: str, item: Any) -> bool:
        """Leave `item` for the process, without waiting; returns False if an older one was dropped for it."""
        return self._outbox.put(lane, item)

    @property
    def dropped(self) -> int:
        """How many items were dropped because the process did not take them in time, or died."""
        return self._outbox.dropped

    @property
    def pid(self) -> int | None:
        """Id of the process; None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def stop(self, timeout_s: float) -> None:
        """Let the process finish for `timeout_s`, then end it. Safe to call twice."""
        self._stopping.set()
        self._outbox.close()
        if self._keeper.is_alive():
            self._keeper.join(timeout_s)
            self._given_up = True
            process = self._process
            if process is not None:
                process.kill()
            self._keeper.join(2 * KILLED_S)

    def _keep(self) -> None:
        pause_s = RESTART_S
        while True:
            self._greet()
            trouble, spoke = self._run_once()
            if self._given_up or (self._stopping.is_set() and not len(self._outbox)):
                return  # what still waits is worth another process, unless time is up
            self.tell(f"the {self._name} process {trouble}; it is started again")
            self.restarts += 1
            pause_s = RESTART_S if spoke else min(2 * pause_s, RESTART_MOST_S)
            self._stopping.wait(pause_s)

    def _run_once(self) -> tuple[str, bool]:
        """Run one process to its end; return how that came, and whether it ever got to speak."""
        process = Supervised(self._name, self._target, self._arguments)
        over = threading.Event()
        feeder = threading.Thread(target=self._feed, args=(process, over), name=f"{self._name}-feed", daemon=True)
        self._process = process
        feeder.start()
        try:
            trouble = process.listen(self._handle, lambda: self._given_up)
        finally:
            self._process = None
            process.kill()
            over.set()
            self._outbox.wake()
            feeder.join(KILLED_S)
            process.close()
        return trouble, process.spoke

    def _handle(self, item: Any) -> None:
        try:
            self._take(item)
        except Exception:  # what one report does must not cost the process
            logger.exception("a report of the %s process could not be handled", self._name)

    def _feed(self, process: Supervised, over: threading.Event) -> None:
        """Hand over what waits until the process is gone or everything is said."""
        if self._outbox.pour(process.pipe, until=over.is_set):
            with contextlib.suppress(OSError):
                process.pipe.send(STOP)
