"""A bell that one thread hears while it waits for a pipe, and any other may ring."""

from __future__ import annotations

import threading
from multiprocessing import connection, get_context


class Bell:
    """Rung any number of times, heard once."""

    def __init__(self) -> None:
        self._ear, self._rope = get_context("spawn").Pipe(duplex=False)
        self._lock = threading.Lock()
        self._rung = False

    def ring(self) -> None:
        """Wake whoever waits, now or next; never waits itself."""
        with self._lock:
            if not self._rung:
                self._rung = True
                self._rope.send_bytes(b"!")

    def heard(self) -> bool:
        """Return whether it rang since the last time it was heard."""
        with self._lock:
            if not self._rung:
                return False
            self._rung = False
            self._ear.recv_bytes()
            return True

    def wait(self, other: connection.Connection, timeout_s: float) -> bool:
        """Return whether there is something to read from `other`, waiting until then, for the bell or the time."""
        return other in connection.wait([other, self._ear], timeout_s)
