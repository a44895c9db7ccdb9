"""A process of a session: how it starts, speaks, is watched and ends.

The session holds a `Supervised`, which notices within seconds that the process died, was stopped or hangs. The process
holds `Reports`: what it says waits in bounded lanes that a thread of its own empties, so that a session that does not
listen never holds it up. However a process is, the session waits for it no longer than is said here.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from realtime.processes.outbox import Outbox

__all__ = ["Beat", "Connection", "Reports", "Supervised"]

logger = logging.getLogger(__name__)

STARTING_S = 20.0
"""Longest silence, in seconds, of a process that starts: importing takes long on a busy machine."""
HUNG_S = 5.0
"""Longest silence, in seconds, of a process that has spoken, and longest pause in the middle of a word."""
LOOK_S = 0.1
HELD_S = 1.0
"""Seconds between two looks beyond which it was the session itself that was held up."""
KILLED_S = 1.0
"""Seconds that a process may take to end once it is killed; one that waits for a broken disk takes longer."""
KEPT = 1000


@dataclass(frozen=True)
class Beat:
    """A sign that a process is well though it has nothing to say."""


class Supervised:
    """A process, started at once, and the session's end of its pipe.

    Parameters
    ----------
    name
        Name of the process.
    target, arguments
        It runs ``target(pipe, *arguments)``. It must end when the pipe does, which means that the session is gone.
    starting_s, hung_s
        Longest silence before, and after, its first word.

    Attributes
    ----------
    pipe
        What it says may be read here too, by who then calls `heard`.
    hung_s
        May be set at any time.
    spoke
        Whether it has given a sign of life since it started.
    """

    def __init__(
        self,
        name: str,
        target: Callable[..., None],
        arguments: tuple[Any, ...] = (),
        starting_s: float = STARTING_S,
        hung_s: float = HUNG_S,
    ) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        _limit_reading(self.pipe, HUNG_S)
        self._process = context.Process(target=target, args=(theirs, *arguments), name=name, daemon=True)
        self._starting_s, self.hung_s = starting_s, hung_s
        self._unstarted: str | None = None
        self._ended = self._torn = self._paused = self.spoke = False
        self._heard = self._looked = time.monotonic()
        try:
            self._process.start()
        except OSError as error:  # no memory left, or no process: a death like any other
            self._unstarted = f"could not be started ({error.strerror or error})"
        theirs.close()  # so that the pipe ends when the process does

    @property
    def pid(self) -> int | None:
        """Its id; None where it could not be started."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._unstarted is None and self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative for a signal; None before."""
        return None if self._unstarted else self._process.exitcode

    @property
    def silent_for_s(self) -> float:
        """Seconds since its last sign of life."""
        return time.monotonic() - self._heard

    @property
    def trouble(self) -> str | None:
        """What is the matter with it, in a few words; what it said before may still be heard."""
        now = time.monotonic()
        self._heard += max(0.0, now - self._looked - HELD_S)  # it is not to blame for what held up this side
        self._looked = now
        if self._unstarted is not None:
            return self._unstarted
        if self._ended or not self._process.is_alive():
            code = self._process.exitcode
            return "died" if code is None else f"died (exit code {code})"
        patience_s = self.hung_s if self.spoke else self._starting_s
        if self._paused or self.silent_for_s <= patience_s or (not self._torn and self.pipe.poll()):
            return None
        return f"hangs (no sign of life for {self.silent_for_s:.1f} s)"

    def tell(self, word: Any) -> None:
        """Say something short; one that has died does not hear it, which is seen when nothing comes back."""
        try:
            self.pipe.send(word)
        except OSError:
            logger.debug("%s does not hear", self._process.name)

    def hear(self, wait_s: float | None = 0.0) -> Iterator[Any]:
        """Yield what it has said, waiting up to `wait_s` for a word or a sign of life; None without end."""
        try:
            while not self._torn and self.pipe.poll(wait_s):
                wait_s = 0.0
                try:
                    word = self.pipe.recv()
                except (AttributeError, ImportError):  # as where the software was updated while the session ran
                    logger.exception("%s said what is not known here", self._process.name)
                    word = Beat()
                self.heard()
                if not isinstance(word, Beat):
                    yield word
        except BlockingIOError:  # it was stopped in the middle of a word
            self._torn = True
        except (EOFError, OSError):
            self._ended = True
            self.wait(KILLED_S)  # how it ended is known when it has

    def heard(self) -> None:
        """Note a sign of life."""
        self._heard = self._looked = time.monotonic()
        self.spoke = True

    def be_patient(self) -> None:
        """Allow for what takes as long as a start, from now on until the next word."""
        self.heard()
        self.spoke = False

    def listen(self, take: Callable[[Any], None], until: Callable[[], bool]) -> str:
        """Hand all that it says to `take` until `until` holds, or there is trouble; return that, or ""."""
        while not until():
            trouble = self.trouble
            for word in self.hear(LOOK_S if trouble is None else 0.0):
                take(word)
                if until():
                    return ""
            if trouble is not None and (trouble := self.trouble) is not None:  # it may have spoken in the last moment
                return trouble
        return ""

    def pause(self) -> None:
        """Stop it until `resume`; its silence is no trouble."""
        self._paused = True
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        self.heard()
        self._paused = False

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended by itself, for `timeout_s` at most, and return whether it has."""
        if self.pid is not None:
            self._process.join(timeout_s)
        return not self.alive

    def kill(self) -> bool:
        """End it at once, from any thread, and return whether it has ended."""
        if self.alive:
            self._process.kill()  # one that was stopped hears nothing gentler
        return self.wait(KILLED_S)

    def close(self, timeout_s: float = 0.0) -> bool:
        """End it and its pipe, for whoever listens; return whether it has ended. Safe to call twice.

        It is killed if it has not ended by itself `timeout_s` after its pipe did, and then not when it is asked to.
        """
        if timeout_s > 0:
            self.pipe.close()
            if not self.wait(timeout_s):
                self._process.terminate()
                self.wait(KILLED_S)
        ended = self.kill()
        self.pipe.close()
        return ended

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None and self.alive:
            os.kill(self.pid, number)


class Reports:
    """How a process of a session speaks: nothing here waits, whether the session listens or not.

    Parameters
    ----------
    pipe
        As the process was given it.
    lanes
        How many words of each kind wait where the session does not listen; a full lane drops its oldest.
    patience_s
        Longest time from one `turn` to the next before the signs of life end, so that the session replaces a process
        whose work hangs; endless where that may take any time.
    """

    def __init__(self, pipe: Connection, lanes: Mapping[str, int] | None = None, patience_s: float = math.inf) -> None:
        self._pipe = pipe
        self._patience_s = patience_s
        self._outbox: Outbox[Any] = Outbox(lanes or {"word": KEPT}, in_order=True)
        self._first = next(iter(lanes or ("word",)))
        self.turn()
        with contextlib.suppress(OSError):  # a session that is gone is noticed by the sender
            pipe.send(Beat())  # before any work is done: a pause within that is noticed as soon as any later one
        self._sender = threading.Thread(target=self._outbox.pour, args=(pipe, self._beat), name="reports", daemon=True)
        self._sender.start()

    @property
    def heard(self) -> bool:
        """Whether there is still a session that may listen."""
        return self._sender.is_alive()

    def say(self, word: Any, lane: str | None = None) -> None:
        """Leave `word` for the session, in the first lane if no other is named."""
        self._outbox.put(lane or self._first, word)

    def turn(self, longer_s: float = 0.0) -> None:
        """Note that the work gets on; what comes next may take `longer_s` more than usual."""
        self._turned = time.monotonic() + longer_s

    def close(self, timeout_s: float) -> None:
        """Wait until everything is said, for `timeout_s` at most."""
        self._outbox.close()
        self._sender.join(timeout_s)

    def _beat(self) -> Beat | None:
        return Beat() if time.monotonic() - self._turned < self._patience_s else None


def _limit_reading(pipe: Connection, timeout_s: float) -> None:
    """Have a read that finds only the first half of a word fail with `BlockingIOError` after `timeout_s`."""
    if os.name == "posix":
        with socket.socket(fileno=os.dup(pipe.fileno())) as end:
            limit = struct.pack("ll", int(timeout_s), int(timeout_s % 1 * 1e6))
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
